//! Stopping all processes of a guest at once, without their noticing.

use std::time::{Duration, Instant};

use crate::{Controller, Error, GuestCgroup, files};

/// Freezing ends when each process has reached a safe point; one that waits for a disk may take long.
const PATIENCE: Duration = Duration::from_secs(2);

impl GuestCgroup {
    /// Stops the guest's processes (`cgroup.freeze`, 5.2; v1 `freezer.state`) and waits up to 2 s until all stand.
    ///
    /// # Errors
    /// [`Error::Write`] if this kernel cannot freeze or the guest has no cgroup; [`Error::Stuck`] if some process did
    /// not stop in time: the rest stays frozen, call [`GuestCgroup::thaw`].
    pub fn freeze(&self) -> Result<(), Error> {
        self.request(true)?;
        let end = Instant::now() + PATIENCE;
        while !self.is_frozen()? {
            if Instant::now() > end {
                return Err(Error::Stuck { name: self.name.to_string(), pids: self.processes()? });
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
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

    fn request(&self, freeze: bool) -> Result<(), Error> {
        if let Some(tree) = self.layout.v2() {
            let value = if freeze { "1" } else { "0" };
            return files::must_write(&tree.top(&self.name).join("cgroup.freeze"), value);
        }
        let Some((top, _)) = self.top_of(Controller::Freezer) else {
            return Err(Error::Gone { name: self.name.to_string() });
        };
        let value = if freeze { "FROZEN" } else { "THAWED" };
        files::must_write(&top.join("freezer.state"), value)
    }
}
