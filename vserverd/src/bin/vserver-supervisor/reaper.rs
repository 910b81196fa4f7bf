//! The first process of a guest that has no init of its own: it runs the start command, tells how that ended, reaps
//! whatever is orphaned, and ends when the last process of the guest has ended. Source: util-vserver, `behaviours.md` §3.

use std::fs::File;
use std::io::Write;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitStatus, wait};
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
            tell(&mut report, 0);
            None
        }
        Some(Ok(child)) => Some(child.id() as i32),
        Some(Err(_)) => {
            tell(&mut report, 127);
            return ExitCode::from(127);
        }
    };
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, status)) if Some(pid.as_raw()) == child => tell(&mut report, status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if Some(pid.as_raw()) == child => {
                tell(&mut report, 128 + signal as i32)
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

fn tell(report: &mut Option<File>, status: i32) {
    if let Some(mut pipe) = report.take() {
        // A starter that has gone away does not matter.
        pipe.write_all(&status.to_ne_bytes()).ok();
    }
}
