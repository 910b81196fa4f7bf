//! The whole archive: entry after entry, within limits, until its end mark.

use std::cell::Cell;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::PathBuf;

use nix::sys::stat::SFlag;
use vserver_fs::GuestRoot;

use crate::error::shown;
use crate::place::{self, Site, refused};
use crate::stream::{Entry, Kind, Stream};
use crate::{Error, codec, name};

/// Character devices that every guest may have, by major and minor number: null, zero, full, random, urandom, tty,
/// console, ptmx. Linux, `Documentation/admin-guide/devices.txt`.
const DEVICES: [(u64, u64); 8] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];
/// Directories whose time is restored; more keep the time at which they were unpacked.
const TIMED_DIRECTORIES: usize = 65_536;
/// Entries listed in the report; more are only counted.
const LISTED: usize = 100;

/// How much of anything an archive may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries.
    pub entries: u64,
    /// Bytes of a name.
    pub path: usize,
    /// Directories that a name goes through.
    pub depth: usize,
    /// Bytes of data of all files together; `None`: as much as the file system takes.
    pub total: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 20_000_000, path: 4096, depth: 256, total: None }
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

/// Something that was left out on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The entry.
    pub entry: String,
    /// What of it, and why.
    pub reason: String,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Objects that were made.
    pub entries: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// The first hundred things that were left out.
    pub skipped: Vec<Skipped>,
    /// How many were left out altogether.
    pub skipped_total: u64,
}

/// Unpacks `input`, a tar archive (plain or compressed by gzip, bzip2, xz or zstd), below `root`.
///
/// `progress` is told, often, how many bytes of `input` were read; when it breaks, unpacking ends with
/// [`Error::Interrupted`]. After any error what was made so far stays; it is for the caller to throw the tree away.
///
/// Files and links replace what has their name; a directory is never replaced, and no entry may go through a symbolic
/// link. Device nodes other than the harmless ones are left out and reported.
pub fn unpack(
    input: impl Read,
    root: &GuestRoot,
    options: &Options,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Report, Error> {
    let count = Cell::new(0);
    let input = Meter { input, count: &count };
    let mut tick = || match progress(count.get()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Interrupted),
    };
    let mut work = Work {
        stream: Stream::new(codec::open(input)?),
        site: Site::new(root),
        options,
        report: Report::default(),
        directories: Vec::new(),
    };
    while let Some(entry) = work.stream.next()? {
        tick()?;
        work.entry(&entry, &mut tick)?;
    }
    for (path, mtime) in work.directories.iter().rev() {
        work.site.finish_directory(path, *mtime)?;
    }
    tick()?;
    Ok(work.report)
}

struct Work<'a, R> {
    stream: Stream<R>,
    site: Site<'a>,
    options: &'a Options,
    report: Report,
    directories: Vec<(PathBuf, (i64, u32))>,
}

impl<R: Read> Work<'_, R> {
    fn entry(&mut self, entry: &Entry, tick: &mut dyn FnMut() -> Result<(), Error>) -> Result<(), Error> {
        let limits = &self.options.limits;
        self.report.entries += 1;
        if self.report.entries > limits.entries {
            return Err(Error::TooMuch { entry: shown(&entry.name), limit: limits.entries, unit: "entries" });
        }
        if entry.uid >= self.options.ids || entry.gid >= self.options.ids {
            return Err(refused(entry, &format!("has an owner or group above {}", self.options.ids - 1)));
        }
        let path = name::below_root(&entry.name, "a name", &entry.name, limits)?;
        match entry.kind {
            Kind::Directory => {
                let dropped = self.site.directory(&path, entry)?;
                self.dropped(entry, &dropped);
                if self.directories.len() < TIMED_DIRECTORIES {
                    self.directories.push((path, entry.mtime));
                }
            }
            Kind::File => {
                let mut file = self.site.file(&path, entry)?;
                self.data(&mut file, entry, tick)?;
                let dropped = Site::finish_file(&file, entry)?;
                self.dropped(entry, &dropped);
            }
            Kind::Symlink => {
                if entry.link.is_empty() || entry.link.len() >= limits.path || entry.link.contains(&0) {
                    return Err(refused(entry, "is a symbolic link without a usable target"));
                }
                self.site.symlink(&path, entry)?;
            }
            Kind::HardLink => {
                let target = name::below_root(&entry.link, "a target", &entry.name, limits)?;
                self.site.hard_link(&path, &target, entry)?;
            }
            Kind::Fifo => self.site.node(&path, SFlag::S_IFIFO, entry)?,
            Kind::Character if DEVICES.contains(&entry.device) => self.site.node(&path, SFlag::S_IFCHR, entry)?,
            Kind::Character | Kind::Block => self.device(entry),
        }
        Ok(())
    }

    fn data(
        &mut self,
        file: &mut std::fs::File,
        entry: &Entry,
        tick: &mut dyn FnMut() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let left = self.options.limits.total.map(|limit| (limit, limit.saturating_sub(self.report.bytes)));
        if let Some((limit, _)) = left.filter(|(_, left)| entry.size > *left) {
            return Err(Error::TooMuch { entry: shown(&entry.name), limit, unit: "bytes" });
        }
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = self.stream.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            place::write(file, &buffer[..count], entry)?;
            self.report.bytes += count as u64;
            tick()?;
        }
    }

    fn device(&mut self, entry: &Entry) {
        let kind = if entry.kind == Kind::Block { "block" } else { "character" };
        let (major, minor) = entry.device;
        self.report.entries -= 1;
        self.skip(entry, format!("{kind} device {major}:{minor} is not given to guests"));
    }

    fn dropped(&mut self, entry: &Entry, names: &[String]) {
        if !names.is_empty() {
            self.skip(entry, format!("attributes not kept: {}", names.join(", ")));
        }
    }

    fn skip(&mut self, entry: &Entry, reason: String) {
        self.report.skipped_total += 1;
        if self.report.skipped.len() < LISTED {
            self.report.skipped.push(Skipped { entry: shown(&entry.name), reason });
        }
    }
}

/// Counts what is read.
struct Meter<'a, R> {
    input: R,
    count: &'a Cell<u64>,
}

impl<R: Read> Read for Meter<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}
