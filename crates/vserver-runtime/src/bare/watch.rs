//! The last process takes its context along: a small process waits for that, because the tools themselves turn into the
//! commands that they run. It belongs to nobody's session and to no context.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use vserver_cgroup::{Entry, Layout};
use vserver_sys::fd;
use vserver_sys::process::{self, Forked, SingleThreaded};
use vserver_types::ContextFlags;

use super::{Bare, Side, failed};
use crate::error::Result;
use crate::host::Host;

/// Leaves a process behind that removes `dir` when it is empty.
pub(super) fn watch(host: &Host, side: Side, number: u32, dir: &Path) -> Result<()> {
    let token = SingleThreaded::prove().map_err(failed("fork"))?;
    match process::fork(token, 0).map_err(failed("fork"))? {
        Forked::Parent(child) => waitpid(Pid::from_raw(child), None).map(drop).map_err(failed("wait for a child")),
        // Twice, so that the command which this process becomes has no child that it does not know.
        Forked::Child => match process::fork(token, 0) {
            Ok(Forked::Child) => {
                let ended = detach().is_some() && wait_until_empty(dir).is_some();
                if ended && !persistent(host, side, number) {
                    Bare::forget(host, side, number, dir).ok();
                }
                process::exit_now(0)
            }
            _ => process::exit_now(0),
        },
    }
}

fn detach() -> Option<()> {
    setsid().ok()?;
    chdir("/").ok()?;
    let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR, nix::sys::stat::Mode::empty()).ok()?;
    dup2_stdin(&null).and_then(|()| dup2_stdout(&null)).and_then(|()| dup2_stderr(&null)).ok()?;
    drop(null);
    fd::close_range(3, i32::MAX).ok()?;
    process::default_signals().ok()?;
    Entry::join_supervisors(&Layout::detect().ok()?, false).ok()
}

/// The kernel holds news of one directory back for 10 ms after the last ones, and drops them if it is removed meanwhile,
/// as whoever waits for the directory above does: look again after this time, in milliseconds.
const LOOK_AGAIN: u16 = 1000;

/// A directory that is gone is empty too.
fn wait_until_empty(dir: &Path) -> Option<()> {
    let Ok(mut events) = File::open(dir.join("cgroup.events")) else {
        return Some(());
    };
    loop {
        let mut text = String::new();
        if events.rewind().and_then(|()| events.read_to_string(&mut text)).is_err() || text.contains("populated 0") {
            return Some(());
        }
        let mut watched = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
        match poll(&mut watched, PollTimeout::from(LOOK_AGAIN)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

fn persistent(host: &Host, side: Side, number: u32) -> bool {
    let bare = Bare::load(host, side, number).ok().flatten();
    bare.is_some_and(|bare| match side {
        Side::Context => bare.attributes.cflags.contains(ContextFlags::PERSISTENT),
        Side::Network => bare.attributes.nflags.contains(ContextFlags::PERSISTENT),
    })
}
