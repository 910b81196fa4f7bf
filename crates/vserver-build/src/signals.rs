//! SIGINT, SIGTERM and SIGHUP as something to be asked for, so that a build can end where it likes and clean up.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::Error;

const SIGNALS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// As long as it lives, the signals are blocked in this thread and collected here. signalfd(2).
pub(crate) struct Signals {
    fd: SignalFd,
    before: SigSet,
}

/// What is there to be read.
pub(crate) enum Ready {
    /// The other descriptor has something (or has ended).
    Input,
    /// The time is over.
    Nothing,
}

impl Signals {
    pub(crate) fn block() -> Result<Self, Error> {
        let failed = |e: Errno| Error::io("block", "signals")(e.into());
        let set: SigSet = SIGNALS.into_iter().collect();
        let before = SigSet::thread_get_mask().map_err(failed)?;
        set.thread_block().map_err(failed)?;
        match SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC) {
            Ok(fd) => Ok(Self { fd, before }),
            Err(e) => {
                before.thread_set_mask().map_err(failed)?;
                Err(failed(e))
            }
        }
    }

    /// An error if a signal has come.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.fd.read_signal() {
            Ok(Some(info)) => {
                let known = i32::try_from(info.ssi_signo).ok().and_then(|n| Signal::try_from(n).ok());
                Err(Error::Interrupted { signal: known.map_or("a signal", Signal::as_str) })
            }
            Ok(None) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            Err(e) => Err(Error::io("read", "signals")(e.into())),
        }
    }

    /// Waits for input or a signal; the latter is an error.
    pub(crate) fn wait(&self, input: BorrowedFd<'_>, timeout: PollTimeout) -> Result<Ready, Error> {
        loop {
            let mut fds = [PollFd::new(input, PollFlags::POLLIN), PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Err(Errno::EINTR) => continue,
                Err(e) => return Err(Error::io("wait for", "input")(e.into())),
                Ok(_) => {}
            }
            if fds[1].any() == Some(true) {
                self.check()?;
            }
            // A regular file is always ready, and one that cannot be polled says so by an error flag.
            if fds[0].any() != Some(false) {
                return Ok(Ready::Input);
            }
            return Ok(Ready::Nothing);
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // The mask was valid before, so setting it again cannot fail.
        self.before.thread_set_mask().ok();
    }
}

/// A reader that gives up when a signal comes, also while it waits. It may be in another thread.
pub(crate) struct Interruptible<'a, R> {
    pub input: R,
    pub signals: &'a Signals,
    /// Why it, or somebody else who works on the same, gave up.
    pub fault: &'a Mutex<Option<Error>>,
}

/// How long a reader waits for input before it looks whether others have given up, in milliseconds.
const LOOK: u16 = 200;

impl<R: io::Read + AsFd> io::Read for Interruptible<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let given_up = || io::Error::other("interrupted");
        loop {
            match self.signals.wait(self.input.as_fd(), PollTimeout::from(LOOK)) {
                Ok(Ready::Input) => return self.input.read(buffer),
                Ok(Ready::Nothing) if self.fault.lock().is_ok_and(|fault| fault.is_none()) => {}
                Ok(Ready::Nothing) => return Err(given_up()),
                Err(error) => {
                    give_up(self.fault, error);
                    return Err(given_up());
                }
            }
        }
    }
}

/// Notes the first reason.
pub(crate) fn give_up(fault: &Mutex<Option<Error>>, error: Error) {
    if let Ok(mut fault) = fault.lock() {
        fault.get_or_insert(error);
    }
}
