//! The pivot barrier: a mount namespace in which the guest's tree is the root and the host's does not exist.
//!
//! The namespace belongs to the host's user namespace. The guest gets a copy of it that belongs to its own, and the
//! kernel locks every mount in such a copy: no mask can be taken off, no read-only mount made writable.
//! Source: mount_namespaces(7), "Restrictions on mount namespaces".

use std::os::fd::{AsFd, BorrowedFd};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{fchdir, pivot_root};
use vserver_sys::mount as detached;

use crate::beneath;
use crate::error::{Result, Step};

/// Moves this process into a mount namespace of its own, which still shows the host's tree.
pub fn leave_the_host() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).step(|| "make a mount namespace".to_owned())?;
    // Nothing that happens here may reach the host: first act, before any mount.
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .step(|| "make the mount namespace private".to_owned())
}

/// Makes `root`, a detached mount, the root of this mount namespace and of every process in it, and takes the host's
/// tree away.
pub fn pivot(root: BorrowedFd<'_>) -> Result<()> {
    detached::attach(root, beneath::own_root()?.as_fd()).step(|| "attach the guest's tree".to_owned())?;
    fchdir(root).step(|| "enter the guest's tree".to_owned())?;
    // Old and new root may be the same directory: the old one then lies on top and is taken off at once. pivot_root(2).
    pivot_root(".", ".").step(|| "make the guest's tree the root".to_owned())?;
    umount2(".", MntFlags::MNT_DETACH).step(|| "take the host's tree away".to_owned())?;
    nix::unistd::chdir("/").step(|| "enter the new root".to_owned())
}
