//! Totals that a guest's IPC namespace counts: settings below `/proc/sys`, which belong to the namespace of whoever opens
//! them. Source: proc_sys_kernel(5), util-vserver `config-tree.md` §5.3.1.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use nix::sched::{CloneFlags, setns};
use nix::unistd::{Uid, seteuid};
use vserver_runtime::RunRecord;
use vserver_runtime::bare::{is_apart, join_spaces};
use vserver_sys::process::NEWIPC;
use vserver_types::{Resource, Rlimit, Unenforced};

use crate::args::Asked;
use crate::error::CliError;

/// Pages of System V shared memory.
const SHMALL: &str = "/proc/sys/kernel/shmall";
/// Four numbers: semaphores of an array, in all, of a call; arrays.
const SEM: &str = "/proc/sys/kernel/sem";
/// The kernel's default of `shmall`, `ULONG_MAX - (1 << 24)`, and what is beyond mean no limit. `include/uapi/linux/shm.h`.
const UNLIMITED: u64 = u64::MAX - (1 << 24);
/// The kernel keeps numbers of semaphores in an `int`, and at most 32 768 arrays. `ipc/ipc_sysctl.c`.
const MOST_SEMAPHORES: u64 = i32::MAX.unsigned_abs() as u64;
const MOST_ARRAYS: u64 = 32_768;

/// Whether the namespace counts this.
pub fn counts(resource: Resource) -> bool {
    matches!(resource, Resource::Shmem | Resource::Semary | Resource::Nsems)
}

/// The totals in force; none if the guest shares the host's.
pub fn totals(record: &RunRecord) -> Result<Vec<(Resource, Rlimit)>, CliError> {
    if !is_apart(&record.init.to_string(), "ipc") {
        return Ok(Vec::new());
    }
    let (shmall, sem) = in_ipc_of(record, || Ok((std::fs::read_to_string(SHMALL)?, std::fs::read_to_string(SEM)?)))?;
    let shmem = shmall.trim().parse::<u64>().ok();
    let shmem = shmem.map(|pages| if pages >= UNLIMITED { Rlimit::Infinity } else { Rlimit::Value(pages) });
    let field = |index: usize| sem.split_whitespace().nth(index)?.parse().ok().map(Rlimit::Value);
    let all = [(Resource::Shmem, shmem), (Resource::Semary, field(3)), (Resource::Nsems, field(1))];
    Ok(all.into_iter().filter_map(|(resource, value)| value.map(|value| (resource, value))).collect())
}

/// Sets one. What there is already of more than that stays.
pub fn set(ask: &Asked, record: &RunRecord) -> Result<Option<Unenforced>, CliError> {
    if !ask.hard {
        return Ok(Some(Unenforced::none(format!("{}.soft", ask.resource), "the total has only a hard limit")));
    }
    let owner = Uid::from_raw(record.id_base.unwrap_or(0));
    in_ipc_of(record, || match ask.resource {
        Resource::Shmem => write(SHMALL, &text(ask.value, UNLIMITED), owner),
        resource => {
            let now = std::fs::read_to_string(SEM)?;
            let mut fields: Vec<&str> = now.split_whitespace().collect();
            let (index, most) = if resource == Resource::Nsems { (1, MOST_SEMAPHORES) } else { (3, MOST_ARRAYS) };
            let value = text(ask.value, most);
            *fields.get_mut(index).ok_or(io::ErrorKind::InvalidData)? = &value;
            write(SEM, &fields.join(" "), owner)
        }
    })?;
    Ok(None)
}

fn text(value: Rlimit, most: u64) -> String {
    match value {
        Rlimit::Infinity => most,
        Rlimit::Value(value) => value.min(most),
    }
    .to_string()
}

/// Since Linux 6.9 such a setting is the root's of the namespace's user namespace, before it was the host's. It is judged at
/// each write, not only when it is opened.
fn write(path: &str, value: &str, owner: Uid) -> io::Result<()> {
    let write = || OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes());
    match write() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let own = nix::unistd::geteuid();
            seteuid(owner)?;
            let done = write();
            seteuid(own)?;
            done
        }
        done => done,
    }
}

/// Does something in the guest's IPC namespace, which must be its own, and comes back.
fn in_ipc_of<T>(record: &RunRecord, what: impl FnOnce() -> io::Result<T>) -> Result<T, CliError> {
    if !is_apart(&record.init.to_string(), "ipc") {
        return Err(CliError::Refused("it has the host's IPC namespace, whose totals stay as they are".to_owned()));
    }
    let own = File::open("/proc/self/ns/ipc").map_err(CliError::io("cannot open our own IPC namespace"))?;
    join_spaces(record.init, NEWIPC)?;
    let done = what().map_err(CliError::io("cannot read or set the totals of the guest's IPC namespace"));
    setns(&own, CloneFlags::CLONE_NEWIPC).map_err(|errno| CliError::io("cannot come back")(errno.into()))?;
    done
}
