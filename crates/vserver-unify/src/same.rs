//! Whether two open files are the same in everything but their inode.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use nix::sys::stat::FileStat;
use rustix::fs::{fgetxattr, flistxattr};
use rustix::io::Errno;

/// How much of each is read at once.
pub(crate) const CHUNK: usize = 128 << 10;

/// What must be equal besides the content. Source: util-vserver, `behaviours.md` §9.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub size: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// In whole seconds; 0 where it does not count.
    pub mtime: i64,
}

impl Key {
    pub fn of(stat: &FileStat, ignore_mtime: bool) -> Self {
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mode: stat.st_mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: if ignore_mtime { 0 } else { stat.st_mtime },
        }
    }
}

/// Room for comparing, one for each thread.
pub(crate) struct Buffers {
    pub a: Vec<u8>,
    b: Vec<u8>,
}

impl Buffers {
    pub fn new() -> Self {
        Self { a: vec![0; CHUNK], b: vec![0; CHUNK] }
    }
}

/// Compares byte for byte, then the extended attributes (capabilities and ACLs among them).
pub(crate) fn same(a: &File, b: &File, room: &mut Buffers) -> io::Result<bool> {
    Ok(same_content(a, b, room)? && same_attributes(a, b, room)?)
}

fn same_content(a: &File, b: &File, room: &mut Buffers) -> io::Result<bool> {
    let mut at = 0;
    loop {
        let read = fill(a, &mut room.a, at)?;
        if read != fill(b, &mut room.b, at)? || room.a[..read] != room.b[..read] {
            return Ok(false);
        }
        if read < CHUNK {
            return Ok(true);
        }
        at += read as u64;
    }
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn fill(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn same_attributes(a: &File, b: &File, room: &mut Buffers) -> io::Result<bool> {
    let (names, others) = (names(a, &mut room.a)?, names(b, &mut room.b)?);
    if names != others {
        return Ok(false);
    }
    for name in names {
        let length = fgetxattr(a, &name[..], &mut room.a[..])?;
        if length != fgetxattr(b, &name[..], &mut room.b[..])? || room.a[..length] != room.b[..length] {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The names of the attributes, sorted: file systems list them in any order. A list has at most 64 KiB, a value too.
fn names(file: impl AsFd, buffer: &mut [u8]) -> io::Result<Vec<Vec<u8>>> {
    let length = match flistxattr(file, &mut *buffer) {
        Err(Errno::NOTSUP) => 0,
        length => length?,
    };
    let mut names: Vec<Vec<u8>> =
        buffer[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect();
    names.sort();
    Ok(names)
}
