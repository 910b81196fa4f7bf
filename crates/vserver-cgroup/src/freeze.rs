//! Stopping all processes of a guest at once, without their noticing.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::{Controller, Error, GuestCgroup, files};

/// Freezing ends when each process has reached a safe point; one that waits for a disk may take long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A way for a process of the guest to stop itself and all others of the guest.
#[derive(Debug)]
pub struct Brake {
    /// The file to write to.
    pub file: OwnedFd,
    /// What to write.
    pub stop: &'static str,
}

impl GuestCgroup {
    /// Stops the guest's processes (`cgroup.freeze`, 5.2; v1 `freezer.state`) and waits up to 10 s until all stand.
    ///
    /// # Errors
    /// [`Error::Write`] if this kernel cannot freeze or the guest has no cgroup; [`Error::Stuck`] if some process did
    /// not stop in time: the rest stays frozen, call [`GuestCgroup::thaw`].
    pub fn freeze(&self) -> Result<(), Error> {
        self.freeze_within(PATIENCE)
    }

    /// As [`GuestCgroup::freeze`], with a wait of `patience` at most.
    pub(crate) fn freeze_within(&self, patience: Duration) -> Result<(), Error> {
        self.request(true)?;
        self.await_frozen_within(patience)
    }

    /// Waits up to 10 s until all processes stand, after somebody has pulled the brake.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Stuck`].
    pub fn await_frozen(&self) -> Result<(), Error> {
        self.await_frozen_within(PATIENCE)
    }

    fn await_frozen_within(&self, patience: Duration) -> Result<(), Error> {
        let end = Instant::now() + patience;
        while !self.is_frozen()? {
            if Instant::now() > end {
                return Err(Error::Stuck { name: self.name.to_string(), pids: self.processes()? });
            }
            std::thread::sleep(Duration::from_millis(1));
            self.ask_again()?;
        }
        Ok(())
    }

    /// v1 stops each process once. One that begins to wait for its vfork child in that moment is passed over, and the
    /// guest stays FREEZING for ever, until it is asked again (tried on 6.18).
    fn ask_again(&self) -> Result<(), Error> {
        if self.layout.v2().is_some() {
            return Ok(());
        }
        self.request(true)
    }

    /// Lets frozen processes go on.
    ///
    /// # Errors
    /// As [`GuestCgroup::freeze`].
    pub fn thaw(&self) -> Result<(), Error> {
        self.request(false)
    }

    /// Whether all processes stand frozen.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn is_frozen(&self) -> Result<bool, Error> {
        if let Some(tree) = self.layout.v2() {
            let events = files::read_optional(&tree.top(&self.name).join("cgroup.events"))?.unwrap_or_default();
            return Ok(files::flat_key(&events, "frozen") == Some(1));
        }
        let Some((top, _)) = self.top_of(Controller::Freezer) else {
            return Ok(false);
        };
        Ok(files::read(&top.join("freezer.state"))? == "FROZEN")
    }

    /// What stops the guest's processes when it is pulled, opened for one of them that may not open it.
    ///
    /// # Errors
    /// [`Error::Open`]; [`Error::Gone`] if this kernel cannot freeze or the guest has no cgroup.
    pub fn brake(&self) -> Result<Brake, Error> {
        let (path, [_, stop]) = self.switch()?;
        Ok(Brake { file: files::open_to_write(&path)?, stop })
    }

    fn request(&self, freeze: bool) -> Result<(), Error> {
        let (path, values) = self.switch()?;
        files::must_write(&path, values[usize::from(freeze)])
    }

    /// The file, and what makes the processes go on and stop.
    fn switch(&self) -> Result<(PathBuf, [&'static str; 2]), Error> {
        if let Some(tree) = self.layout.v2() {
            return Ok((tree.top(&self.name).join("cgroup.freeze"), ["0", "1"]));
        }
        match self.top_of(Controller::Freezer) {
            Some((top, _)) => Ok((top.join("freezer.state"), ["THAWED", "FROZEN"])),
            None => Err(Error::Gone { name: self.name.to_string() }),
        }
    }
}
