//! One walk through `/proc`.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use procfs::ProcError;
use serde::Serialize;
use vserver_types::{CgroupBase, GuestName};

use crate::Error;
use crate::owner::read_owner;

/// One process, as the host sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Process number on the host.
    pub pid: i32,
    /// Its parent's number on the host.
    pub ppid: i32,
    /// The guest that it belongs to; `None` is the host.
    pub guest: Option<GuestName>,
    /// Name of its program, at most 15 bytes. The process may set it to anything.
    pub command: String,
    /// `R`, `S`, `D`, `Z`, `T`, … Source: proc_pid_stat(5).
    pub state: char,
    /// Virtual size in bytes.
    pub vsz: u64,
    /// Resident bytes.
    pub rss: u64,
    /// CPU time in user mode in ms, waited-for children included.
    pub utime: u64,
    /// CPU time in the kernel in ms, waited-for children included.
    pub stime: u64,
    /// Age in ms.
    pub age: u64,
}

/// All processes, in no order, each with its guest if that is below one of `bases` ([`crate::owner_in`]). Those that end
/// meanwhile are left out.
pub fn processes(bases: &[CgroupBase]) -> Result<impl Iterator<Item = Result<Process, Error>>, Error> {
    let all = procfs::process::all_processes().map_err(|source| Error::List { source })?;
    let scale = Scale::now()?;
    let mut buffer = Vec::with_capacity(512);
    Ok(all.filter_map(move |process| match process {
        Ok(process) => read(&process, &scale, bases, &mut buffer).transpose(),
        Err(error) if is_gone(&error) => None,
        Err(source) => Some(Err(Error::List { source })),
    }))
}

/// What turns the kernel's units into ours.
struct Scale {
    /// `CLOCK_BOOTTIME` in ms. Start times are measured by this clock, which counts suspended time, and both are shifted
    /// alike for a reader in a time namespace. Source: `fs/proc/array.c`, Linux 5.6.
    now: u64,
    ticks: u64,
    page: u64,
}

impl Scale {
    fn now() -> Result<Self, Error> {
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_err(|source| Error::Clock { source })?;
        let now = u64::try_from(Duration::from(now).as_millis()).unwrap_or(u64::MAX);
        Ok(Self { now, ticks: procfs::ticks_per_second().max(1), page: procfs::page_size() })
    }

    fn ms(&self, ticks: u64) -> u64 {
        ticks.saturating_mul(1000) / self.ticks
    }
}

fn read(
    process: &procfs::process::Process,
    scale: &Scale,
    bases: &[CgroupBase],
    buffer: &mut Vec<u8>,
) -> Result<Option<Process>, Error> {
    let pid = process.pid();
    let unless_gone = |file, error: ProcError| match is_gone(&error) {
        true => Ok(None),
        false => Err(Error::Read { pid, file, source: error }),
    };
    let stat = match process.stat() {
        Ok(stat) => stat,
        Err(error) => return unless_gone("stat", error),
    };
    let guest = match read_owner(process, bases, buffer) {
        Ok(guest) => guest,
        Err(error) => return unless_gone("cgroup", error),
    };
    Ok(Some(Process {
        pid,
        ppid: stat.ppid,
        guest,
        command: stat.comm,
        state: stat.state,
        vsz: stat.vsize,
        rss: stat.rss.saturating_mul(scale.page),
        utime: scale.ms(stat.utime.saturating_add_signed(stat.cutime)),
        stime: scale.ms(stat.stime.saturating_add_signed(stat.cstime)),
        age: scale.now.saturating_sub(scale.ms(stat.starttime)),
    }))
}

/// Whether the process ended between being listed and being read.
fn is_gone(error: &ProcError) -> bool {
    match error {
        ProcError::NotFound(_) => true,
        ProcError::Io(error, _) => error.raw_os_error() == Some(nix::libc::ESRCH),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_among_them_and_young() {
        let own = i32::try_from(std::process::id()).unwrap();
        let found = processes(&[]).unwrap().map(Result::unwrap).find(|p| p.pid == own).unwrap();
        assert!(found.vsz > 0 && found.rss > 0);
        assert!(found.age < 600_000, "{} ms", found.age);
    }
}
