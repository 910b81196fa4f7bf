//! Tags of files: the project of each inode, which its directory hands on.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmodat, mknodat, utimensat};
use nix::sys::statfs::{EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, XFS_SUPER_MAGIC, fstatfs};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};
use vserver_sys::project::{self, INHERIT};
use vserver_sys::xattr;

use crate::error::{Error, Result};
use crate::walk::{Found, Reach, walk};

/// On a tree's root: all of it belongs to this project. Only root of the first user namespace can write it.
const DONE: &std::ffi::CStr = c"trusted.vserver.tag";
/// What replaces a link or a device node is made under this name, or with a number after it if the guest has such a file.
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
    // A socket without its process is nothing.
    if found.kind() == SFlag::S_IFSOCK {
        return Ok(());
    }
    let (directory, draft) = (found.directory, draft(found)?);
    dress(found, &draft).and_then(|()| renameat(directory, draft.as_str(), directory, found.name)).map_err(|errno| {
        // The first failure is the one to tell.
        let _ = unlinkat(directory, draft.as_str(), UnlinkatFlags::NoRemoveDir);
        errno.into()
    })
}

/// Makes it under a name that is free, and gives that name. A file that is there is the guest's: it stays.
fn draft(found: &Found<'_>) -> io::Result<String> {
    let (directory, stat) = (found.directory, &found.stat);
    for number in 0..100 {
        let draft = if number == 0 { DRAFT.to_owned() } else { format!("{DRAFT}.{number}") };
        let made = match found.kind() {
            SFlag::S_IFLNK => symlinkat(readlinkat(directory, found.name)?.as_os_str(), directory, draft.as_str()),
            kind => mknodat(directory, draft.as_str(), kind, Mode::from_bits_truncate(stat.st_mode), stat.st_rdev),
        };
        match made {
            Ok(()) => return Ok(draft),
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(Errno::EEXIST.into())
}

/// Gives a draft the owner, the mode and the times. The guest may be at work in the directory and exchange the draft for a
/// link: none is followed, or root of the host would change what the link leads to.
fn dress(found: &Found<'_>, draft: &str) -> nix::Result<()> {
    let (directory, stat) = (found.directory, &found.stat);
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    fchownat(directory, draft, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if found.kind() != SFlag::S_IFLNK {
        // The mode went through the umask.
        fchmodat(directory, draft, Mode::from_bits_truncate(stat.st_mode), FchmodatFlags::NoFollowSymlink)?;
    }
    let (read, written) =
        (TimeSpec::new(stat.st_atime, stat.st_atime_nsec), TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec));
    utimensat(directory, draft, &read, &written, UtimensatFlags::NoFollowSymlink)
}

/// Whether a whole tree belongs to a project.
pub fn is_tagged(root: BorrowedFd<'_>, tag: u32) -> bool {
    let marked = xattr::get(root, DONE).ok().flatten().is_some_and(|value| value == tag.to_string().as_bytes());
    marked && project::get(root).is_ok_and(|own| own.project == tag && own.flags & INHERIT != 0)
}

/// Gives a whole tree, as far as it is on one file system, to a project. Nobody may be at work in it. An interrupted run
/// is done again by the next one; `given_up` is asked at every file.
pub fn tag_tree(root: &Path, tag: u32, given_up: &dyn Fn() -> bool) -> Result<Tagged> {
    let failed = |action| Error::call(action, root);
    let directory: OwnedFd = std::fs::File::open(root).map_err(failed("open"))?.into();
    if is_tagged(directory.as_fd(), tag) {
        return Ok(Tagged { was: true, shared: 0 });
    }
    xattr::remove(directory.as_fd(), DONE).map_err(failed("mark"))?;
    let whole = whole_links(root)?;
    let (mut shared, mut fault) = (0, None);
    // The path itself may be a link; the directory is not.
    walk(&root.join("."), Reach::TREE, &mut |met| {
        let done = match met {
            _ if given_up() => Err(Error::Interrupted),
            Err((path, error)) => Err(Error::call("look at", path)(error)),
            Ok(found) if found.stat.st_nlink > 1 && !found.is_dir() && !whole.contains_key(&found.stat.st_ino) => {
                shared += 1;
                Ok(())
            }
            Ok(found) => set_tag(&found, tag).map_err(Error::call("tag", found.path)),
        };
        fault = done.err();
        if fault.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
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
    walk(&root.join("."), Reach::TREE, &mut |met| {
        match met {
            Ok(found) if found.stat.st_nlink > 1 && !found.is_dir() => {
                *links.entry(found.stat.st_ino).or_insert(found.stat.st_nlink) -= 1;
            }
            Ok(_) => {}
            Err((path, error)) => fault = Some(Error::call("look at", path)(error)),
        }
        if fault.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    links.retain(|_, missing| *missing == 0);
    fault.map_or(Ok(links), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn meet(path: &Path, act: &mut dyn FnMut(&Found<'_>)) {
        let reach = Reach { depth: crate::walk::Depth::Itself, ..Reach::TREE };
        walk(path, reach, &mut |met| {
            act(&met.unwrap());
            ControlFlow::Continue(())
        });
    }

    #[test]
    fn files_that_have_a_drafts_name_stay() {
        let base = tempfile::tempdir().unwrap();
        let (own, link) = (base.path().join(DRAFT), base.path().join("link"));
        std::fs::write(&own, "the guest's").unwrap();
        symlink("target", &link).unwrap();
        let old = link.symlink_metadata().unwrap();
        meet(&link, &mut |found| renew(found).unwrap());
        let new = link.symlink_metadata().unwrap();
        assert_ne!(new.ino(), old.ino());
        assert_eq!((new.mtime(), new.mtime_nsec()), (old.mtime(), old.mtime_nsec()));
        assert_eq!(std::fs::read_link(&link).unwrap(), Path::new("target"));
        assert_eq!(std::fs::read_to_string(&own).unwrap(), "the guest's");
        assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_pipe_keeps_its_mode() {
        let base = tempfile::tempdir().unwrap();
        let pipe = base.path().join("pipe");
        nix::unistd::mkfifo(&pipe, Mode::from_bits_truncate(0o600)).unwrap();
        std::fs::set_permissions(&pipe, PermissionsExt::from_mode(0o666)).unwrap();
        let old = pipe.symlink_metadata().unwrap();
        meet(&pipe, &mut |found| renew(found).unwrap());
        let new = pipe.symlink_metadata().unwrap();
        assert_ne!(new.ino(), old.ino());
        assert_eq!(new.mode(), old.mode());
    }

    /// A guest that runs can put a link in the place of a draft.
    #[test]
    fn no_link_in_a_drafts_place_is_followed() {
        let base = tempfile::tempdir().unwrap();
        let (victim, pipe) = (base.path().join("victim"), base.path().join("pipe"));
        std::fs::write(&victim, "").unwrap();
        std::fs::set_permissions(&victim, PermissionsExt::from_mode(0o600)).unwrap();
        nix::unistd::mkfifo(&pipe, Mode::from_bits_truncate(0o666)).unwrap();
        symlink(&victim, base.path().join(DRAFT)).unwrap();
        meet(&pipe, &mut |found| assert_eq!(dress(found, DRAFT), Err(Errno::EOPNOTSUPP)));
        assert_eq!(victim.metadata().unwrap().mode() & 0o777, 0o600);
    }
}
