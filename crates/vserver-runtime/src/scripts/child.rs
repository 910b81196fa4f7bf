//! Waiting for a program of the host: it may end, be interrupted, or take too long.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vserver_sys::pidfd;

use crate::interrupt::Interrupts;

/// Longest life of one script. Source: threat model, F16: every step has a deadline.
pub const LIMIT: Duration = Duration::from_secs(600);
/// Between the request to end and the end.
const GRACE: Duration = Duration::from_secs(2);
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;

/// How it ended.
#[derive(Debug)]
pub enum Ended {
    /// By itself.
    Status(ExitStatus),
    /// The caller was interrupted; it and all that it had started were ended.
    Interrupted,
    /// It took longer than [`LIMIT`]; likewise.
    TooLong,
}

/// Waits for `child`, or for something to be read from `also`, which gives `None`.
pub fn wait(
    child: &mut Child,
    interrupts: Option<&Interrupts>,
    also: Option<&OwnedFd>,
) -> std::io::Result<Option<Ended>> {
    let pid = i32::try_from(child.id()).unwrap_or(0);
    let pidfd = pidfd::open(pid)?;
    let end = Instant::now() + LIMIT;
    loop {
        let mut watched = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        watched.extend(interrupts.map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)));
        watched.extend(also.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        let left = end.saturating_duration_since(Instant::now());
        match poll(&mut watched, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let readable = also.is_some() && watched.last().is_some_and(|fd| fd.any().unwrap_or(false));
        if interrupts.is_some_and(Interrupts::came) {
            end_all(child, &pidfd);
            return Ok(Some(Ended::Interrupted));
        }
        if readable {
            return Ok(None);
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Some(Ended::Status(status)));
        }
        if left.is_zero() {
            end_all(child, &pidfd);
            return Ok(Some(Ended::TooLong));
        }
    }
}

/// Ends the program and all of its descendants, politely first. They are stopped before they are counted, so that none
/// can have another child meanwhile.
fn end_all(child: &mut Child, pidfd: &OwnedFd) {
    let pid = i32::try_from(child.id()).unwrap_or(0);
    stop(pid, pidfd);
    let handles = stopped_descendants(pid);
    for signal in [SIGTERM, SIGKILL] {
        for handle in handles.iter().chain([pidfd]) {
            // What has ended meanwhile is no failure.
            pidfd::signal(handle.as_fd(), signal).ok();
            pidfd::signal(handle.as_fd(), SIGCONT).ok();
        }
        let end = Instant::now() + GRACE;
        while Instant::now() < end && !matches!(child.try_wait(), Ok(Some(_))) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    child.wait().ok();
}

/// Handles of all descendants of a stopped process, each stopped before its own children are looked for.
fn stopped_descendants(pid: i32) -> Vec<OwnedFd> {
    let (mut found, mut handles, mut todo) = (BTreeSet::new(), Vec::new(), vec![pid]);
    while let Some(pid) = todo.pop() {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for child in text.split_ascii_whitespace().filter_map(|word| word.parse().ok()) {
            if let Ok(handle) = pidfd::open(child)
                && found.insert(child)
            {
                stop(child, &handle);
                handles.push(handle);
                todo.push(child);
            }
        }
    }
    handles
}

/// Returns when it has stopped: a process in the middle of a fork completes it first.
fn stop(pid: i32, handle: &OwnedFd) {
    pidfd::signal(handle.as_fd(), SIGSTOP).ok();
    let end = Instant::now() + GRACE;
    while Instant::now() < end {
        // Its name need not be text.
        let stat = fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.iter().rposition(|byte| *byte == b')').and_then(|end| stat.get(end + 2));
        if matches!(state, None | Some(b'T' | b't' | b'Z' | b'X')) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
