//! What programs ask of loop devices before they mount a file (ccapability `admin_cloop`): `mount FILE DIR`, of util-linux and of
//! busybox, looks for a free one, gives it the file, and mounts that. A guest has none; in their places are files (`dev/loops`)
//! whose ioctls the supervisor answers, loop(4).
//!
//! To give such a place a file is to mount the file on it ([`places`]), so that whoever opens the place reads the file, and mount(2)
//! finds a file. All of it is done as the guest's root, which may do the same by itself: nothing here has a right that the guest
//! lacks. What is no such place the kernel answers.

mod places;

use std::fs::{File, read_link};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat};
use vserver_sys::pidfd;
use vserver_sys::seccomp::{self, Answer, Asked};

use super::Guest;
use super::caller::{number_of, process_of};
use super::memory::{read, write};
use super::mounts::{Caller, is_root};
use crate::birth::enter_v1;
use crate::dev::loops::{self, Place};

pub(super) use self::places::{Given, release};

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
/// `LO_FLAGS_AUTOCLEAR`
const AUTOCLEAR: u8 = 4;

/// What a call says besides its command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    /// The descriptor of a file.
    file: Option<i32>,
    /// The place is to be free again when whoever gave it the file has closed it.
    clears_itself: bool,
}

/// The answer to ioctl(2).
pub(super) fn control(guest: &Guest<'_>, listener: BorrowedFd<'_>, asked: &Asked) -> Answer {
    match try_control(guest, listener, asked) {
        Ok(Some(number)) => Answer::Returned(number),
        Ok(None) => Answer::GoOn,
        Err(errno) => Answer::Failed(errno as i32),
    }
}

/// Which place an open file is, if it is one. Its path is that in the mount namespace that it is of; it is no more than a hint:
/// what is done is done where the caller has such a path.
fn place_of(file: &impl AsFd) -> Option<Place> {
    let path = read_link(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())).ok()?;
    let place = loops::place_of(&path)?;
    let is_file = fstat(file).is_ok_and(|found| found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits());
    is_file.then_some(place)
}

/// What ioctl(2) returns, if it is for us.
fn try_control(guest: &Guest<'_>, listener: BorrowedFd<'_>, asked: &Asked) -> nix::Result<Option<i64>> {
    let [number, command, argument, ..] = asked.arguments;
    let process = pidfd::open(process_of(asked.pid).ok_or(Errno::ESRCH)?).map_err(number_of)?;
    let take = |number: i32| pidfd::take(process.as_fd(), number).map_err(number_of);
    let opened = take(number as i32)?;
    let Some(place) = place_of(&opened) else { return Ok(None) };
    let caller = Caller::of(asked.pid)?;
    if !is_root(guest.base, asked.pid) || !caller.is_in_namespace_of(guest.init)? {
        return Ok(None);
    }
    let said = Said::read(asked.pid, command as u32, argument)?;
    let image = said.file.map(take).transpose()?;
    // The pid was its own all the time if it still waits.
    if !seccomp::still_waits(listener, asked.id) {
        return Err(Errno::ESRCH);
    }
    enter_v1(guest.doors).map_err(|_| Errno::EPERM)?;
    caller.become_its_root()?;
    match (command as u32, place) {
        (GET_FREE, Place::Numbers) => places::free_number().map(|number| Some(number.into())),
        (command, Place::Loop(number)) => of_a_place(command, number, opened, image, said, asked).map(|()| Some(0)),
        _ => Err(Errno::ENOTTY),
    }
}

fn of_a_place(
    command: u32,
    number: u32,
    opened: OwnedFd,
    image: Option<OwnedFd>,
    said: Said,
    asked: &Asked,
) -> nix::Result<()> {
    match command {
        SET_FD | CONFIGURE => {
            places::give(number, &File::from(opened), &image.ok_or(Errno::EBADF)?, said.clears_itself)
        }
        SET_STATUS | GET_STATUS | CLEAR if places::is_free(number)? => Err(Errno::ENXIO),
        SET_STATUS if said.clears_itself => places::clears_itself(number),
        SET_STATUS => Ok(()),
        GET_STATUS => {
            let mut info = [0; INFO];
            info[FLAGS] = AUTOCLEAR;
            write(asked.pid, asked.arguments[2], &info)
        }
        CLEAR => release(number),
        _ => Err(Errno::ENOTTY),
    }
}

impl Said {
    /// Of the struct that stands at `argument` a copy is read, once. `EINVAL` for a part of a file, which nobody could mount.
    fn read(pid: i32, command: u32, argument: u64) -> nix::Result<Self> {
        let mut config = [0; BEFORE_INFO + INFO];
        let (skipped, brings_a_file) = match command {
            SET_FD => return Ok(Self { file: Some(argument as i32), ..Self::default() }),
            CONFIGURE => (0, true),
            SET_STATUS => (BEFORE_INFO, false),
            _ => return Ok(Self::default()),
        };
        read(pid, argument, &mut config[skipped..])?;
        let [a, b, c, d, ..] = config;
        let file = brings_a_file.then_some(i32::from_ne_bytes([a, b, c, d]));
        let info = &config[BEFORE_INFO..];
        if info[PART].iter().any(|byte| *byte != 0) {
            return Err(Errno::EINVAL);
        }
        Ok(Self { file, clears_itself: info[FLAGS] & AUTOCLEAR != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_says_is_where_the_kernel_has_it() {
        let own = std::process::id() as i32;
        let mut config = [0_u8; BEFORE_INFO + INFO];
        config[0] = 7;
        config[BEFORE_INFO + FLAGS] = AUTOCLEAR | 1;
        let said = |command, bytes: &[u8]| Said::read(own, command, bytes.as_ptr() as u64);
        assert_eq!(said(CONFIGURE, &config), Ok(Said { file: Some(7), clears_itself: true }));
        assert_eq!(said(SET_STATUS, &config[BEFORE_INFO..]), Ok(Said { file: None, clears_itself: true }));
        assert_eq!(Said::read(own, SET_FD, 9), Ok(Said { file: Some(9), clears_itself: false }));
        assert_eq!(Said::read(own, CLEAR, 9), Ok(Said::default()));
        for at in [PART.start, PART.end - 1] {
            let mut part = config;
            part[BEFORE_INFO + at] = 1;
            assert_eq!(said(CONFIGURE, &part), Err(Errno::EINVAL));
        }
        assert_eq!(Said::read(own, CONFIGURE, 8), Err(Errno::EFAULT));
    }
}
