//! The guest's tree as a detached mount: private, without device nodes, its owners mapped into the guest's range.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use vserver_sys::mount;

use crate::error::{Result, Step};

/// A detached copy of the mount at `tree`, without what is mounted below it.
pub fn detach(tree: BorrowedFd<'_>) -> Result<OwnedFd> {
    let root = mount::clone_tree(tree, c"", false).step(|| "copy the mount of the guest's tree".to_owned())?;
    mount::make_private(root.as_fd()).step(|| "make the guest's tree private".to_owned())?;
    mount::set_attributes(root.as_fd(), mount::NODEV, mount::NOSUID, true)
        .step(|| "take device nodes out of the guest's tree".to_owned())?;
    Ok(root)
}

/// Maps the owners of a detached tree: what belongs to 0 on disk belongs to the guest's root, on every file system
/// that supports it; where one does not, the error says so, because a guest without the map would own nothing.
pub fn map_owners(root: BorrowedFd<'_>, userns: BorrowedFd<'_>) -> Result<()> {
    mount::idmap(root, userns).step(|| {
        "map the owners of the guest's tree (its file system must support idmapped mounts: ext4, xfs, btrfs, …; or \
         write 'off' into the guest's file 'userns')"
            .to_owned()
    })
}
