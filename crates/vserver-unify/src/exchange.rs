//! One name gets another inode: a link beside it, then the rename over it, which is atomic. linkat(2), renameat(2).
//!
//! The new link is made from an open descriptor, so it is the very file that was compared. A temporary name that a crash
//! leaves says by itself what it is: it bears the number of its own inode, so that the next run can remove it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, renameat};
use nix::sys::stat::{FileStat, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

const PREFIX: &str = ".vserver-unify-";

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchanged {
    /// The name means the other inode now; so many bytes are free.
    Done { freed: u64 },
    /// Somebody has changed the file or its name meanwhile: it stays as it is.
    Changed,
    /// The inode has as many names as its file system allows, or may not have any here.
    Full,
}

/// Gives `name` in `dir`, which is `old`, looked at as `seen` before it was compared, the inode of `new`.
pub(crate) fn exchange(
    dir: &OwnedFd,
    name: &OsStr,
    (old, seen): (&File, &FileStat),
    new: &File,
) -> nix::Result<Exchanged> {
    let temporary = temporary(fstat(new)?.st_ino);
    match link(new, dir, &temporary) {
        // The link of a run that was killed.
        Err(Errno::EEXIST) => {
            unlinkat(dir, temporary.as_str(), UnlinkatFlags::NoRemoveDir)?;
            link(new, dir, &temporary)?;
        }
        Err(Errno::EMLINK) => return Ok(Exchanged::Full),
        done => done?,
    }
    let done = still(dir, name, old, seen).and_then(|still| match still {
        true => renameat(dir, temporary.as_str(), dir, name).map(|()| true),
        false => Ok(false),
    });
    if done != Ok(true) {
        unlinkat(dir, temporary.as_str(), UnlinkatFlags::NoRemoveDir).ok();
        return done.map(|_| Exchanged::Changed);
    }
    let left = fstat(old)?;
    let freed = if left.st_nlink == 0 { u64::try_from(left.st_blocks).unwrap_or(0) * 512 } else { 0 };
    Ok(Exchanged::Done { freed })
}

/// A further name for an open file.
pub(crate) fn link(file: &File, dir: &OwnedFd, name: &str) -> nix::Result<()> {
    linkat(file, "", dir, name, AtFlags::AT_EMPTY_PATH)
}

/// Whether the name means the file yet, and nobody has written to the file since it was looked at.
fn still(dir: &OwnedFd, name: &OsStr, old: &File, seen: &FileStat) -> nix::Result<bool> {
    let named = match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => return Ok(false),
        found => found?,
    };
    Ok(state(&fstat(old)?) == state(seen) && (named.st_dev, named.st_ino) == (seen.st_dev, seen.st_ino))
}

/// What every change of a file changes. The change time alone would do, but ticks of a coarse clock are long.
fn state(stat: &FileStat) -> [i64; 6] {
    [stat.st_ctime, stat.st_ctime_nsec, stat.st_mtime, stat.st_mtime_nsec, stat.st_size, i64::from(stat.st_mode)]
}

fn temporary(inode: u64) -> String {
    format!("{PREFIX}{inode:x}")
}

/// Whether a name is what a crash has left between link and rename.
pub(crate) fn is_left_over(name: &OsStr, inode: u64) -> bool {
    name.as_bytes().starts_with(PREFIX.as_bytes()) && name == OsStr::new(&temporary(inode))
}
