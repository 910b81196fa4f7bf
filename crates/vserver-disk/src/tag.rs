//! Tags of files: the project of each inode, which its directory hands on.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, mknodat, utimensat};
use nix::sys::statfs::{EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, XFS_SUPER_MAGIC, fstatfs};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};
use vserver_sys::project::{self, INHERIT};
use vserver_sys::xattr;

use crate::error::{Error, Result};
use crate::walk::{Found, Reach, walk};

/// On a tree's root: all of it belongs to this project. Only root of the first user namespace can write it.
const DONE: &std::ffi::CStr = c"trusted.vserver.tag";
/// What replaces a link or a device node is made under this name.
const DRAFT: &str = ".vserver-tag";

/// What became of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tagged {
    /// It belonged to the project before.
    pub was: bool,
    /// Files with names outside of the tree as well: they keep their tag.
    pub shared: u64,
}

/// Whether the file system of an open directory keeps tags. A read-only one is believed to.
pub fn takes_tags(directory: BorrowedFd<'_>) -> io::Result<bool> {
    let own = match project::get(directory) {
        Ok(own) => own,
        Err(error) if is_unknown(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    if own.project != 0 {
        return Ok(true);
    }
    // The others, btrfs among them, answer with project 0 for everything.
    if ![EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, F2FS_SUPER_MAGIC].contains(&fstatfs(directory)?.filesystem_type()) {
        return Ok(false);
    }
    // An ext4 may have been made without the feature: only a file shows, one without a name.
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let trial = match openat(directory, ".", flags, Mode::S_IRUSR) {
        Ok(trial) => trial,
        Err(Errno::EROFS) => return Ok(true),
        Err(errno) => return Err(errno.into()),
    };
    match set_project(trial.as_fd(), 1, false) {
        Ok(()) => Ok(true),
        Err(error) if is_unknown(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_unknown(error: &io::Error) -> bool {
    let unknown = [Errno::ENOTTY, Errno::EOPNOTSUPP, Errno::ENOSYS, Errno::EINVAL];
    error.raw_os_error().is_some_and(|number| unknown.contains(&Errno::from_raw(number)))
}

/// The tag of what a walk has met. Links, devices and the like cannot be asked: they have that of their directory, if it
/// hands it on.
pub fn tag_of(found: &Found<'_>) -> io::Result<u32> {
    match &found.file {
        Some(file) => Ok(project::get(file.as_fd())?.project),
        None => {
            let above = project::get(found.directory)?;
            Ok(if above.flags & INHERIT != 0 { above.project } else { 0 })
        }
    }
}

/// Gives what a walk has met to a project. A directory hands it on from now, unless it is 0. Links, devices and the like
/// are made anew, because only so they get the tag of their directory; those that have several names stay.
pub fn set_tag(found: &Found<'_>, tag: u32) -> io::Result<()> {
    match &found.file {
        Some(file) => set_project(file.as_fd(), tag, found.is_dir()),
        None => {
            let above = project::get(found.directory)?;
            let fits = above.project == tag && above.flags & INHERIT != 0 || tag == 0 && above.flags & INHERIT == 0;
            if fits && found.stat.st_nlink == 1 { renew(found) } else { Ok(()) }
        }
    }
}

fn set_project(file: BorrowedFd<'_>, tag: u32, directory: bool) -> io::Result<()> {
    let old = project::get(file)?;
    let mut new = old;
    new.project = tag;
    if directory {
        new.flags = if tag == 0 { new.flags & !INHERIT } else { new.flags | INHERIT };
    }
    if new == old {
        return Ok(());
    }
    project::set(file, &new)
}

/// The same thing under the same name, with a new inode.
fn renew(found: &Found<'_>) -> io::Result<()> {
    let (directory, stat) = (found.directory, &found.stat);
    match unlinkat(directory, DRAFT, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    match found.kind() {
        SFlag::S_IFLNK => symlinkat(readlinkat(directory, found.name)?.as_os_str(), directory, DRAFT)?,
        // A socket without its process is nothing.
        SFlag::S_IFSOCK => return Ok(()),
        kind => mknodat(directory, DRAFT, kind, Mode::from_bits_truncate(stat.st_mode), stat.st_rdev)?,
    }
    let finish = || -> nix::Result<()> {
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        fchownat(directory, DRAFT, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        if found.kind() != SFlag::S_IFLNK {
            // The mode went through the umask.
            let mode = Mode::from_bits_truncate(stat.st_mode);
            nix::sys::stat::fchmodat(directory, DRAFT, mode, nix::sys::stat::FchmodatFlags::FollowSymlink)?;
        }
        let (read, written) =
            (TimeSpec::new(stat.st_atime, stat.st_atime_nsec), TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec));
        utimensat(directory, DRAFT, &read, &written, UtimensatFlags::NoFollowSymlink)?;
        renameat(directory, DRAFT, directory, found.name)
    };
    finish().map_err(|errno| {
        // The first failure is the one to tell.
        let _ = unlinkat(directory, DRAFT, UnlinkatFlags::NoRemoveDir);
        errno.into()
    })
}

/// Whether a whole tree belongs to a project.
pub fn is_tagged(root: BorrowedFd<'_>, tag: u32) -> bool {
    let marked = xattr::get(root, DONE).ok().flatten().is_some_and(|value| value == tag.to_string().as_bytes());
    marked && project::get(root).is_ok_and(|own| own.project == tag && own.flags & INHERIT != 0)
}

/// Gives a whole tree, as far as it is on one file system, to a project. Nobody may be at work in it. An interrupted run
/// is done again by the next one.
pub fn tag_tree(root: &Path, tag: u32) -> Result<Tagged> {
    let failed = |action| Error::call(action, root);
    let directory: OwnedFd = std::fs::File::open(root).map_err(failed("open"))?.into();
    if is_tagged(directory.as_fd(), tag) {
        return Ok(Tagged { was: true, shared: 0 });
    }
    xattr::remove(directory.as_fd(), DONE).map_err(failed("mark"))?;
    let whole = whole_links(root)?;
    let (mut shared, mut fault) = (0, None);
    // The path itself may be a link; the directory is not.
    walk(&root.join("."), Reach::TREE, &mut |found| {
        if fault.is_some() {
            return;
        }
        let done = found.and_then(|found| {
            if found.name == DRAFT && !found.is_dir() && found.file.is_none() {
                return unlinkat(found.directory, DRAFT, UnlinkatFlags::NoRemoveDir)
                    .map_err(|errno| (found.path, errno.into()));
            }
            if found.stat.st_nlink > 1 && !found.is_dir() && !whole.contains_key(&found.stat.st_ino) {
                shared += 1;
                return Ok(());
            }
            set_tag(&found, tag).map_err(|error| (found.path, error))
        });
        fault = done.err().map(|(path, error)| Error::call("tag", path)(error));
    });
    match fault {
        Some(fault) => Err(fault),
        None => {
            xattr::set(directory.as_fd(), DONE, tag.to_string().as_bytes()).map_err(failed("mark"))?;
            Ok(Tagged { was: false, shared })
        }
    }
}

/// Inodes with several names, all of them in the tree.
fn whole_links(root: &Path) -> Result<HashMap<u64, u64>> {
    let (mut links, mut fault) = (HashMap::new(), None);
    walk(&root.join("."), Reach::TREE, &mut |found| match found {
        Ok(found) if found.stat.st_nlink > 1 && !found.is_dir() => {
            *links.entry(found.stat.st_ino).or_insert(found.stat.st_nlink) -= 1;
        }
        Ok(_) => {}
        Err((path, error)) => fault = Some(Error::call("look at", path)(error)),
    });
    links.retain(|_, missing| *missing == 0);
    fault.map_or(Ok(links), Err)
}
