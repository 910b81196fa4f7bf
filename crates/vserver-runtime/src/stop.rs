//! `vserver NAME stop`, and what follows when a guest ends by itself.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vserver_cgroup::GuestCgroup;
use vserver_sys::pidfd;
use vserver_types::GuestName;

use crate::control::{self, Reply, Request};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::record::RunRecord;
use crate::start::{LOCK_PATIENCE, StartOptions, layout, start};
use crate::teardown::teardown;

/// What a supervisor needs beyond the guest's own time: the kill sequence, a slow unmount, the clean-up.
const MARGIN: Duration = Duration::from_secs(30);

/// Wishes of the caller.
#[derive(Clone, Copy, Debug, Default)]
pub struct StopOptions {
    /// Do not give it time.
    pub kill: bool,
}

/// How a stop ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It does not run any more.
    Now {
        /// What the caller should hear, a sentence each.
        report: Vec<String>,
    },
    /// It did not run before.
    WasNotRunning,
}

/// Why a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It asked for a reboot.
    Reboot,
    /// It halted, was stopped, or its last process ended.
    Halt,
}

/// Stops a guest: the supervisor does it, this only asks and waits. Interrupting the wait does not interrupt the stop.
pub fn stop(host: &Host, name: &GuestName, options: &StopOptions) -> Result<Stopped> {
    if !host.confdir.join(name.as_str()).is_dir() {
        vserver_config::read(&host.confdir, name)?;
    }
    let lock = host.lock(name, LOCK_PATIENCE)?;
    let record = RunRecord::load(host, name)?.filter(|record| record.confdir == host.confdir);
    let Some(record) = record else {
        return Ok(Stopped::WasNotRunning);
    };
    if !record.supervisor_lives() {
        return clear(host, &record);
    }
    let supervisor = pidfd::open(record.supervisor).map_err(Error::layer("watch its supervisor", name))?;
    // Between the look and the open the number may have got a new owner: look again.
    if !record.supervisor_lives() {
        return clear(host, &record);
    }
    wake(name);
    let socket = ask(host, name, *options);
    drop(lock);
    let patience = Duration::from_secs(record.stop_timeout) + MARGIN;
    let killed = socket.map(|socket| wait_for_end(&socket, patience)).unwrap_or(false);
    wait(&supervisor, name, patience)?;
    let late = format!("it did not end within {} s and was killed", record.stop_timeout);
    let report = if killed && !options.kill { vec![late] } else { Vec::new() };
    Ok(Stopped::Now { report })
}

/// What the supervisor turns into when its guest has ended: clean up, and start again if that was asked for. Runs under
/// the guest's lock, like every other change of its state.
pub fn after_exit(host: &Host, name: &GuestName, ending: Ending) -> Result<()> {
    let lock = host.lock(name, LOCK_PATIENCE)?;
    let own = std::process::id() as i32;
    match RunRecord::load(host, name)? {
        Some(record) if record.supervisor == own => teardown(host, &record)?,
        // Somebody else has cleaned up, and perhaps started the guest again.
        _ => return Ok(()),
    }
    drop(lock);
    if ending == Ending::Reboot {
        start(host, name, &StartOptions { strict: false, in_domain: true })?;
    }
    Ok(())
}

/// Takes away what is left of a guest whose supervisor is gone.
fn clear(host: &Host, record: &RunRecord) -> Result<Stopped> {
    let processes = crate::list::status(host, &record.name)?.processes;
    teardown(host, record)?;
    if processes == 0 {
        return Ok(Stopped::WasNotRunning);
    }
    Ok(Stopped::Now { report: vec![format!("its supervisor was gone; its {processes} processes were killed")] })
}

/// A guest on hold (`sched_pause`) could not end itself. If this fails it is killed at the deadline.
fn wake(name: &GuestName) {
    if let Some(cgroup) = layout(name).ok().and_then(|layout| GuestCgroup::open(&layout, name)) {
        cgroup.thaw().ok();
    }
}

/// No answer is an answer too: the guest is ending by itself at this moment, and waiting is all there is to do.
fn ask(host: &Host, name: &GuestName, options: StopOptions) -> Option<OwnedFd> {
    let socket = control::dial(&host.control(name)).ok()?;
    let sent = control::send_request(socket.as_fd(), &Request::Stop { kill: options.kill }, &[]);
    sent.ok().map(|()| socket)
}

fn wait_for_end(socket: &OwnedFd, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    while ready(socket, end) {
        match control::receive_reply(socket.as_fd()) {
            Ok(Some((Reply::Ended { killed }, _))) => return killed,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return false,
        }
    }
    false
}

fn wait(supervisor: &OwnedFd, name: &GuestName, patience: Duration) -> Result<()> {
    if ready(supervisor, Instant::now() + patience) {
        return Ok(());
    }
    Err(Error::Stuck { name: name.clone(), seconds: patience.as_secs() })
}

/// Whether `fd` becomes readable before `end`.
fn ready(fd: &OwnedFd, end: Instant) -> bool {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if left.is_zero() => return false,
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}
