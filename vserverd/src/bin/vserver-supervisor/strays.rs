//! Children that only have to be waited for: nobody wants to know how they ended, and none shall stay as a zombie.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use vserver_sys::pidfd;

/// All of them.
#[derive(Default)]
pub struct Strays(Vec<(i32, Option<OwnedFd>)>);

impl Strays {
    /// Takes in a child that has not been waited for. One that cannot be watched, for want of descriptors, is looked at
    /// whenever something else happens.
    pub fn take(&mut self, pid: i32) {
        self.0.push((pid, pidfd::open(pid).ok()));
    }

    /// For poll: readable when one has ended.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().filter_map(|(_, watch)| watch.as_ref().map(AsFd::as_fd))
    }

    /// Waits for those that have ended.
    pub fn wait(&mut self) {
        self.0.retain(|(pid, _)| {
            matches!(waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive))
        });
    }
}
