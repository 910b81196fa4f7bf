//! The mark of a tree whose files may be other guests' too. It stands on the tree's root directory, so that it goes
//! wherever the tree goes, and no guest can set or remove it: `trusted.*` takes `CAP_SYS_ADMIN` in the first user
//! namespace, xattr(7). It is set before the first file is shared.

use std::ffi::CStr;
use std::os::fd::AsFd;

use vserver_fs::GuestRoot;
use vserver_sys::xattr;

use crate::Error;

const MARK: &CStr = c"trusted.vserver.shared";

/// Whether files of the tree may be shared, so that its guest must not write to them.
pub fn is_shared(tree: &GuestRoot) -> Result<bool, Error> {
    let root = tree.open_dir_for_change("")?;
    match xattr::get(root.as_fd(), MARK) {
        Ok(found) => Ok(found.is_some()),
        // A file system without such attributes has no mark, and no file was ever shared on it.
        Err(error) if error.raw_os_error() == Some(nix::libc::EOPNOTSUPP) => Ok(false),
        Err(error) => Err(Error::io("look for the mark of", tree.path())(error)),
    }
}

/// Sets the mark, for good before anything is shared.
pub fn mark(tree: &GuestRoot) -> Result<(), Error> {
    let root = tree.open_dir_for_change("")?;
    xattr::set(root.as_fd(), MARK, b"1")
        .and_then(|()| Ok(nix::unistd::fsync(&root)?))
        .map_err(Error::io("mark as shared", tree.path()))
}

/// Removes it: no file is shared any more.
pub fn unmark(tree: &GuestRoot) -> Result<(), Error> {
    let root = tree.open_dir_for_change("")?;
    match xattr::remove(root.as_fd(), MARK) {
        Err(error) if error.raw_os_error() != Some(nix::libc::EOPNOTSUPP) => {
            Err(Error::io("unmark", tree.path())(error))
        }
        _ => Ok(()),
    }
}
