//! Ending every process of a guest.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vserver_sys::pidfd;

use crate::{Error, GuestCgroup, files};

const SIGKILL: i32 = 9;
/// A killed process ends at once unless it waits for a device; then no longer wait would help.
const PATIENCE: Duration = Duration::from_secs(10);
/// Freezing only keeps a guest from forking while it is killed: what does not stand by then is killed in a later round.
const FREEZE: Duration = Duration::from_secs(1);

impl GuestCgroup {
    /// As [`GuestCgroup::kill_within`] with 10 s.
    ///
    /// # Errors
    /// See there.
    pub fn kill(&self) -> Result<(), Error> {
        self.kill_within(PATIENCE)
    }

    /// Kills all processes of the guest, new ones included, and returns when none is left. `cgroup.kill` (5.14) does it in
    /// one step; elsewhere the guest is frozen, so that it cannot fork faster than we kill, each process is sent SIGKILL,
    /// and it is thawed, until nobody is left.
    ///
    /// # Errors
    /// [`Error::Stuck`] if processes are left after `patience`.
    pub fn kill_within(&self, patience: Duration) -> Result<(), Error> {
        let end = Instant::now() + patience;
        let at_once = self.layout.v2().map(|tree| tree.guest(&self.name).join("cgroup.kill"));
        loop {
            let killed = at_once.as_ref().is_some_and(|file| files::write(file, "1").is_ok());
            if !killed {
                self.kill_one_by_one()?;
            }
            let round = if killed { end } else { end.min(Instant::now() + Duration::from_millis(20)) };
            if self.wait_until_empty(round)? {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(Error::Stuck { name: self.name.to_string(), pids: self.processes()? });
            }
        }
    }

    /// Sends `signal` to each process of the guest and says to how many. A pid is used only while it demonstrably belongs
    /// to the guest: it is opened first, then looked for in a second listing.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn signal(&self, signal: i32) -> Result<usize, Error> {
        let opened: Vec<_> =
            self.processes()?.into_iter().filter_map(|pid| pidfd::open(pid).ok().map(|fd| (pid, fd))).collect();
        let still_there = self.processes()?;
        let mine = opened.iter().filter(|(pid, _)| still_there.binary_search(pid).is_ok());
        Ok(mine.filter(|(_, fd)| pidfd::signal(fd.as_fd(), signal).is_ok()).count())
    }

    fn kill_one_by_one(&self) -> Result<(), Error> {
        // A kernel without a freezer, or one process that does not freeze, only makes this take more rounds.
        let _ = self.freeze_within(FREEZE);
        let killed = self.signal(SIGKILL);
        // v1 delivers the signal only now.
        let _ = self.thaw();
        killed.map(drop)
    }

    /// False if `end` came first.
    fn wait_until_empty(&self, end: Instant) -> Result<bool, Error> {
        if let Some(tree) = self.layout.v2() {
            return wait_for_event(&tree.guest(&self.name).join("cgroup.events"), end);
        }
        loop {
            if !self.populated()? {
                return Ok(true);
            }
            if Instant::now() >= end {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Waits until the `cgroup.events` file says `populated 0` or is gone. The kernel marks a change with POLLPRI.
fn wait_for_event(path: &Path, end: Instant) -> Result<bool, Error> {
    let fault = |source| Error::Read { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if files::is_missing(&error) => return Ok(true),
        Err(error) => return Err(fault(error)),
    };
    loop {
        let mut text = String::new();
        match file.rewind().and_then(|()| file.read_to_string(&mut text)) {
            Ok(_) if files::flat_key(&text, "populated") != Some(1) => return Ok(true),
            Ok(_) => {}
            Err(error) if files::is_missing(&error) => return Ok(true),
            Err(error) => return Err(fault(error)),
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        // At most 100 ms, in case a notice was merged with one that we had seen already.
        let wait = PollTimeout::try_from(left.min(Duration::from_millis(100))).unwrap_or(PollTimeout::ZERO);
        let mut watched = [PollFd::new(file.as_fd(), PollFlags::POLLPRI)];
        match poll(&mut watched, wait) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(fault(error.into())),
        }
    }
}
