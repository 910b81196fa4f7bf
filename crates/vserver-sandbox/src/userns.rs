//! A user namespace whose ids 0–65535 are a range of the host's that belongs to nobody else. user_namespaces(7).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::write;

use crate::error::{Result, Step};

/// Width of a guest's range.
pub const IDS: u32 = 65_536;

/// Maps the ids of the user namespace in which process `pid` was born: 0–65535 inside are `base`–`base + 65535` on the
/// host. The kernel takes such a map only from outside. Gives the namespace.
pub fn map(host_proc: BorrowedFd<'_>, pid: i32, base: u32) -> Result<OwnedFd> {
    let map = format!("0 {base} {IDS}\n");
    for file in ["uid_map", "gid_map"] {
        let path = format!("{pid}/{file}");
        let opened = openat(host_proc, path.as_str(), OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty());
        opened
            .and_then(|file| write(file.as_fd(), map.as_bytes()))
            .step(|| format!("write '{}' to /proc/{path}", map.trim_end()))?;
    }
    let path = format!("{pid}/ns/user");
    openat(host_proc, path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .step(|| format!("open /proc/{path}"))
}
