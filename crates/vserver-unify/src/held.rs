//! Files of trees, opened by the directory that they are in. Those that are dealt with one after the other are mostly in one
//! directory of each tree, so the last one of each tree is kept open.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, fstat};
use vserver_fs::{GuestRoot, open_beneath};

/// The first so many trees have a directory kept open: each thread keeps its own, and a process may open 1 024 files.
const TREES: usize = 24;

/// A file, held, with its directory.
pub(crate) struct Held {
    pub dir: Rc<OwnedFd>,
    pub name: OsString,
    pub file: File,
    pub stat: FileStat,
}

/// The last directory of each tree that was asked for.
#[derive(Default)]
pub(crate) struct Directories {
    last: Vec<Option<(Box<OsStr>, Rc<OwnedFd>)>>,
}

impl Directories {
    /// The directory of a file of the tree with this number.
    pub fn of(&mut self, tree: usize, root: &GuestRoot, path: &OsStr) -> Result<Rc<OwnedFd>, vserver_fs::Error> {
        let (parent, _) = split(path);
        if let Some(Some((known, dir))) = self.last.get(tree)
            && **known == *parent
        {
            return Ok(Rc::clone(dir));
        }
        let dir = Rc::new(root.open_dir_for_change(parent)?);
        if tree < TREES {
            self.last.resize_with(self.last.len().max(tree + 1), || None);
            self.last[tree] = Some((parent.into(), Rc::clone(&dir)));
        }
        Ok(dir)
    }
}

impl Held {
    /// Opens a file that is known to be a regular one; whether it still is says its state.
    pub fn open(dir: Rc<OwnedFd>, path: &OsStr) -> std::io::Result<Self> {
        let (_, name) = split(path);
        let file = open_to_read(&dir, name)?;
        let stat = fstat(&file)?;
        Ok(Self { dir, name: name.to_owned(), file, stat })
    }
}

/// Opens a name for reading; no link is followed, and that it was read does not show, which would be one write to the disk for
/// each file.
pub(crate) fn open_to_read(dir: impl AsFd, name: &OsStr) -> nix::Result<File> {
    // O_NONBLOCK: whoever puts a FIFO there meanwhile gets no process of ours to wait.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    match open_beneath(&dir, Path::new(name), flags | OFlag::O_NOATIME, 0) {
        // Only its owner and CAP_FOWNER may: open(2).
        Err(Errno::EPERM) => open_beneath(&dir, Path::new(name), flags, 0),
        opened => opened,
    }
    .map(File::from)
}

/// The directory of a path without a slash at its beginning, and its last part.
pub(crate) fn split(path: &OsStr) -> (&OsStr, &OsStr) {
    let bytes = path.as_bytes();
    let (parent, name) = match bytes.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (&[][..], bytes),
    };
    (OsStr::from_bytes(parent), OsStr::from_bytes(name))
}
