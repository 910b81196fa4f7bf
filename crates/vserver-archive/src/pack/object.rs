//! What is in a file: its data without its holes, and its attributes. lseek(2), llistxattr(2).

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use nix::sys::stat::FileStat;
use rustix::fs::{SeekFrom, fgetxattr, flistxattr, seek};
use rustix::io::Errno;

use crate::place;
use crate::sparse::{Map, STRETCHES};

/// Limits of the kernel: `XATTR_LIST_MAX` and `XATTR_SIZE_MAX`, linux/limits.h.
const MAX: usize = 64 << 10;

/// The attributes that mean the same elsewhere, sorted by name.
pub(super) fn attributes(file: impl AsFd) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut names = vec![0; MAX];
    let length = match flistxattr(&file, &mut names[..]) {
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        length => length?,
    };
    let mut found = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| place::kept(name).is_some()) {
        let mut value = vec![0; MAX];
        let length = fgetxattr(&file, OsStr::from_bytes(name), &mut value[..])?;
        value.truncate(length);
        found.push((name.to_owned(), value));
    }
    found.sort_unstable();
    Ok(found)
}

/// The data of a file, to be read once.
pub(super) struct Content {
    pub file: File,
    /// Where the data is, if not everywhere.
    pub holes: Option<Map>,
    /// Whether the file has become shorter since it was looked at.
    pub shrank: bool,
    size: u64,
    next: usize,
    left: u64,
}

impl Content {
    /// Opens the very object that was looked at, whatever has its name by now.
    pub(super) fn open(object: impl AsFd, stat: &FileStat) -> io::Result<Self> {
        let path = format!("/proc/self/fd/{}", object.as_fd().as_raw_fd());
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
        let holes = if blocks * 512 < size { map(&file, size)? } else { None };
        let left = if holes.is_some() { 0 } else { size };
        Ok(Self { file, holes, shrank: false, size, next: 0, left })
    }

    /// Bytes that reading gives.
    pub(super) fn stored(&self) -> u64 {
        self.holes.as_ref().map_or(self.size, |map| map.stretches.iter().map(|(_, length)| length).sum())
    }

    /// Exactly as many bytes as [`stored`](Self::stored) says, whatever becomes of the file meanwhile.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let Some((at, length)) = self.holes.as_ref().and_then(|map| map.stretches.get(self.next)) else {
                return Ok(0);
            };
            self.left = *length;
            self.next += 1;
            self.file.seek(io::SeekFrom::Start(*at))?;
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let mut count = self.file.read(&mut buffer[..wanted])?;
        if count == 0 {
            self.shrank = true;
            buffer[..wanted].fill(0);
            count = wanted;
        }
        self.left -= count as u64;
        Ok(count)
    }
}

fn map(file: &File, size: u64) -> io::Result<Option<Map>> {
    let (mut stretches, mut at) = (Vec::new(), 0);
    while at < size {
        let begin = match seek(file, SeekFrom::Data(at)) {
            Ok(begin) => begin,
            Err(Errno::NXIO) => break,
            // A file system without the notion of a hole.
            Err(Errno::INVAL) => return whole(file),
            Err(e) => return Err(e.into()),
        };
        at = seek(file, SeekFrom::Hole(begin))?.min(size);
        if begin >= size || stretches.len() == STRETCHES - 1 {
            return whole(file);
        }
        stretches.push((begin, at - begin));
    }
    // Like GNU tar, which ends a map at the size.
    stretches.push((size, 0));
    Ok(Some(Map { stretches, size }))
}

/// All of it is data: read from the beginning.
fn whole(mut file: &File) -> io::Result<Option<Map>> {
    file.rewind()?;
    Ok(None)
}
