//! Signals that ask a launcher to give up, as something to look at: a start is undone by the code that made it, not by
//! a handler in the middle of it.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Blocks SIGINT, SIGTERM and SIGHUP for its lifetime and collects them.
#[derive(Debug)]
pub struct Interrupts {
    before: SigSet,
    pending: SignalFd,
}

impl Interrupts {
    /// Begins to collect.
    pub fn collect() -> nix::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            set.add(signal);
        }
        let before = SigSet::thread_get_mask()?;
        set.thread_block()?;
        let pending = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { before, pending })
    }

    /// Whether one came; it is used up.
    pub fn came(&self) -> bool {
        matches!(self.pending.read_signal(), Ok(Some(_)))
    }

    /// For poll: readable when one came.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.pending.as_fd()
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        // Cannot fail: the mask is the one that was in force before.
        self.before.thread_set_mask().ok();
    }
}
