//! Processes by descriptor: a pid may be reused, a pidfd never means another process. pidfd_open(2), Linux 5.3.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::check;

/// A descriptor of process `pid`; readable (poll) once the process has ended.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: two integers.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel returned a new descriptor that nobody else owns; it is close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Sends `signal` (0 only tests) to the process. `ESRCH` when it has ended.
pub fn signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_info: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: a null siginfo means "as kill(2) would fill it"; the rest are integers.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) }).map(drop)
}

/// A descriptor of ours for what the process has as its descriptor `number` (pidfd_getfd(2), 5.6). Needs CAP_SYS_PTRACE.
///
/// # Errors
/// `EBADF` if it has no such descriptor, `ESRCH` when it has ended, `EPERM`.
pub fn take(pidfd: BorrowedFd<'_>, number: i32) -> io::Result<OwnedFd> {
    // SAFETY: three integers.
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) })?;
    // SAFETY: the kernel returned a new descriptor that nobody else owns; it is close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
