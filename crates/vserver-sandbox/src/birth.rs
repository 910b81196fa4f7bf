//! The midwife: a short-lived process, born in the guest's cgroup, that joins its user and time namespace and gives birth
//! to the guest's first process as its own sibling, so that the supervisor is the parent.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

use nix::fcntl::{OFlag, openat};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::write;
use vserver_sys::process::{self, Forked, SingleThreaded};

use crate::blueprint::{Blueprint, Doors};
use crate::confine::take_standing;
use crate::error::{Result, Step};

/// Namespaces that are born with the guest. The mount namespace is copied later, when its content is ready.
const BORN_WITH: u64 = process::NEWPID | process::NEWUTS | process::NEWIPC | process::NEWCGROUP;

/// Joins, and forks. Returns in the guest's first process; the midwife itself writes the new pid to `pid_pipe` and ends.
pub fn deliver(
    token: SingleThreaded,
    blueprint: &Blueprint,
    userns: Option<BorrowedFd<'_>>,
    host_proc: BorrowedFd<'_>,
    pid_pipe: &mut std::fs::File,
) -> Result<()> {
    // The cgroups come first: a socket, a page or a namespace root belongs to the cgroup that its maker was in.
    enter_v1(&blueprint.doors)?;
    take_standing(&blueprint.confinement, host_proc)?;
    if blueprint.virt_uptime {
        new_time(host_proc)?;
    }
    if let Some(userns) = userns {
        setns(userns, CloneFlags::CLONE_NEWUSER).step(|| "join the guest's user namespace".to_owned())?;
    }
    match process::fork(token, BORN_WITH | process::PARENT).step(|| "make the guest's first process".to_owned())? {
        Forked::Child => Ok(()),
        Forked::Parent(pid) => {
            let told = pid_pipe.write_all(&pid.to_ne_bytes());
            process::exit_now(i32::from(told.is_err()))
        }
    }
}

/// Joins the v1 hierarchies; into the v2 one a process is born.
pub(crate) fn enter_v1(doors: &Doors) -> Result<()> {
    for file in &doors.tasks {
        write(file.as_fd(), b"0").step(|| "join the guest's cgroup".to_owned())?;
    }
    Ok(())
}

/// A time namespace in which boot was now: `/proc/uptime`, `btime` and both clocks count from here.
/// time_namespaces(7), Linux 5.6. The offsets are written before the first process enters.
fn new_time(host_proc: BorrowedFd<'_>) -> Result<()> {
    let since = |clock| clock_gettime(clock).step(|| "read the clock".to_owned());
    let (boot, monotonic) = (since(ClockId::CLOCK_BOOTTIME)?, since(ClockId::CLOCK_MONOTONIC)?);
    unshare(CloneFlags::from_bits_retain(process::NEWTIME as i32)).step(|| "make a time namespace".to_owned())?;
    let offsets = format!("monotonic -{} 0\nboottime -{} 0\n", monotonic.tv_sec(), boot.tv_sec());
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let file = openat(host_proc, "self/timens_offsets", flags, Mode::empty())
        .step(|| "open /proc/self/timens_offsets".to_owned())?;
    write(file.as_fd(), offsets.as_bytes()).step(|| "set the guest's clocks".to_owned()).map(drop)
}
