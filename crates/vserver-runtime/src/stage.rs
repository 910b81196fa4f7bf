//! A guest's outer mount namespace: the host's tree, in which the guest's configured mounts are made and scripts run.
//! What is mounted here below the guest's root, by its fstab or by a script, the guest finds when it starts; nothing of
//! it is seen on the host, and all of it goes with the guest.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::fchdir;
use vserver_types::GuestName;

use crate::error::{Error, Result};

/// While it lives, this single-threaded process is in an outer mount namespace; then it is at home again.
#[derive(Debug)]
pub struct Stage {
    home: OwnedFd,
    cwd: Option<OwnedFd>,
}

impl Stage {
    /// Makes a new one. What is mounted and unmounted on the host later shows here, too, and nothing the other way.
    pub fn make(name: &GuestName) -> Result<Self> {
        let failed = |what: &str| Error::layer(what.to_owned(), name);
        let stage = Self::leave(name)?;
        unshare(CloneFlags::CLONE_NEWNS).map_err(failed("make a mount namespace"))?;
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
            .map_err(failed("keep its mounts from the host"))?;
        Ok(stage)
    }

    /// Joins that of a running guest.
    pub fn join(name: &GuestName, namespace: BorrowedFd<'_>) -> Result<Self> {
        let stage = Self::leave(name)?;
        setns(namespace, CloneFlags::CLONE_NEWNS).map_err(Error::layer("join its mount namespace", name))?;
        Ok(stage)
    }

    /// The namespace that this process was in before.
    pub fn home(&self) -> BorrowedFd<'_> {
        self.home.as_fd()
    }

    fn leave(name: &GuestName) -> Result<Self> {
        let home = own_namespace().map_err(Error::layer("open its own mount namespace", name))?;
        Ok(Self { home, cwd: File::open(".").ok().map(OwnedFd::from) })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // It worked in the other direction; a directory that is gone leaves us in the root directory.
        setns(&self.home, CloneFlags::CLONE_NEWNS).ok();
        if let Some(cwd) = &self.cwd {
            fchdir(cwd).ok();
        }
    }
}

/// The mount namespace of this process.
pub fn own_namespace() -> std::io::Result<OwnedFd> {
    File::open("/proc/self/ns/mnt").map(OwnedFd::from)
}
