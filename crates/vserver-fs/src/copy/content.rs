//! What is in a file: its blocks shared if that can be, else its data without its holes. ioctl_ficlone(2), lseek(2).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::FileStat;
use nix::unistd::{UnlinkatFlags, unlinkat};
use rustix::fs::{SeekFrom, ioctl_ficlone, seek};
use rustix::io::Errno;

use super::Check;
use crate::lookup;

/// How much is copied before somebody may interrupt.
const CHUNK: u64 = 64 << 20;

/// A call failed, or the caller has had enough.
pub(super) enum Fault<E> {
    Io(io::Error),
    Stopped(E),
}

impl<E> Fault<E> {
    pub fn or<F: Into<E>>(self, error: impl FnOnce(io::Error) -> F) -> E {
        match self {
            Self::Io(e) => error(e).into(),
            Self::Stopped(e) => e,
        }
    }
}

/// Makes the file `name` in `dir` of the blocks of `object`, if that can be.
pub(super) fn share(object: &OwnedFd, dir: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    let (source, target) = pair(object, dir, name)?;
    if ioctl_ficlone(&target, &source).is_ok() {
        return Ok(true);
    }
    unlinkat(dir, name, UnlinkatFlags::NoRemoveDir)?;
    Ok(false)
}

/// The very object that was looked at, whatever has its name by now; and a new file.
fn pair(object: &OwnedFd, dir: &OwnedFd, name: &OsStr) -> io::Result<(File, File)> {
    let source = File::open(lookup::by_descriptor(object))?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    let target = lookup::beneath(dir, Path::new(name), flags, 0o600)?;
    Ok((source, File::from(target)))
}

/// Makes the file `name` in `dir` with the content of `object`.
pub(super) fn copy<E>(
    object: &OwnedFd,
    stat: &FileStat,
    dir: &OwnedFd,
    name: &OsStr,
    check: Check<'_, E>,
) -> Result<(), Fault<E>> {
    let (source, target) = pair(object, dir, name).map_err(Fault::Io)?;
    if ioctl_ficlone(&target, &source).is_ok() {
        return Ok(());
    }
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    target.set_len(size).map_err(Fault::Io)?;
    let mut at = 0;
    while let Some((begin, end)) = data(&source, at, size).map_err(Fault::Io)? {
        at = begin;
        while at < end {
            check().map_err(Fault::Stopped)?;
            let length = (end - at).min(CHUNK);
            let copied = piece(&source, &target, at, length).map_err(Fault::Io)?;
            if copied == 0 {
                // It became shorter meanwhile.
                return Ok(());
            }
            at += copied;
        }
    }
    Ok(())
}

/// The next stretch of data at or after `at`.
fn data(source: &File, at: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= size {
        return Ok(None);
    }
    match seek(source, SeekFrom::Data(at)) {
        Ok(begin) => Ok(Some((begin, seek(source, SeekFrom::Hole(begin))?.min(size)))),
        Err(Errno::NXIO) => Ok(None),
        // A file system without the notion of a hole.
        Err(Errno::INVAL) => Ok(Some((at, size))),
        Err(e) => Err(e.into()),
    }
}

fn piece(mut source: &File, mut target: &File, at: u64, length: u64) -> io::Result<u64> {
    source.seek(io::SeekFrom::Start(at))?;
    target.seek(io::SeekFrom::Start(at))?;
    io::copy(&mut source.take(length), &mut target)
}
