//! Bounds, and what of an archive is wanted.

use std::path::Path;

/// How much of anything an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries.
    pub entries: u64,
    /// Bytes of a name.
    pub path: usize,
    /// Directories that a name goes through.
    pub depth: usize,
    /// Bytes of all files together, holes counted; `None`: as much as the file system takes.
    pub total: Option<u64>,
    /// Bytes of one file, holes counted: an archive of one block can describe a file of exabytes.
    pub file: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 20_000_000, path: 4096, depth: 256, total: None, file: 16 << 40 }
    }
}

/// How to unpack.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bounds.
    pub limits: Limits,
    /// Owners and groups from this number on are refused: the range of a guest with a user namespace ends there.
    pub ids: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { limits: Limits::default(), ids: 65_536 }
    }
}

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is made.
    Take,
    /// It is made, and its data is a hole: to look at a tree without the space for it.
    Hollow,
    /// It is passed over.
    Leave,
}

/// Somebody who decides about each object. Names are checked and relative to the root.
pub trait Select {
    /// What becomes of the object `path`, which has `size` bytes of data.
    fn choose(&mut self, path: &Path, size: u64) -> Choice;

    /// The directory of the archive whose content is the root; what is beside it is passed over.
    fn below(&self) -> &Path {
        Path::new("")
    }
}

/// Everything is taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct All;

impl Select for All {
    fn choose(&mut self, _: &Path, _: u64) -> Choice {
        Choice::Take
    }
}
