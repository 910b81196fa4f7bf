//! Files on the places of loop devices. This process is the guest's root in the caller's mount namespace already, except
//! where [`Given`] is looked for.
//!
//! Who gives a place a file has opened the place. That open file, which is his, is locked (flock(2)) by whoever helps him: the lock
//! is there until he closes it or ends, however he does. So no two give the same place a file at the same time, and a file whose
//! giver has gone before he mounted it is known by the lock that is missing.

use std::fs::{File, TryLockError};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, lstat};
use vserver_sys::mount::{self, NOSYMFOLLOW};

use super::super::caller::number_of;
use super::place_of;
use crate::dev::loops::{self, COUNT, Place};

/// What is read of a table of mounts at most, bytes: some thousand mounts.
const LONGEST_TABLE: u64 = 1 << 20;

/// A place that has a file.
#[derive(Debug)]
pub(in super::super) struct Given {
    pub number: u32,
    /// The file's path in the guest, if it is known.
    pub file: Option<String>,
    /// It is free when the file is mounted.
    pub clears_itself: bool,
}

impl Given {
    /// That which an open file lies on, where process `pid` is.
    pub fn of(file: &OwnedFd, pid: i32) -> Option<Self> {
        let Some(Place::Loop(number)) = place_of(file) else { return None };
        let mut table = Vec::new();
        let read = File::open(format!("/proc/{pid}/mountinfo"))
            .and_then(|mounts| mounts.take(LONGEST_TABLE).read_to_end(&mut table));
        let path = read.ok().and_then(|_| path_of(number, &String::from_utf8_lossy(&table)));
        Some(Self { number, file: path, clears_itself: is_marked(file.as_fd()) })
    }
}

/// That of the file on a place, by a `mountinfo`, proc(5): a file is told by where the file system that it is of is mounted, and
/// the rest.
fn path_of(number: u32, table: &str) -> Option<String> {
    let lines = || {
        table.lines().filter_map(|line| {
            let mut words = line.split(' ').skip(2);
            Some([words.next()?, words.next()?, words.next()?])
        })
    };
    let place = loops::path(number);
    let [device, file, _] = lines().rfind(|[_, _, at]| *at == place)?;
    let of_it = lines().filter(|[other, _, at]| *other == device && *at != place);
    let below = |root: &str| file.strip_prefix(root.trim_end_matches('/')).filter(|rest| rest.starts_with('/'));
    let found = of_it.filter_map(|[_, root, at]| Some((below(root)?, at))).min_by_key(|(rest, _)| rest.len());
    let path = found.map(|(rest, at)| format!("{}{rest}", at.trim_end_matches('/')));
    // Blanks and the like are written as numbers there.
    path.filter(|path| !path.contains(['\\', char::REPLACEMENT_CHARACTER]) && !path.ends_with("//deleted"))
}

/// The mark of a place that clears itself is that links on it are not followed: it means nothing for a file.
fn is_marked(place: BorrowedFd<'_>) -> bool {
    mount::follows_no_links(place).unwrap_or(false)
}

fn is_file(found: &FileStat) -> bool {
    found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits()
}

/// As they are made.
fn is_bare(found: &FileStat) -> bool {
    is_file(found) && found.st_size == 0
}

/// Whether it is ours and has no file.
pub(super) fn is_free(number: u32) -> nix::Result<bool> {
    Ok(is_bare(&lstat(loops::path(number).as_str())?))
}

/// What is there, by its path only.
fn look(number: u32) -> nix::Result<OwnedFd> {
    open(loops::path(number).as_str(), OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
}

/// The first that nobody has locked: one that has no file, or one that clears itself, whose giver has gone.
///
/// # Errors
/// `ENOSPC` if there is none.
pub(super) fn free_number() -> nix::Result<u32> {
    let is_free_now = |number: &u32| {
        let Ok(place) = open_bare(*number) else { return false };
        place.try_lock().is_ok() && (is_free(*number) == Ok(true) || forget(*number).is_ok())
    };
    (0..COUNT).find(is_free_now).ok_or(Errno::ENOSPC)
}

/// It, whatever is mounted on it.
fn open_bare(number: u32) -> nix::Result<File> {
    let path = loops::bare_path(number);
    if !is_bare(&lstat(path.as_str())?) {
        return Err(Errno::EBUSY);
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    open(path.as_str(), flags, Mode::empty()).map(File::from)
}

/// One whose giver has gone, unless it is to stay.
fn forget(number: u32) -> nix::Result<()> {
    if is_marked(look(number)?.as_fd()) { release(number) } else { Err(Errno::EBUSY) }
}

/// Gives `place`, which the caller has opened, a file.
///
/// # Errors
/// `EBUSY` if it has one, or somebody else is about to give it one; `EINVAL` if that is no file that the caller sees in his mount
/// namespace, or an empty one.
pub(super) fn give(number: u32, place: &File, image: &OwnedFd, clears_itself: bool) -> nix::Result<()> {
    let found = fstat(image)?;
    if !is_file(&found) || is_bare(&found) {
        return Err(Errno::EINVAL);
    }
    lock(number, place)?;
    let copy = mount::clone_tree(image.as_fd(), c"", false).map_err(number_of)?;
    if clears_itself {
        mount::set_attributes(copy.as_fd(), NOSYMFOLLOW, 0, false).map_err(number_of)?;
    }
    mount::attach(copy.as_fd(), place.as_fd()).map_err(number_of)
}

/// For as long as the caller has it open.
fn lock(number: u32, place: &File) -> nix::Result<()> {
    // What he has opened may be the file that is mounted there.
    is_uncovered(number, place)?;
    place.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Errno::EBUSY,
        TryLockError::Error(error) => number_of(error),
    })?;
    // Another may have been here in between.
    is_uncovered(number, place)
}

fn is_uncovered(number: u32, place: &File) -> nix::Result<()> {
    let (there, own) = (lstat(loops::path(number).as_str())?, fstat(place)?);
    let is_own = (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino);
    if is_own && is_bare(&own) { Ok(()) } else { Err(Errno::EBUSY) }
}

/// The file on it goes when its giver does.
pub(super) fn clears_itself(number: u32) -> nix::Result<()> {
    mount::set_attributes(look(number)?.as_fd(), NOSYMFOLLOW, 0, false).map_err(number_of)
}

/// The place has no file any more. What is mounted of it stays so.
pub(in super::super) fn release(number: u32) -> nix::Result<()> {
    umount2(loops::path(number).as_str(), MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_by_its_path_inside() {
        let table = "30 1 8:1 /vservers/web / rw - ext4 /dev/sda1 rw\n31 30 0:50 / /dev rw - tmpfs none rw\n\
                     32 30 0:51 / /mnt rw - tmpfs none rw\n33 31 8:1 /vservers/web/srv/a.img /dev/loop0 rw - ext4 /dev/sda1 rw\n\
                     34 31 0:51 /b.img /dev/loop1 rw,nosymfollow - tmpfs none rw\n35 31 8:2 /c.img /dev/loop2 rw - ext4 /dev/sda2 rw\n\
                     36 31 0:51 /d\\040d.img /dev/loop4 rw - tmpfs none rw\n37 31 0:51 /e";
        assert_eq!(path_of(0, table).as_deref(), Some("/srv/a.img"));
        assert_eq!(path_of(1, table).as_deref(), Some("/mnt/b.img"));
        for unknown in [2, 3, 4] {
            assert_eq!(path_of(unknown, table), None, "{unknown}");
        }
    }
}
