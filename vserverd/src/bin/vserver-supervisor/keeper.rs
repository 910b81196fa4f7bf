//! The supervisor's parent, outside of the guest's Landlock domain: asleep until the supervisor ends, then the program
//! that cleans up. The same process all the time, so that whoever watches it sees it end when the clean-up has ended.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::process::ExitCode;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, execve};
use vserver_runtime::settings::Ending;
use vserver_sys::memory;

use crate::gather;

/// What the kernel gave to the helper that it ran on a guest's reboot. Source: util-vserver, `behaviours.md` §6.
/// The keeper's own, which says where its guest's state is if that is no usual place, is put behind it.
const ENVIRONMENT: [&CStr; 3] = [c"HOME=/", c"TERM=linux", c"PATH=/sbin:/usr/sbin:/bin:/usr/bin"];

/// `NAME CONFDIR VSERVER PID [gathers] [server=PID]`: the guest, its configuration root, the program that cleans up, the
/// supervisor, that the keeper lets datagram sockets hear all of the guest's addresses, and who serves the guest's own `/proc`.
pub fn run(arguments: &[String]) -> ExitCode {
    let [name, confdir, vserver, pid, rest @ ..] = arguments else {
        return ExitCode::FAILURE;
    };
    let Ok(supervisor) = pid.parse() else {
        return ExitCode::FAILURE;
    };
    // Only a saving, as in the supervisor.
    memory::forget_startup_code().ok();
    if rest.iter().any(|word| word == "gathers") {
        // Without it such sockets hear the first address.
        gather::until_the_end_of(supervisor).ok();
    }
    let server = rest.iter().find_map(|word| word.strip_prefix("server=")?.parse().ok().map(Pid::from_raw));
    let status = match wait_for(Pid::from_raw(supervisor), server) {
        Some(WaitStatus::Exited(_, status)) => Some(status),
        Some(_) => None,
        None => return ExitCode::FAILURE,
    };
    let Some(ending) = Ending::from_status(status) else {
        return ExitCode::SUCCESS;
    };
    // Whoever stopped the guest puts everything away; only if nobody does it is left to us.
    if ending == Ending::Stopped && vserver_runtime::is_put_away(confdir.into(), name) {
        return ExitCode::SUCCESS;
    }
    let words = [vserver.as_str(), "--confdir", confdir, name, "after-exit", ending.event()];
    let words: Vec<CString> = words.into_iter().filter_map(|word| CString::new(word).ok()).collect();
    if let Some(program) = words.first() {
        execve(program, &words, &environment()).ok();
    }
    // The guest's record stays and tells the next command.
    ExitCode::FAILURE
}

fn environment() -> Vec<CString> {
    let own = std::env::vars_os().filter_map(|(name, value)| {
        let pair: OsString = [name.as_os_str(), OsStr::new("="), value.as_os_str()].into_iter().collect();
        CString::new(pair.into_encoded_bytes()).ok()
    });
    ENVIRONMENT.into_iter().map(CStr::to_owned).chain(own).collect()
}

/// Waits for the supervisor, and sees to it that the server has ended then, too: nothing of the guest stays behind.
fn wait_for(supervisor: Pid, mut server: Option<Pid>) -> Option<WaitStatus> {
    loop {
        match waitpid(None, None) {
            Ok(status) if status.pid() == Some(supervisor) => {
                server.into_iter().for_each(end);
                return Some(status);
            }
            // The guest goes on without it.
            Ok(status) => server = server.filter(|server| status.pid() != Some(*server)),
            Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

/// A child that nobody has waited for yet keeps its number.
fn end(child: Pid) {
    kill(child, Signal::SIGKILL).ok();
    while waitpid(child, None) == Err(Errno::EINTR) {}
}
