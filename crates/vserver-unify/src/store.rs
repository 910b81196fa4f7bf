//! The files that guests of one file system share, each under its digest. Source: util-vserver, `behaviours.md` §9.3.
//!
//! ```text
//!  .hash/                 0700, root's: nobody reaches an old set-user-id file through it
//!  ├── method             pieces-48; sha1 in stores of util-vserver, blake3 and blake3-80 in our first ones
//!  ├── .lock              one run at a time
//!  └── qN6w2+bd           digest; -00000001 and on behind it where equal digests belong to files that are not equal
//! ```
//!
//! Older stores have entries `ab/…-00000000`, in directories, and `.index` with the inodes of all of them, so that a
//! second run need not look at them. A flat one is listed instead.
//!
//! An entry is one more name of a file that guests have. Whoever removes those with one name only (`find .hash -type f
//! -links 1 -delete`) frees what no guest uses any more.

mod index;
mod method;

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::stat::{Mode, fstat, mkdirat};
use vserver_fs::Flock;

use crate::Error;
use crate::exchange::link;
use crate::held::open_to_read;
use crate::same::{Key, Model, Room};
pub(crate) use method::Extent;
use method::Method;

/// Most entries with one digest that are tried.
const ENTRIES: u32 = 4_096;
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
pub(crate) struct Slot<'a> {
    store: &'a OwnedFd,
    /// As it is told.
    pub digest: String,
    directories: Vec<String>,
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
        let index = if method.is_flat() { index::list(path)? } else { index::read(path)? };
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

    /// The digests under which a file may lie, in this order, with how many entries may lie there that are not equal.
    pub(crate) fn extents(&self) -> impl Iterator<Item = (Extent, u32)> + use<> {
        self.method.extents().iter().map(|extent| (*extent, if *extent == Extent::All { ENTRIES } else { 1 }))
    }

    /// Where a file belongs by its digest of that extent.
    pub(crate) fn slot(&self, file: &mut Model, key: &Key, extent: Extent, room: &mut Room) -> io::Result<Slot<'_>> {
        let digest = self.method.digest(file, key, extent, room)?;
        let (directories, rest) = self.method.place(&digest);
        Ok(Slot { store: &self.dir, digest, directories, rest })
    }

    /// Remembers what is shared now besides what it knew.
    pub(crate) fn remember(&mut self, mut inodes: Vec<u64>) -> Result<(), Error> {
        if inodes.is_empty() {
            return Ok(());
        }
        self.index.append(&mut inodes);
        self.index.sort_unstable();
        self.index.dedup();
        if self.method.is_flat() { Ok(()) } else { index::write(&self.path, &self.index) }
    }
}

impl Slot<'_> {
    /// The entry with this number, if there is one.
    pub fn entry(&self, number: u32) -> io::Result<Option<File>> {
        match open_to_read(self.store, OsStr::new(&self.name(number))) {
            Ok(entry) => Ok(Some(entry)),
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes an open file the entry with this number, and the directories for it; false if there is one.
    pub fn fill(&self, number: u32, file: &File) -> nix::Result<bool> {
        let name = self.name(number);
        let done = match link(file, self.store, &name) {
            Err(Errno::ENOENT) => self.make().and_then(|()| link(file, self.store, &name)),
            done => done,
        };
        match done {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn make(&self) -> nix::Result<()> {
        let mut path = String::new();
        for name in &self.directories {
            path.push_str(name);
            match mkdirat(self.store, path.as_str(), Mode::S_IRWXU) {
                Ok(()) | Err(Errno::EEXIST) => path.push('/'),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Below the store, in which there are no links: it is root's alone.
    fn name(&self, number: u32) -> String {
        if self.directories.is_empty() {
            return if number == 0 { self.rest.clone() } else { format!("{}-{number:08x}", self.rest) };
        }
        format!("{}/{}-{number:08x}", self.directories.join("/"), self.rest)
    }
}

/// Names of a directory of the administrator's.
fn names(path: &Path) -> io::Result<Vec<OsString>> {
    std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
}
