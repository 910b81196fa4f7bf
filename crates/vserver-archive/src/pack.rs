//! A tree as a tar archive (POSIX pax), with everything that [`unpack`](crate::unpack()) keeps: the same tree always gives
//! the same bytes.

mod head;
mod object;

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, major, minor};
use vserver_fs::GuestRoot;

use crate::error::shown;
use crate::{Choice, Error, Report, Select};
use head::Head;

/// Writes everything below `root` that `select` wants to `output`. Names are sorted and begin with `./`. Of what is
/// mounted below, only the empty directory goes along, unless `mounts` says that it belongs to the tree.
///
/// `progress` is told, often, how many bytes of data were read; when it breaks, the result is [`Error::Interrupted`].
/// Sockets cannot be in an archive: they are reported as left out.
pub fn pack(
    root: &GuestRoot,
    output: impl Write,
    mounts: bool,
    select: &mut dyn Select,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Report, Error> {
    Pack::new(output, mounts, select, progress, &mut |_, _| {}).all(root)
}

/// What [`pack`] would write, without reading any data: how much, whose, and which programs have set-id bits.
pub fn measure(root: &GuestRoot) -> Result<Report, Error> {
    survey(root, &mut |_, _| {})
}

/// The same, with what stat(2) says of each object but the root, sorted by name within its directory.
pub fn survey(root: &GuestRoot, each: &mut dyn FnMut(&Path, &FileStat)) -> Result<Report, Error> {
    struct Nothing;
    impl Select for Nothing {
        fn choose(&mut self, _: &Path, _: u64) -> Choice {
            Choice::Hollow
        }
    }
    Pack::new(io::sink(), false, &mut Nothing, &mut |_| ControlFlow::Continue(()), each).all(root)
}

struct Pack<'a, W> {
    output: W,
    mounts: bool,
    select: &'a mut dyn Select,
    progress: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
    /// Where an object with several names was first met.
    linked: HashMap<(u64, u64), Vec<u8>>,
    report: Report,
    each: &'a mut dyn FnMut(&Path, &FileStat),
}

/// A directory whose names are being gone through.
struct Level {
    fd: OwnedFd,
    path: PathBuf,
    names: std::vec::IntoIter<OsString>,
}

impl<'a, W: Write> Pack<'a, W> {
    fn new(
        output: W,
        mounts: bool,
        select: &'a mut dyn Select,
        progress: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
        each: &'a mut dyn FnMut(&Path, &FileStat),
    ) -> Self {
        Self { output, mounts, select, progress, linked: HashMap::new(), report: Report::default(), each }
    }

    fn all(mut self, root: &GuestRoot) -> Result<Report, Error> {
        self.tree(root.open_dir_for_change("")?)?;
        self.output
            .write_all(&[0; 1024])
            .and_then(|()| self.output.flush())
            .map_err(|e| write_failed(b"its end", e))?;
        Ok(self.report)
    }

    fn tree(&mut self, root: OwnedFd) -> Result<(), Error> {
        let stat = fstat(&root).map_err(|e| read_failed(b".", e))?;
        self.object(&root, &stat, b"./", Path::new(""))?;
        let mut levels = vec![level(root, PathBuf::new())?];
        while let Some(here) = levels.last_mut() {
            let Some(name) = here.names.next() else {
                levels.pop();
                continue;
            };
            let path = here.path.join(&name);
            if let Some(below) = self.named(&here.fd, &name, &path, stat.st_dev)? {
                levels.push(level(below, path)?);
            }
        }
        Ok(())
    }

    /// Writes one name; gives the directory to go into.
    fn named(&mut self, dir: &OwnedFd, name: &OsStr, path: &Path, device: u64) -> Result<Option<OwnedFd>, Error> {
        let bytes = path.as_os_str().as_bytes();
        if (self.progress)(self.report.bytes).is_break() {
            return Err(Error::Interrupted);
        }
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let object = match openat(dir, name, flags, Mode::empty()) {
            Ok(object) => object,
            // Somebody removed it meanwhile.
            Err(nix::errno::Errno::ENOENT) => return Ok(None),
            Err(e) => return Err(read_failed(bytes, e)),
        };
        let stat = fstat(&object).map_err(|e| read_failed(bytes, e))?;
        let is_dir = kind(&stat) == SFlag::S_IFDIR;
        let choice = self.select.choose(path, u64::try_from(stat.st_size).unwrap_or(0));
        if choice == Choice::Leave {
            return Ok(None);
        }
        (self.each)(path, &stat);
        self.report.highest_id = self.report.highest_id.max(u64::from(stat.st_uid)).max(u64::from(stat.st_gid));
        if choice == Choice::Hollow && !is_dir {
            self.count(&stat, bytes);
            return Ok(None);
        }
        let mut shown_name = [b"./", bytes].concat();
        if !is_dir {
            self.object(&object, &stat, &shown_name, path)?;
            return Ok(None);
        }
        shown_name.push(b'/');
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let below = openat(&object, ".", flags, Mode::empty()).map_err(|e| read_failed(bytes, e))?;
        self.object(&below, &stat, &shown_name, path)?;
        if stat.st_dev != device && !self.mounts {
            self.report.skip(shown(bytes), "has something mounted on it, which is not part of the tree".to_owned());
            return Ok(None);
        }
        Ok(Some(below))
    }

    /// Only looks.
    fn count(&mut self, stat: &FileStat, name: &[u8]) {
        self.report.entries += 1;
        let first = stat.st_nlink < 2 || self.linked.insert((stat.st_dev, stat.st_ino), Vec::new()).is_none();
        if kind(stat) == SFlag::S_IFREG && first {
            self.report.bytes += u64::try_from(stat.st_size).unwrap_or(0);
            if stat.st_mode & 0o6000 != 0 {
                self.report.setid(|| shown(name));
            }
        }
    }

    fn object(&mut self, object: &OwnedFd, stat: &FileStat, name: &[u8], path: &Path) -> Result<(), Error> {
        let mut head = Head::new(name, stat);
        match kind(stat) {
            SFlag::S_IFDIR => {
                head.kind = b'5';
                head.xattrs = object::attributes(object).map_err(|e| read_failed(name, e))?;
            }
            SFlag::S_IFSOCK => {
                self.report
                    .skip(shown(path.as_os_str().as_bytes()), "is a socket, which no archive holds".to_owned());
                return Ok(());
            }
            _ if self.is_further_name(stat, name, &mut head) => {}
            SFlag::S_IFREG => return self.file(object, stat, head),
            SFlag::S_IFLNK => {
                head.kind = b'2';
                head.link = readlinkat(object, "").map_err(|e| read_failed(name, e))?.into_encoded_bytes();
            }
            SFlag::S_IFIFO => head.kind = b'6',
            special => {
                head.kind = if special == SFlag::S_IFBLK { b'4' } else { b'3' };
                head.device = (major(stat.st_rdev), minor(stat.st_rdev));
            }
        }
        self.report.entries += 1;
        self.write(name, &head.bytes())
    }

    /// Makes a hard link of what was written by another name.
    fn is_further_name(&mut self, stat: &FileStat, name: &[u8], head: &mut Head<'_>) -> bool {
        if stat.st_nlink < 2 {
            return false;
        }
        match self.linked.entry((stat.st_dev, stat.st_ino)) {
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(name.to_owned());
                false
            }
            std::collections::hash_map::Entry::Occupied(known) => {
                head.kind = b'1';
                head.link.clone_from(known.get());
                true
            }
        }
    }

    fn file(&mut self, object: &OwnedFd, stat: &FileStat, mut head: Head<'_>) -> Result<(), Error> {
        let failed = |e: io::Error| read_failed(head.name, e);
        let mut content = object::Content::open(object, stat).map_err(failed)?;
        head.xattrs = object::attributes(content.file.as_fd()).map_err(failed)?;
        head.holes.clone_from(&content.holes);
        head.size = content.stored();
        self.report.entries += 1;
        if stat.st_mode & 0o6000 != 0 {
            self.report.setid(|| shown(head.name));
        }
        self.write(head.name, &head.bytes())?;
        let mut buffer = vec![0; 256 << 10];
        let mut written = 0;
        loop {
            let count = content.read(&mut buffer).map_err(failed)?;
            if count == 0 {
                break;
            }
            self.write(head.name, &buffer[..count])?;
            written += count as u64;
            self.report.bytes += count as u64;
            if (self.progress)(self.report.bytes).is_break() {
                return Err(Error::Interrupted);
            }
        }
        if content.shrank {
            self.report.skip(shown(head.name), "became shorter while it was read; the rest is zeros".to_owned());
        }
        let padding = (512 - written % 512) % 512;
        self.write(head.name, &[0; 512][..padding as usize])
    }

    fn write(&mut self, name: &[u8], bytes: &[u8]) -> Result<(), Error> {
        self.output.write_all(bytes).map_err(|e| write_failed(name, e))
    }
}

fn level(fd: OwnedFd, path: PathBuf) -> Result<Level, Error> {
    let failed = |e: nix::Error| read_failed(path.as_os_str().as_bytes(), e);
    let copy = fd.try_clone().map_err(|e| read_failed(path.as_os_str().as_bytes(), e))?;
    let mut names = Vec::new();
    for entry in Dir::from_fd(copy).map_err(failed)?.iter() {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort_unstable();
    Ok(Level { fd, path, names: names.into_iter() })
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn read_failed(name: &[u8], source: impl Into<io::Error>) -> Error {
    Error::Pack { action: "read", entry: shown(name), source: source.into() }
}

fn write_failed(name: &[u8], source: io::Error) -> Error {
    Error::Pack { action: "write", entry: shown(name), source }
}
