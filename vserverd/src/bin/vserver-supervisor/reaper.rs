//! The first process of a guest that has no init of its own: it runs the start command, tells how that ended, reaps
//! whatever is orphaned, and ends when the last process of the guest has ended. Source: util-vserver, `behaviours.md` §3.

use std::fs::File;
use std::io::Write;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, wait, waitpid};
use vserver_sys::fd;

/// Where the starter listens for the status of the start command, if it does.
const REPORT: i32 = 3;
/// First argument of a context that survives its processes.
const PERSISTENT: &str = "--persistent";

/// Runs `command` and reaps until nothing is left. Signals from inside the guest do nothing to it: it is PID 1 and has
/// no handlers, so the kernel drops them.
///
/// After `--persistent` it stays without any other process, until it is terminated from outside; there need not be a
/// command then.
pub fn run(arguments: &[String]) -> ExitCode {
    let (persistent, command) = match arguments {
        [first, rest @ ..] if first == PERSISTENT => (hold_signals().is_ok(), rest),
        all => (false, all),
    };
    let mut report = fd::inherited(REPORT).ok().map(File::from);
    if report.is_some() {
        fd::cloexec_from(REPORT).ok();
    }
    let started = command.split_first().map(|(program, arguments)| Command::new(program).args(arguments).spawn());
    let child = match &started {
        None => {
            tell(&mut report, 0, true);
            None
        }
        Some(Ok(child)) => Some(child.id() as i32),
        Some(Err(_)) => {
            tell(&mut report, 127, false);
            return ExitCode::from(127);
        }
    };
    let stays = || persistent || something_is_left();
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, status)) if Some(pid.as_raw()) == child => tell(&mut report, status, stays()),
            Ok(WaitStatus::Signaled(pid, signal, _)) if Some(pid.as_raw()) == child => {
                tell(&mut report, 128 + signal as i32, stays())
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) if persistent && more_to_come() => {}
            Err(_) => return ExitCode::SUCCESS,
        }
    }
}

fn awaited() -> SigSet {
    SigSet::from_iter([Signal::SIGCHLD, Signal::SIGTERM])
}

/// Blocked, a signal waits for PID 1 too.
fn hold_signals() -> nix::Result<()> {
    awaited().thread_block()
}

/// Waits for another child; `false` if this is the end.
fn more_to_come() -> bool {
    awaited().wait() == Ok(Signal::SIGCHLD)
}

/// Whether there is a process beside the first one. What the start command left behind is a child of ours before its own
/// end can be waited for.
fn something_is_left() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return true,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// How the start command ended, and whether the guest goes on.
fn tell(report: &mut Option<File>, status: i32, goes_on: bool) {
    if let Some(mut pipe) = report.take() {
        let words = [status.to_ne_bytes(), i32::from(goes_on).to_ne_bytes()].concat();
        // A starter that has gone away does not matter.
        pipe.write_all(&words).ok();
    }
}
