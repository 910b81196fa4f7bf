//! What programs ask of loop devices before they mount a file (ccapability `admin_cloop`): `mount FILE DIR`, of util-linux and of
//! busybox, looks for a free one, gives it the file, and mounts that. A guest has none; in their places are files (`dev/loops`)
//! whose ioctls the supervisor answers, loop(4).
//!
//! To give such a place a file is to mount the file on it, so that whoever opens the place reads the file, and mount(2) finds a
//! file. All of it is done as the guest's root, which may do the same by itself: nothing here has a right that the guest
//! lacks. What is no such place the kernel answers.

use std::fs::{self, read_link};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::{Mode, SFlag, fstat, lstat};
use vserver_sys::mount::{self, NOSYMFOLLOW};
use vserver_sys::pidfd;
use vserver_sys::seccomp::{self, Answer, Asked};

use super::Guest;
use super::caller::{self, process_of};
use super::memory::{read, write};
use super::mounts::{Caller, is_root};
use crate::birth::enter_v1;
use crate::dev::loops::{self, Place};

/// `LOOP_SET_FD`, `include/uapi/linux/loop.h`
const SET_FD: u32 = 0x4C00;
/// `LOOP_CLR_FD`
const CLEAR: u32 = 0x4C01;
/// `LOOP_SET_STATUS64`
const SET_STATUS: u32 = 0x4C04;
/// `LOOP_GET_STATUS64`
const GET_STATUS: u32 = 0x4C05;
/// `LOOP_CONFIGURE`
const CONFIGURE: u32 = 0x4C0A;
/// `LOOP_CTL_GET_FREE`
const GET_FREE: u32 = 0x4C82;

/// Size of `struct loop_info64`, bytes.
const INFO: usize = 232;
/// `lo_offset` and `lo_sizelimit` in it.
const PART: Range<usize> = 24..40;
/// `lo_flags` in it.
const FLAGS: usize = 52;
/// Where it begins in `struct loop_config`.
const BEFORE_INFO: usize = 8;
/// What a mount on a place has, as `mountinfo` calls it, if the program has said that it will not take the file away itself: it means
/// nothing for a file.
const MARK: &str = "nosymfollow";
/// `LO_FLAGS_AUTOCLEAR`
const AUTOCLEAR: u8 = 4;

/// The answer to ioctl(2).
pub(super) fn control(guest: &Guest<'_>, listener: BorrowedFd<'_>, asked: &Asked) -> Answer {
    match try_control(guest, listener, asked) {
        Ok(Some(number)) => Answer::Returned(number),
        Ok(None) => Answer::GoOn,
        Err(errno) => Answer::Failed(errno as i32),
    }
}

/// Which place an open file is, if it is one.
fn place_of(file: &OwnedFd) -> Option<Place> {
    let path = read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let is_file = fstat(file).is_ok_and(|found| found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits());
    is_file.then(|| loops::place_of(&path)).flatten()
}

/// A place that has a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub number: u32,
    /// Its path, if it is known.
    pub file: Option<String>,
    /// It loses the file when that was not mounted, too.
    pub clears_itself: bool,
}

impl Given {
    /// That which an open file lies on, where process `pid` is.
    pub fn of(file: &OwnedFd, pid: i32) -> Option<Self> {
        let Some(Place::Loop(number)) = place_of(file) else { return None };
        let table = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        Self::find(number, &table).or(Some(Self { number, file: None, clears_itself: false }))
    }

    /// By a `mountinfo`, proc(5): a file is told by where the file system that it is of is mounted, and the rest.
    fn find(number: u32, table: &str) -> Option<Self> {
        let lines = || {
            table.lines().filter_map(|line| {
                let mut words = line.split(' ').skip(2);
                Some([words.next()?, words.next()?, words.next()?, words.next()?])
            })
        };
        let place = loops::path(number);
        let [device, file, _, options] = lines().rfind(|[_, _, at, _]| *at == place)?;
        let of_it = lines().filter(|[other, _, at, _]| *other == device && *at != place);
        let below = |root: &str| file.strip_prefix(root.trim_end_matches('/')).filter(|rest| rest.starts_with('/'));
        let found = of_it.filter_map(|[_, root, at, _]| Some((below(root)?, at))).min_by_key(|(rest, _)| rest.len());
        let path = found.map(|(rest, at)| format!("{}{rest}", at.trim_end_matches('/')));
        // Blanks and the like are written as numbers there.
        let file = path.filter(|path| !path.contains('\\') && !path.ends_with("//deleted"));
        Some(Self { number, file, clears_itself: options.split(',').any(|option| option == MARK) })
    }
}

fn try_control(guest: &Guest<'_>, listener: BorrowedFd<'_>, asked: &Asked) -> nix::Result<Option<i64>> {
    let (number, command) = (asked.arguments[0] as i32, asked.arguments[1] as u32);
    let process = pidfd::open(process_of(asked.pid).ok_or(Errno::ESRCH)?).map_err(caller::number_of)?;
    let take = |number: i32| pidfd::take(process.as_fd(), number).map_err(caller::number_of);
    let Some(place) = place_of(&take(number)?) else { return Ok(None) };
    let caller = Caller::of(asked.pid)?;
    if !is_root(guest.base, asked.pid) || !caller.is_in_namespace_of(guest.init)? {
        return Ok(None);
    }
    let brought = image_of(asked, command)?;
    let image = brought.map(|(number, _)| take(number)).transpose()?;
    // The pid was its own all the time if it still waits.
    if !seccomp::still_waits(listener, asked.id) {
        return Err(Errno::ESRCH);
    }
    enter_v1(guest.doors).map_err(|_| Errno::EPERM)?;
    caller.become_its_root()?;
    match (command, place) {
        (GET_FREE, Place::Numbers) => free_number().map(Some),
        (SET_FD | CONFIGURE, Place::Loop(number)) => {
            let clears_itself = brought.is_some_and(|(_, clears_itself)| clears_itself);
            give(number, &image.ok_or(Errno::EBADF)?, clears_itself).map(|()| Some(0))
        }
        (SET_STATUS | GET_STATUS | CLEAR, Place::Loop(number)) if is_free(number)? => Err(Errno::ENXIO),
        (SET_STATUS, Place::Loop(_)) => Ok(Some(0)),
        (GET_STATUS, Place::Loop(_)) => {
            let mut info = [0; INFO];
            info[FLAGS] = AUTOCLEAR;
            write(asked.pid, asked.arguments[2], &info).map(|()| Some(0))
        }
        (CLEAR, Place::Loop(number)) => release(number).map(|()| Some(0)),
        _ => Err(Errno::ENOTTY),
    }
}

/// The descriptor of the file that a call brings, if it brings one, and whether it is to be forgotten by itself. `EINVAL` for a part of a file, which nobody could mount.
fn image_of(asked: &Asked, command: u32) -> nix::Result<Option<(i32, bool)>> {
    let mut config = [0; BEFORE_INFO + INFO];
    let (skipped, found) = match command {
        SET_FD => return Ok(Some((asked.arguments[2] as i32, false))),
        CONFIGURE => (0, true),
        SET_STATUS => (BEFORE_INFO, false),
        _ => return Ok(None),
    };
    read(asked.pid, asked.arguments[2], &mut config[skipped..])?;
    if config[BEFORE_INFO..][PART].iter().any(|byte| *byte != 0) {
        return Err(Errno::EINVAL);
    }
    let [a, b, c, d, ..] = config;
    let clears_itself = config[BEFORE_INFO + FLAGS] & AUTOCLEAR != 0;
    Ok(found.then_some((i32::from_ne_bytes([a, b, c, d]), clears_itself)))
}

fn free_number() -> nix::Result<i64> {
    let free = (0..loops::COUNT).find(|number| is_free(*number) == Ok(true));
    free.map(i64::from).ok_or(Errno::ENOSPC)
}

/// Whether it is ours and has no file.
fn is_free(number: u32) -> nix::Result<bool> {
    let found = lstat(loops::path(number).as_str())?;
    Ok(found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits() && found.st_size == 0)
}

fn give(number: u32, image: &OwnedFd, clears_itself: bool) -> nix::Result<()> {
    if fstat(image)?.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() {
        return Err(Errno::EINVAL);
    }
    if !is_free(number)? {
        return Err(Errno::EBUSY);
    }
    let copy = mount::clone_tree(image.as_fd(), c"", false).map_err(caller::number_of)?;
    if clears_itself {
        mount::set_attributes(copy.as_fd(), NOSYMFOLLOW, 0, false).map_err(caller::number_of)?;
    }
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let place = open(loops::path(number).as_str(), flags, Mode::empty())?;
    mount::attach(copy.as_fd(), place.as_fd()).map_err(caller::number_of)
}

/// The place has no file any more. What is mounted of it stays so.
pub(super) fn release(number: u32) -> nix::Result<()> {
    umount2(loops::path(number).as_str(), MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_by_its_path_inside() {
        let table = "30 1 8:1 /vservers/web / rw - ext4 /dev/sda1 rw\n31 30 0:50 / /dev rw - tmpfs none rw\n\
                     32 30 0:51 / /mnt rw - tmpfs none rw\n33 31 8:1 /vservers/web/srv/a.img /dev/loop0 rw - ext4 /dev/sda1 rw\n\
                     34 31 0:51 /b.img /dev/loop1 rw,nosymfollow - tmpfs none rw\n35 31 8:2 /c.img /dev/loop2 rw - ext4 /dev/sda2 rw\n";
        let given = |number, file: Option<&str>, clears_itself| {
            Some(Given { number, file: file.map(str::to_owned), clears_itself })
        };
        assert_eq!(Given::find(0, table), given(0, Some("/srv/a.img"), false));
        assert_eq!(Given::find(1, table), given(1, Some("/mnt/b.img"), true));
        assert_eq!((Given::find(2, table), Given::find(3, table)), (given(2, None, false), None));
    }
}
