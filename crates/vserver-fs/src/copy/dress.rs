//! What a file has besides its content. In this order, as each call may undo what a later one sets: chown(2) takes
//! capabilities and set-user-id bits, an ACL changes the mode, and everything changes the time.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, SFlag, UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat};
use rustix::fs::{XattrFlags, getxattr, listxattr, setxattr};
use rustix::io::Errno;

use crate::lookup;

/// Limits of the kernel: `XATTR_LIST_MAX` and `XATTR_SIZE_MAX`, linux/limits.h.
const MAX: usize = 64 << 10;

/// Gives `made` owner, attributes, mode and times of `object`; both may be links, which are meant themselves.
pub fn dress(object: &OwnedFd, made: &OwnedFd, stat: &FileStat) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    fchownat(made, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH | AtFlags::AT_SYMLINK_NOFOLLOW)?;
    // A descriptor of a link cannot be given to these calls, but its name in /proc can, and is not followed further.
    let (object, made) = (lookup::by_descriptor(object), lookup::by_descriptor(made));
    attributes(&object, &made)?;
    if stat.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFLNK.bits() {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(stat.st_mode & 0o7777);
        std::fs::set_permissions(&made, mode)?;
    }
    let (access, change) =
        (TimeSpec::new(stat.st_atime, stat.st_atime_nsec), TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec));
    Ok(utimensat(nix::fcntl::AT_FDCWD, &made, &access, &change, UtimensatFlags::FollowSymlink)?)
}

fn attributes(object: &Path, made: &Path) -> io::Result<()> {
    let mut names = vec![0; MAX];
    let length = match listxattr(object, &mut names[..]) {
        // No such thing here.
        Err(Errno::NOTSUP) => return Ok(()),
        length => length?,
    };
    let mut value = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = OsStr::from_bytes(name);
        value.resize(MAX, 0);
        let length = getxattr(object, name, &mut value[..])?;
        match setxattr(made, name, &value[..length], XattrFlags::empty()) {
            // The label of a file is the business of the host's policy.
            Err(Errno::NOTSUP) if name == "security.selinux" => {}
            result => result.map_err(io::Error::from)?,
        }
    }
    Ok(())
}
