//! Other processes: seeing, signalling, tracing, outranking them.

use std::fs;

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use crate::answer::{Answer, call, number};
use crate::{Check, check, with};

pub const CHECKS: &[Check] = &[
    check("E14", "kill_scan", |_| kill_scan()),
    check("E14", "magic_links", |_| magic_links()),
    check("K16", "ptrace_child", |_| ptrace_child()),
    with("K16", "ptrace_pid", "PID", |args| seize(number(args, 0, 0))),
    check("K16", "pidfd_getfd", |_| pidfd_getfd()),
    check("K16", "kcmp", |_| kcmp()),
    check("K16", "process_madvise", |_| call(libc::SYS_process_madvise, &[-1, 0, 0, 0, 0]).into()),
    check("K31", "nice", |_| answer_of_child(|| call(libc::SYS_setpriority, &[0, 0, -5]).map(drop))),
    check("K31", "sched_fifo", |_| answer_of_child(sched_fifo)),
    // Class 1 (real time), level 4, for the caller.
    check("K31", "ioprio_rt", |_| answer_of_child(|| call(libc::SYS_ioprio_set, &[1, 0, 1 << 13 | 4]).map(drop))),
    check("K31", "oom_score", |_| oom_score()),
];

/// Runs `body` in a child and returns its answer: what it changes or breaks ends with the child.
pub fn answer_of_child(body: impl FnOnce() -> Result<(), Errno>) -> Answer {
    // SAFETY: this program has one thread, so the child may do all that the parent may.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => std::process::exit(body().err().map_or(0, |errno| errno as i32)),
        Ok(ForkResult::Parent { child }) => match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, 0)) => Answer::Ok,
            Ok(WaitStatus::Exited(_, errno)) => Answer::Refused(Errno::from_raw(errno)),
            Ok(WaitStatus::Signaled(_, signal, _)) => Answer::Text(signal.as_str().to_owned()),
            status => Answer::Text(format!("{status:?}")),
        },
        Err(errno) => Answer::Refused(errno),
    }
}

/// Signal 0 to every number: `HELD` if no more answer than `/proc` shows, else the surplus.
fn kill_scan() -> Answer {
    let visible: Vec<i32> = tasks();
    let last = fs::read_to_string("/proc/sys/kernel/pid_max").ok().and_then(|text| text.trim().parse().ok());
    let foreign = (1..=last.unwrap_or(32_768).min(65_536))
        .filter(|pid| kill(Pid::from_raw(*pid), None) != Err(Errno::ESRCH) && !visible.contains(pid));
    // A task may have been born since: only what is still there after a second look counts.
    let foreign: Vec<i32> = foreign.collect();
    let now = tasks();
    let found =
        foreign.into_iter().filter(|pid| !now.contains(pid) && kill(Pid::from_raw(*pid), None) != Err(Errno::ESRCH));
    Answer::held_or(found.map(|pid| pid.to_string()).collect())
}

/// Every thread that `/proc` shows.
fn tasks() -> Vec<i32> {
    let names = |path: String| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let numbers = |path: String| names(path).filter_map(|name| name.to_str()?.parse().ok()).collect::<Vec<i32>>();
    numbers("/proc".to_owned()).into_iter().flat_map(|pid| numbers(format!("/proc/{pid}/task"))).collect()
}

/// Roots and working directories of all processes: those that are not below the guest's own root.
fn magic_links() -> Answer {
    let links = tasks().into_iter().flat_map(|pid| ["root", "cwd"].map(|link| format!("/proc/{pid}/{link}")));
    let outside = links.filter_map(|link| {
        let target = fs::read_link(&link).ok()?.display().to_string();
        (!target.starts_with('/') || target.starts_with("(unreachable)")).then(|| format!("{link} {target}"))
    });
    Answer::held_or(outside.collect())
}

/// A child that waits to be killed.
fn sleeper() -> Result<Pid, Errno> {
    // SAFETY: this program has one thread, and the child only sleeps.
    match unsafe { fork() }? {
        ForkResult::Child => loop {
            let _ = call(libc::SYS_rt_sigsuspend, &[0, 8]);
        },
        ForkResult::Parent { child } => Ok(child),
    }
}

fn with_sleeper(body: impl FnOnce(Pid) -> Answer) -> Answer {
    match sleeper() {
        Ok(child) => {
            let answer = body(child);
            let _ = kill(child, Signal::SIGKILL);
            let _ = waitpid(child, None);
            answer
        }
        Err(errno) => Answer::Refused(errno),
    }
}

fn ptrace_child() -> Answer {
    with_sleeper(|child| ptrace::seize(child, ptrace::Options::empty()).into())
}

fn seize(pid: i64) -> Answer {
    // A tracer that ends lets go of what it traces.
    answer_of_child(|| ptrace::seize(Pid::from_raw(i32::try_from(pid).unwrap_or(0)), ptrace::Options::empty()))
}

fn pidfd_getfd() -> Answer {
    with_sleeper(|child| match call(libc::SYS_pidfd_open, &[i64::from(child.as_raw()), 0]) {
        Ok(pidfd) => {
            let answer = crate::answer::call_fd(libc::SYS_pidfd_getfd, &[pidfd, 1, 0]);
            let _ = call(libc::SYS_close, &[pidfd]);
            answer
        }
        Err(errno) => Answer::Refused(errno),
    })
}

fn kcmp() -> Answer {
    let own = i64::from(std::process::id());
    call(libc::SYS_kcmp, &[own, own, 0, 0, 1]).into()
}

fn sched_fifo() -> Result<(), Errno> {
    let priority = 1_i32;
    call(libc::SYS_sched_setscheduler, &[0, 1, crate::answer::address(&priority)]).map(drop)
}

fn oom_score() -> Answer {
    answer_of_child(|| {
        let error = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
        fs::write("/proc/self/oom_score_adj", "-500").map_err(error)
    })
}
