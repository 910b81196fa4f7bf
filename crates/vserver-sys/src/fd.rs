//! Descriptors: closing what must not leak, taking over what was inherited.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, fcntl};

use crate::check;

/// Closes every descriptor from `first` to `last`, both included. Linux 5.9, close_range(2).
///
/// Call it where nothing of this process uses them any more: directly before `execve`.
pub fn close_range(first: RawFd, last: RawFd) -> io::Result<()> {
    let (first, last) = (first as libc::c_uint, last as libc::c_uint);
    // SAFETY: close_range takes three integers and touches no memory. Descriptors of live owners may be among them;
    // using or dropping such an owner afterwards gives EBADF, never memory unsafety.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Marks every descriptor from `first` on close-on-exec. Linux 5.11, close_range(2).
pub fn cloexec_from(first: RawFd) -> io::Result<()> {
    let first = first as libc::c_uint;
    // SAFETY: as in `close_range`; nothing is closed now, only a flag is set.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) })
        .map(drop)
}

/// Takes ownership of a descriptor that this program was started with. Fails with `EBADF` if it is not open.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD reads a flag of a number and touches no memory.
    check(libc::c_long::from(unsafe { libc::fcntl(number, libc::F_GETFD) }))?;
    // SAFETY: the descriptor is open, and by this function's contract the caller names a number that was handed over
    // at exec, which no other owner in this fresh program image can hold.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A copy with the lowest free number from `least` on, closed on `execve`: out of the way of [`place`]. fcntl(2).
pub fn above(fd: BorrowedFd<'_>, least: RawFd) -> io::Result<OwnedFd> {
    inherited(fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(least))?)
}

/// Makes `number` another name of `fd`, closing what it was; it survives `execve`. dup2(2).
///
/// For a process that is about to execute a program which expects descriptors at agreed numbers.
pub fn place(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: dup2 takes two integers and touches no memory. An owner of `number` in this process would find another
    // file behind it, never invalid memory; by contract the caller is about to exec and uses none.
    check(libc::c_long::from(unsafe { libc::dup2(fd.as_raw_fd(), number) })).map(drop)
}
