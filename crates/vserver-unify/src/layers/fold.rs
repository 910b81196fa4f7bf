//! What an overlay has written becomes part of the tree below it, by renames, in an order in which both together always
//! show the same: first what hides something goes into effect, then the name goes. Guests make directories as deep as they
//! like, so the way back is `..`, and no path is ever built.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use rustix::fs::{getxattr, listxattr, removexattr};
use vserver_fs::{GuestRoot, dress, open_beneath};

use crate::Error;

/// What the kernel notes in the upper layer.
const NOTES: &[u8] = b"trusted.overlay.";
/// The directory hides what the tree has there.
const OPAQUE: &str = "trusted.overlay.opaque";
/// Our own mark, which the tree keeps.
const OURS: &[u8] = b"trusted.vserver.";
/// `XATTR_LIST_MAX`, linux/limits.h.
const LIST: usize = 64 << 10;

/// A directory that both layers have.
struct Frame {
    name: OsString,
    todo: Vec<OsString>,
    /// The directories above it, to be known again.
    above: (u64, u64),
}

struct Fold<'a> {
    tree: &'a GuestRoot,
    upper: OwnedFd,
    lower: OwnedFd,
    frames: Vec<Frame>,
}

/// Moves everything that `upper` has into `tree`. Nobody else writes to either.
pub(super) fn fold(upper: OwnedFd, tree: &GuestRoot) -> Result<(), Error> {
    let lower = tree.open_dir_for_change("")?;
    let todo = names(&upper).map_err(|e| failed(tree, OsStr::new(""))(e))?;
    let frames = vec![Frame { name: OsString::new(), todo, above: (0, 0) }];
    let mut fold = Fold { tree, upper, lower, frames };
    while let Some(frame) = fold.frames.last_mut() {
        match frame.todo.pop() {
            Some(name) => fold.entry(name)?,
            None => fold.leave()?,
        }
    }
    Ok(())
}

impl Fold<'_> {
    fn entry(&mut self, name: OsString) -> Result<(), Error> {
        let failed = failed(self.tree, &name);
        let stat = fstatat(&self.upper, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW).map_err(&failed)?;
        if is_whiteout(&stat) {
            self.remove(&name)?;
            return unlinkat(&self.upper, name.as_os_str(), UnlinkatFlags::NoRemoveDir).map_err(&failed);
        }
        if is_directory(stat.st_mode) && self.lower_is_directory(&name).map_err(&failed)? {
            let inner = directory(&self.upper, &name).map_err(&failed)?;
            if !has(&inner, OPAQUE) {
                return self.enter(name, inner);
            }
        }
        if is_directory(stat.st_mode) || self.lower_is_directory(&name).map_err(&failed)? {
            self.remove(&name)?;
        }
        let object = open_beneath(&self.upper, Path::new(&name), OFlag::O_PATH | OFlag::O_NOFOLLOW, 0);
        strip(&object.map_err(&failed)?).map_err(&failed)?;
        renameat(&self.upper, name.as_os_str(), &self.lower, name.as_os_str()).map_err(&failed)
    }

    fn enter(&mut self, name: OsString, inner: OwnedFd) -> Result<(), Error> {
        let failed = failed(self.tree, &name);
        let lower = directory(&self.lower, &name).map_err(&failed)?;
        let above = (identity(&self.upper).map_err(&failed)?, identity(&self.lower).map_err(&failed)?);
        let todo = names(&inner).map_err(&failed)?;
        (self.upper, self.lower) = (inner, lower);
        self.frames.push(Frame { name, todo, above });
        Ok(())
    }

    /// The directory's own owner, mode, times and attributes; then back to the one above.
    fn leave(&mut self) -> Result<(), Error> {
        let Some(Frame { name, above, .. }) = self.frames.pop() else { return Ok(()) };
        let failed = failed(self.tree, &name);
        strip(&self.upper).map_err(&failed)?;
        drop_attributes(&self.upper, &self.lower).map_err(&failed)?;
        let stat = fstat(&self.upper).map_err(&failed)?;
        dress(&self.upper, &self.lower, &stat).map_err(|error| Error::Io {
            action: "fold what its guest has changed into",
            path: self.tree.path().join(&name),
            source: error,
        })?;
        if self.frames.is_empty() {
            return Ok(());
        }
        let upper = up(&self.upper, above.0).map_err(&failed)?;
        self.lower = up(&self.lower, above.1).map_err(&failed)?;
        self.upper = upper;
        unlinkat(&self.upper, name.as_os_str(), UnlinkatFlags::RemoveDir).map_err(&failed)
    }

    fn lower_is_directory(&self, name: &OsStr) -> nix::Result<bool> {
        match fstatat(&self.lower, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(is_directory(stat.st_mode)),
            Err(Errno::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whatever the tree has of that name.
    fn remove(&self, name: &OsStr) -> Result<(), Error> {
        let lower = self.lower.try_clone().map_err(Error::io("keep open", self.tree.path()))?;
        Ok(GuestRoot::of(lower, self.tree.path())?.remove_tree(name)?)
    }
}

fn failed(tree: &GuestRoot, name: &OsStr) -> impl Fn(Errno) -> Error + use<> {
    let path: PathBuf = tree.path().join(name);
    move |error| Error::Io {
        action: "fold what its guest has changed into",
        path: path.clone(),
        source: error.into(),
    }
}

fn is_directory(mode: u32) -> bool {
    mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits()
}

/// A character device 0/0 says that the name below it is gone.
fn is_whiteout(stat: &FileStat) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits() && stat.st_rdev == 0
}

fn directory(dir: &OwnedFd, name: &OsStr) -> nix::Result<OwnedFd> {
    open_beneath(dir, Path::new(name), OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0)
}

/// The directory above, if it is still the one that we came from.
fn up(dir: &OwnedFd, wanted: u64) -> nix::Result<OwnedFd> {
    let above = openat(dir, "..", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    if identity(&above)? == wanted { Ok(above) } else { Err(Errno::ESTALE) }
}

/// Both layers are on one file system, so the inode says which directory it is.
fn identity(dir: &OwnedFd) -> nix::Result<u64> {
    fstat(dir).map(|stat| stat.st_ino)
}

fn names(dir: &OwnedFd) -> nix::Result<Vec<OsString>> {
    let mut names = Vec::new();
    // A duplicate would share the position with other readers.
    let own = openat(dir, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    for entry in Dir::from_fd(own)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The name by which calls without a descriptor reach what is held, a link itself too.
fn by_descriptor(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn attributes(fd: &OwnedFd) -> nix::Result<Vec<Vec<u8>>> {
    let mut buffer = vec![0; LIST];
    let length = match listxattr(by_descriptor(fd), &mut buffer[..]).map_err(errno) {
        Err(Errno::EOPNOTSUPP) => 0,
        length => length?,
    };
    Ok(buffer[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
}

fn has(fd: &OwnedFd, name: &str) -> bool {
    let mut value = [0; 8];
    getxattr(by_descriptor(fd), name, &mut value[..]).is_ok_and(|length| value[..length] == *b"y")
}

/// Takes the kernel's notes away.
fn strip(fd: &OwnedFd) -> nix::Result<()> {
    let mut notes = attributes(fd)?.into_iter().filter(|name| name.starts_with(NOTES));
    notes.try_for_each(|name| removexattr(by_descriptor(fd), &name[..]).map_err(errno))
}

/// What the guest has taken off a directory, as an ACL, is off in the tree, too.
fn drop_attributes(upper: &OwnedFd, lower: &OwnedFd) -> nix::Result<()> {
    let kept = attributes(upper)?;
    let mut gone = attributes(lower)?.into_iter().filter(|name| !kept.contains(name) && !name.starts_with(OURS));
    gone.try_for_each(|name| removexattr(by_descriptor(lower), &name[..]).map_err(errno))
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}
