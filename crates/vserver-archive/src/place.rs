//! Makes the object of one entry. The parent is found without following a link; owner, mode, attributes and times are
//! set on the descriptor of the object that was just made, so no link can divert them (R06, R07).

use std::ffi::{CString, OsString};
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, fstat, futimens, makedev, mkdirat, mknodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat};
use vserver_fs::{GuestRoot, open_beneath};

use crate::Error;
use crate::error::shown;
use crate::stream::Entry;

/// Where entries are made.
pub(crate) struct Site<'a> {
    root: &'a GuestRoot,
    /// The parent of the last entry: the next one is most often its neighbour.
    parent: Option<(PathBuf, OwnedFd)>,
}

/// Why an attribute was not set.
pub(crate) type Dropped = Vec<String>;

impl<'a> Site<'a> {
    pub(crate) fn new(root: &'a GuestRoot) -> Self {
        Self { root, parent: None }
    }

    /// Makes a directory, or takes the one that is there; then sets what the entry says of it, except its time.
    pub(crate) fn directory(&mut self, path: &Path, entry: &Entry) -> Result<Dropped, Error> {
        let dir = if path.as_os_str().is_empty() {
            self.root.open_dir_for_change("")?
        } else {
            let (parent, name) = self.parent(path, entry)?;
            match mkdirat(parent, name.as_os_str(), Mode::S_IRWXU) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(e) => return Err(failed("make the directory", entry, e)),
            }
            open_beneath(parent, Path::new(&name), OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0)
                .map_err(|e| failed("make the directory", entry, e))?
        };
        dress(dir.as_fd(), entry)
    }

    /// Sets a directory's time, when nothing is made in it any more.
    pub(crate) fn finish_directory(&self, path: &Path, mtime: (i64, u32)) -> Result<(), Error> {
        let dir = self.root.open_dir_for_change(path)?;
        let times = times(mtime);
        futimens(&dir, &times, &times).map_err(|e| Error::Place {
            action: "set the time of",
            entry: shown(path.as_os_str().as_bytes()),
            source: e.into(),
        })
    }

    /// A new file, in place of what had that name. Give it its data, then [`finish_file`](Self::finish_file).
    pub(crate) fn file(&mut self, path: &Path, entry: &Entry) -> Result<File, Error> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        if !path.as_os_str().is_empty() {
            // Most names are new: only where one is taken, what has it is looked at and removed.
            let (parent, name) = self.parent(path, entry)?;
            if let Ok(fd) = open_beneath(parent, Path::new(&name), flags, 0o600) {
                return Ok(File::from(fd));
            }
        }
        let (parent, name) = self.clear(path, entry)?;
        let fd =
            open_beneath(parent, Path::new(&name), flags, 0o600).map_err(|e| failed("make the file", entry, e))?;
        Ok(File::from(fd))
    }

    /// Owner, mode, attributes and time of a file whose data is complete.
    pub(crate) fn finish_file(file: &File, entry: &Entry) -> Result<Dropped, Error> {
        let dropped = dress(file.as_fd(), entry)?;
        let times = times(entry.mtime);
        futimens(file, &times, &times).map_err(|e| failed("set the time of", entry, e))?;
        Ok(dropped)
    }

    pub(crate) fn symlink(&mut self, path: &Path, entry: &Entry) -> Result<(), Error> {
        let (parent, name) = self.clear(path, entry)?;
        symlinkat(entry.link.as_slice(), parent, name.as_os_str()).map_err(|e| failed("make the link", entry, e))?;
        let link = itself(parent, &name).map_err(|e| failed("make the link", entry, e))?;
        own(link.as_fd(), entry)?;
        stamp(parent, &name, entry)
    }

    /// A second name for what the archive has already put (or what stood) below the root.
    pub(crate) fn hard_link(&mut self, path: &Path, target: &Path, entry: &Entry) -> Result<(), Error> {
        let found = open_beneath(self.root, target, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)
            .map_err(|e| failed("find the target of the hard link", entry, e))?;
        let stat = fstat(&found).map_err(|e| failed("find the target of the hard link", entry, e))?;
        if SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFDIR {
            return Err(refused(entry, "is a hard link to a directory"));
        }
        if path == target {
            return Err(refused(entry, "is a hard link to itself"));
        }
        let (parent, name) = self.clear(path, entry)?;
        linkat(&found, "", parent, name.as_os_str(), AtFlags::AT_EMPTY_PATH)
            .map_err(|e| failed("make the hard link", entry, e))
    }

    /// A FIFO or a device node.
    pub(crate) fn node(&mut self, path: &Path, kind: SFlag, entry: &Entry) -> Result<(), Error> {
        let (parent, name) = self.clear(path, entry)?;
        let device = makedev(entry.device.0, entry.device.1);
        let node =
            mknodat(parent, name.as_os_str(), kind, Mode::S_IRUSR, device).and_then(|()| itself(parent, &name));
        let node = node.map_err(|e| failed("make the node", entry, e))?;
        own(node.as_fd(), entry)?;
        // O_PATH descriptors have no fchmod(2); fchmodat2(2) came with Linux 6.6. The host's /proc leads to the object.
        let path = format!("/proc/self/fd/{}", node.as_raw_fd());
        std::fs::set_permissions(path, Permissions::from_mode(entry.mode))
            .map_err(|e| failed("set the mode of", entry, e))?;
        stamp(parent, &name, entry)
    }

    /// The directory that holds `path`, made if it is missing, and the last component.
    fn parent(&mut self, path: &Path, entry: &Entry) -> Result<(BorrowedFd<'_>, OsString), Error> {
        let (dir, name) = vserver_fs::split(path)?;
        if self.parent.as_ref().is_none_or(|(known, _)| *known != dir) {
            let opened = self.root.create_dir_all(&dir, 0o755).map_err(|e| match e {
                vserver_fs::Error::Symlink { .. } => refused(entry, "goes through a symbolic link"),
                other => Error::Root(other),
            })?;
            self.parent = Some((dir, opened));
        }
        let (_, fd) = self.parent.as_ref().ok_or_else(|| refused(entry, "has no parent"))?;
        Ok((fd.as_fd(), name))
    }

    /// The parent, after whatever stood at `path` was removed. A directory is not: its content may be somebody's.
    fn clear(&mut self, path: &Path, entry: &Entry) -> Result<(BorrowedFd<'_>, OsString), Error> {
        if path.as_os_str().is_empty() {
            return Err(refused(entry, "would replace the guest's root"));
        }
        let (parent, name) = self.parent(path, entry)?;
        match unlinkat(parent, name.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok((parent, name)),
            Err(Errno::EISDIR) => Err(refused(entry, "would replace a directory")),
            Err(e) => Err(failed("replace", entry, e)),
        }
    }
}

/// The object of that name, a link not followed.
fn itself(parent: BorrowedFd<'_>, name: &OsString) -> nix::Result<OwnedFd> {
    open_beneath(parent, Path::new(name), OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)
}

/// Owner, then mode (a new owner clears set-id bits), then attributes (a new owner clears capabilities).
fn dress(object: BorrowedFd<'_>, entry: &Entry) -> Result<Dropped, Error> {
    own(object, entry)?;
    nix::sys::stat::fchmod(object, Mode::from_bits_truncate(entry.mode))
        .map_err(|e| failed("set the mode of", entry, e))?;
    let mut dropped = Vec::new();
    for (name, value) in &entry.xattrs {
        let set = kept(name).map(|name| vserver_sys::xattr::set(object, &name, value));
        match set {
            Some(Ok(())) => {}
            Some(Err(e)) if e.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => dropped.push(shown(name)),
            Some(Err(e)) => return Err(failed("set an attribute of", entry, e)),
            None => dropped.push(shown(name)),
        }
    }
    Ok(dropped)
}

/// Attributes that mean the same in every guest. Labels, trusted.* (overlay internals) and inode flags are the host's.
pub(crate) fn kept(name: &[u8]) -> Option<CString> {
    const WHOLE: [&[u8]; 3] = [b"security.capability", b"system.posix_acl_access", b"system.posix_acl_default"];
    (WHOLE.contains(&name) || name.starts_with(b"user.")).then(|| CString::new(name).ok())?
}

fn own(object: BorrowedFd<'_>, entry: &Entry) -> Result<(), Error> {
    let (uid, gid) = (Uid::from_raw(entry.uid as u32), Gid::from_raw(entry.gid as u32));
    fchownat(object, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH | AtFlags::AT_SYMLINK_NOFOLLOW)
        .map_err(|e| failed("set the owner of", entry, e))
}

/// Time of an object that has no usable descriptor; the name is in a directory that nobody else writes to yet, and a
/// link is not followed.
fn stamp(parent: BorrowedFd<'_>, name: &OsString, entry: &Entry) -> Result<(), Error> {
    let times = times(entry.mtime);
    utimensat(parent, name.as_os_str(), &times, &times, UtimensatFlags::NoFollowSymlink)
        .map_err(|e| failed("set the time of", entry, e))
}

fn times(mtime: (i64, u32)) -> TimeSpec {
    TimeSpec::new(mtime.0, i64::from(mtime.1))
}

/// What a call's failure is called: a link on the way is the archive's doing.
pub(crate) fn failed(action: &'static str, entry: &Entry, source: impl Into<io::Error>) -> Error {
    let source = source.into();
    if source.raw_os_error() == Some(Errno::ELOOP as i32) {
        return refused(entry, "goes through a symbolic link");
    }
    Error::Place { action, entry: shown(&entry.name), source }
}

pub(crate) fn refused(entry: &Entry, reason: &str) -> Error {
    Error::Refused { entry: shown(&entry.name), reason: reason.to_owned() }
}
