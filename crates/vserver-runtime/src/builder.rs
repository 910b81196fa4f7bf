//! The process that raises a guest, as its launcher sees it.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use vserver_sys::process;
use vserver_types::GuestName;

use crate::error::{Error, Result};
use crate::interrupt::Interrupts;

/// How long killed processes may take to end.
const SETTLE: Duration = Duration::from_secs(5);

/// A copy of the launcher that forks the one that raises a guest, and then becomes its keeper.
pub struct Builder<'a> {
    /// The guest.
    pub name: &'a GuestName,
    /// The process.
    pub pid: i32,
    /// End of the pipe on which it says what failed; end of file is success.
    pub report: OwnedFd,
}

impl Builder<'_> {
    /// Silence is success. A signal to the launcher ends the builder, and with it the guest.
    pub fn wait(self, interrupts: &Interrupts) -> Result<()> {
        loop {
            let mut watched = [
                PollFd::new(self.report.as_fd(), PollFlags::POLLIN),
                PollFd::new(interrupts.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut watched, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(Error::layer("wait for the builder", self.name)(errno)),
            }
            if interrupts.came() {
                process::kill(self.pid, 9).ok();
                waitpid(Pid::from_raw(self.pid), None).ok();
                self.settle();
                return Err(Error::Interrupted { name: self.name.clone() });
            }
            if watched[0].any().unwrap_or(false) {
                break;
            }
        }
        match self.last_words()? {
            text if text.is_empty() => Ok(()),
            text => {
                waitpid(Pid::from_raw(self.pid), None).ok();
                Err(Error::Start { name: self.name.clone(), report: text })
            }
        }
    }

    /// It got no word, so it ends by itself; `error`, the reason, is given back.
    pub fn dismiss(self, error: Error) -> Error {
        // Its own complaint, that it got no word, is not the fault to report.
        self.last_words().ok();
        waitpid(Pid::from_raw(self.pid), None).ok();
        error
    }

    /// The builder ends with the keeper, but a moment later: the pipe closes when nobody is left who could still write
    /// state.
    fn settle(&self) {
        let end = Instant::now() + SETTLE;
        let mut buffer = [0; 512];
        while Instant::now() < end {
            let mut watched = [PollFd::new(self.report.as_fd(), PollFlags::POLLIN)];
            poll(&mut watched, 50u16).ok();
            let readable = watched[0].any().unwrap_or(false);
            if readable && matches!(nix::unistd::read(&self.report, &mut buffer), Ok(0)) {
                return;
            }
        }
    }

    fn last_words(&self) -> Result<String> {
        let mut text = String::new();
        let mut report = File::from(self.report.try_clone().map_err(Error::layer("hear the builder", self.name))?);
        report.read_to_string(&mut text).map_err(Error::layer("hear the builder", self.name))?;
        Ok(text)
    }
}
