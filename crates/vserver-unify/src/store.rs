//! The files that guests of one file system share, each under its digest. Source: util-vserver, `behaviours.md` §9.3.
//!
//! ```text
//!  .hash/                 0700, root's: nobody reaches an old set-user-id file through it
//!  ├── method             sha1 (stores of util-vserver) or blake3
//!  ├── .index             the inodes of all entries, so that a second run need not look at them
//!  ├── .lock              one run at a time
//!  └── ab/…-00000000      digest, and a number where equal digests belong to files that are not equal
//! ```
//!
//! An entry is one more name of a file that guests have. Whoever removes those with one name only (`find .hash -type f
//! -links 1 -delete`) frees what no guest uses any more.

mod index;
mod method;

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fstat, mkdirat};
use vserver_fs::{Flock, open_beneath};

use crate::Error;
use crate::same::{Buffers, Key};
use method::Method;

/// How long another run is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

/// A store, with its lock.
#[derive(Debug)]
pub struct Store {
    dir: OwnedFd,
    path: PathBuf,
    device: u64,
    method: Method,
    index: Vec<u64>,
    _lock: Flock,
}

/// Where a file belongs in the store.
pub(crate) struct Slot {
    dir: OwnedFd,
    rest: String,
}

impl Store {
    /// Opens the store at `path`, a directory of the administrator's, which is made if it is missing. Waits for another run.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if !path.is_dir() {
            DirBuilder::new().mode(0o700).create(path).map_err(Error::io("make the store", path))?;
        }
        let dir = OwnedFd::from(File::open(path).map_err(Error::io("open the store", path))?);
        let found = fstat(&dir).map_err(Error::io("look at the store", path))?;
        nix::sys::stat::fchmod(&dir, Mode::S_IRWXU).map_err(Error::io("close to others", path))?;
        let lock = Flock::take(&path.join(".lock"), PATIENCE)?;
        let method = Method::of(path)?;
        let index = index::read(path)?;
        Ok(Self { dir, path: path.to_owned(), device: found.st_dev, method, index, _lock: lock })
    }

    /// The path that it was opened by, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its file system.
    pub(crate) fn device(&self) -> u64 {
        self.device
    }

    /// The inodes of all its entries, sorted.
    pub(crate) fn known(&self) -> &[u64] {
        &self.index
    }

    /// What is on its file system gets to the disk: what is exchanged afterwards has its content after a power failure.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        rustix::fs::syncfs(&self.dir).map_err(Error::io("write to the disk what is in", &self.path))
    }

    /// Where a file belongs; with `make` the directory for it is made.
    pub(crate) fn slot(
        &self,
        file: &File,
        key: &Key,
        room: &mut Buffers,
        make: bool,
    ) -> io::Result<Option<(Slot, String)>> {
        let digest = self.method.digest(file, key, room)?;
        let (directories, rest) = self.method.place(&digest);
        let mut dir = self.dir.try_clone()?;
        for name in directories {
            if make {
                match mkdirat(&dir, name.as_str(), Mode::S_IRWXU) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            match open_beneath(&dir, Path::new(&name), OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0) {
                Ok(next) => dir = next,
                Err(Errno::ENOENT) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some((Slot { dir, rest }, digest)))
    }

    /// Remembers what is shared now besides what it knew.
    pub(crate) fn remember(&mut self, mut inodes: Vec<u64>) -> Result<(), Error> {
        if inodes.is_empty() {
            return Ok(());
        }
        self.index.append(&mut inodes);
        self.index.sort_unstable();
        self.index.dedup();
        index::write(&self.path, &self.index)
    }
}

impl Slot {
    /// The entry with this number, if there is one.
    pub fn entry(&self, number: u32) -> io::Result<Option<File>> {
        match open_beneath(&self.dir, Path::new(&self.name(number)), OFlag::O_RDONLY | OFlag::O_NOFOLLOW, 0) {
            Ok(entry) => Ok(Some(File::from(entry))),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes an open file the entry with this number; false if there is one.
    pub fn fill(&self, number: u32, file: &File) -> nix::Result<bool> {
        match crate::exchange::link(file, &self.dir, &self.name(number)) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn name(&self, number: u32) -> String {
        format!("{}-{number:08x}", self.rest)
    }
}

/// Names of a directory of the administrator's.
fn names(path: &Path) -> io::Result<Vec<OsString>> {
    std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
}
