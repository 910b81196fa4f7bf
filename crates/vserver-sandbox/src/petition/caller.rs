//! Who makes a call, as the host knows him, and what he gets of us.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::SockFlag;
use vserver_sys::seccomp::{self, Asked};

/// `SOCK_*` without the flags.
pub(super) const TYPE: i32 = 0xf;

/// What the kernel says of a thread. proc_pid_status(5)
pub(super) struct Status(String);

impl Status {
    /// `None` if there is no such thread.
    pub fn of(pid: i32) -> Option<Self> {
        fs::read_to_string(format!("/proc/{pid}/status")).ok().map(Self)
    }

    /// All numbers of the line that begins with `key`.
    pub fn numbers(&self, key: &str) -> impl Iterator<Item = u32> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.split_whitespace().filter_map(|word| word.parse().ok())
    }

    /// Of a user's or a group's four numbers (real, effective, saved and of the file system) the one that it acts as.
    pub fn effective(&self, key: &str) -> Option<u32> {
        self.numbers(key).nth(1)
    }

    /// The capabilities that it has in its user namespace, as bits.
    pub fn capabilities(&self) -> u64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
        u64::from_str_radix(line.trim(), 16).unwrap_or_default()
    }
}

/// The host's number of the user that process `pid` acts as.
pub(super) fn effective_user(pid: i32) -> Option<u32> {
    Status::of(pid)?.effective("Uid:")
}

/// The process of a thread, as the host counts.
pub(super) fn process_of(pid: i32) -> Option<i32> {
    Status::of(pid)?.numbers("Tgid:").next()?.try_into().ok()
}

/// The flags of a socket that is asked for.
pub(super) fn socket_flags(asked: &Asked) -> SockFlag {
    SockFlag::from_bits_truncate(asked.arguments[1] as i32 & !TYPE)
}

/// Hands a socket to the caller who asked for it.
///
/// # Errors
/// What the kernel says; the caller may have ended.
pub fn hand_over(listener: BorrowedFd<'_>, asked: &Asked, made: &OwnedFd) -> io::Result<()> {
    seccomp::hand_over(listener, asked.id, made.as_fd(), socket_flags(asked).contains(SockFlag::SOCK_CLOEXEC))
}

/// What the caller is told of a failure of ours.
pub(super) fn number_of(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
