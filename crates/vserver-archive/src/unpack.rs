//! The whole archive: entry after entry, within limits, until its end mark.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::stat::SFlag;
use vserver_fs::GuestRoot;

use crate::error::shown;
use crate::place::{Site, refused};
use crate::stream::{Entry, Kind, Stream};
use crate::{All, Choice, Error, Options, Report, Select, ahead, codec, content, name};

/// Character devices that every guest may have, by major and minor number: null, zero, full, random, urandom, tty,
/// console, ptmx. Linux, `Documentation/admin-guide/devices.txt`.
const DEVICES: [(u64, u64); 8] = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];
/// Directories whose time is restored; more keep the time at which they were unpacked.
const TIMED_DIRECTORIES: usize = 1 << 20;
/// Bytes of data that are copied at once.
const BUFFER: usize = 256 << 10;

/// Unpacks `input`, a tar or cpio archive (plain or compressed by gzip, bzip2, xz or zstd), below `root`.
///
/// `progress` is told, often, how many bytes of `input` were read; when it breaks, unpacking ends with
/// [`Error::Interrupted`]. After any error what was made so far stays; it is for the caller to throw the tree away.
///
/// Files and links replace what has their name; a directory is never replaced, and no entry may go through a symbolic
/// link. Device nodes other than the harmless ones are left out and reported. Compressed input is decoded in a thread.
pub fn unpack(
    input: impl Read + Send,
    root: &GuestRoot,
    options: &Options,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Report, Error> {
    unpack_selected(input, root, options, &mut All, progress)
}

/// The same, of what `select` wants.
pub fn unpack_selected(
    input: impl Read + Send,
    root: &GuestRoot,
    options: &Options,
    select: &mut dyn Select,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Report, Error> {
    let count = AtomicU64::new(0);
    let input = Meter { input, count: &count };
    let mut tick = || match progress(count.load(Ordering::Relaxed)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Interrupted),
    };
    std::thread::scope(|scope| {
        let codec::Opened { stream, archive, compressed } = codec::open(input)?;
        let failed = |source| Error::Read { entry: None, source };
        let stream: Box<dyn Read> =
            if compressed { Box::new(ahead::read(scope, stream).map_err(failed)?) } else { stream };
        let mut work = Work {
            stream: Stream::new(stream, archive),
            site: Site::new(root),
            options,
            select,
            report: Report::default(),
            directories: Vec::new(),
            buffer: vec![0; BUFFER],
        };
        work.all(&mut tick)?;
        Ok(work.report)
    })
}

struct Work<'a, R> {
    stream: Stream<R>,
    site: Site<'a>,
    options: &'a Options,
    select: &'a mut dyn Select,
    report: Report,
    directories: Vec<(PathBuf, (i64, u32))>,
    buffer: Vec<u8>,
}

/// Asked often; an error ends the work.
type Tick<'a> = &'a mut dyn FnMut() -> Result<(), Error>;

impl<R: Read> Work<'_, R> {
    fn all(&mut self, tick: Tick<'_>) -> Result<(), Error> {
        while let Some(entry) = self.stream.next()? {
            tick()?;
            self.entry(&entry, tick)?;
        }
        for (path, mtime) in self.directories.iter().rev() {
            self.site.finish_directory(path, *mtime)?;
        }
        tick()
    }

    fn entry(&mut self, entry: &Entry, tick: Tick<'_>) -> Result<(), Error> {
        let limits = &self.options.limits;
        self.report.entries += 1;
        if self.report.entries > limits.entries {
            return Err(Error::TooMuch { entry: shown(&entry.name), limit: limits.entries, unit: "entries" });
        }
        if entry.uid >= self.options.ids || entry.gid >= self.options.ids {
            return Err(refused(entry, &format!("has an owner or group above {}", self.options.ids - 1)));
        }
        let Some(path) = self.place(&entry.name, "a name", entry)? else { return self.leave() };
        let choice = self.select.choose(&path, entry.length());
        if choice == Choice::Leave {
            return self.leave();
        }
        self.note(entry);
        match entry.kind {
            Kind::Directory => self.directory(path, entry)?,
            Kind::File => self.file(&path, entry, choice, tick)?,
            Kind::Symlink => {
                if entry.link.is_empty() || entry.link.len() >= limits.path || entry.link.contains(&0) {
                    return Err(refused(entry, "is a symbolic link without a usable target"));
                }
                self.site.symlink(&path, entry)?;
            }
            Kind::HardLink => self.hard_link(&path, entry)?,
            Kind::Fifo => self.site.node(&path, SFlag::S_IFIFO, entry)?,
            Kind::Character if DEVICES.contains(&entry.device) => self.site.node(&path, SFlag::S_IFCHR, entry)?,
            Kind::Character | Kind::Block => self.device(entry),
        }
        Ok(())
    }

    /// Where a name of the archive is below the root; `None` if it is beside the directory that is wanted.
    fn place(&self, name: &[u8], what: &str, entry: &Entry) -> Result<Option<PathBuf>, Error> {
        let path = name::below_root(name, what, &entry.name, &self.options.limits)?;
        let below = self.select.below();
        if below.as_os_str().is_empty() {
            return Ok(Some(path));
        }
        Ok(path.strip_prefix(below).ok().map(Path::to_owned))
    }

    fn leave(&mut self) -> Result<(), Error> {
        self.report.entries -= 1;
        Ok(())
    }

    fn note(&mut self, entry: &Entry) {
        self.report.highest_id = self.report.highest_id.max(entry.uid).max(entry.gid);
        if entry.kind == Kind::File && entry.mode & 0o6000 != 0 {
            self.report.setid(|| shown(&entry.name));
        }
    }

    fn directory(&mut self, path: PathBuf, entry: &Entry) -> Result<(), Error> {
        let dropped = self.site.directory(&path, entry)?;
        self.dropped(entry, dropped);
        if self.directories.len() < TIMED_DIRECTORIES {
            self.directories.push((path, entry.mtime));
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, entry: &Entry, choice: Choice, tick: Tick<'_>) -> Result<(), Error> {
        self.room_for(entry)?;
        let mut file = self.site.file(path, entry)?;
        match choice {
            Choice::Hollow => content::hole(&file, entry)?,
            _ => content::copy(&mut self.stream, &mut file, entry, &mut self.buffer, tick)?,
        }
        self.report.bytes += entry.length();
        let dropped = Site::finish_file(&file, entry)?;
        self.dropped(entry, dropped);
        Ok(())
    }

    fn room_for(&self, entry: &Entry) -> Result<(), Error> {
        let limits = &self.options.limits;
        let too_much = |limit| Err(Error::TooMuch { entry: shown(&entry.name), limit, unit: "bytes" });
        if entry.length() > limits.file {
            return too_much(limits.file);
        }
        match limits.total.filter(|limit| entry.length() > limit.saturating_sub(self.report.bytes)) {
            Some(limit) => too_much(limit),
            None => Ok(()),
        }
    }

    fn hard_link(&mut self, path: &Path, entry: &Entry) -> Result<(), Error> {
        match self.place(&entry.link, "a target", entry)? {
            Some(target) if self.select.choose(&target, 0) != Choice::Leave => {
                self.site.hard_link(path, &target, entry)
            }
            _ => {
                self.report.entries -= 1;
                self.report.skip(shown(&entry.name), "is a hard link to what was left out".to_owned());
                Ok(())
            }
        }
    }

    fn device(&mut self, entry: &Entry) {
        let kind = if entry.kind == Kind::Block { "block" } else { "character" };
        let (major, minor) = entry.device;
        self.report.entries -= 1;
        self.report.skip(shown(&entry.name), format!("{kind} device {major}:{minor} is not given to guests"));
    }

    fn dropped(&mut self, entry: &Entry, mut names: Vec<String>) {
        names.extend(entry.lost.iter().map(|name| format!("{} (of users by name)", shown(name))));
        if !names.is_empty() {
            self.report.skip(shown(&entry.name), format!("attributes not kept: {}", names.join(", ")));
        }
    }
}

/// Counts what is read.
struct Meter<'a, R> {
    input: R,
    count: &'a AtomicU64,
}

impl<R: Read> Read for Meter<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
