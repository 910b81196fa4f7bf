//! A user namespace whose ids 0–65535 are a range of the host's that belongs to nobody else. user_namespaces(7).

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2, write};
use vserver_sys::process::{self, Forked, SingleThreaded};

use crate::blueprint::Rooms;
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

/// A mapped user namespace and a network namespace that it owns, for a guest to be born into later: what the guest's root
/// may do to its network stack ends there. Made by a process that only waits until both are held by a descriptor.
pub fn with_network(token: SingleThreaded, base: u32) -> Result<Rooms> {
    let (wait, held) = pipe2(OFlag::O_CLOEXEC).step(|| "make a pipe".to_owned())?;
    let forked = process::fork(token, process::NEWUSER | process::NEWNET);
    let Forked::Parent(pid) = forked.step(|| "make a user and a network namespace".to_owned())? else {
        drop(held);
        let ended = File::from(wait).read(&mut [0]);
        process::exit_now(i32::from(ended.is_err()))
    };
    drop(wait);
    let rooms = hold(pid, base);
    drop(held);
    let _ = waitpid(Pid::from_raw(pid), None);
    rooms
}

fn hold(pid: i32, base: u32) -> Result<Rooms> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let proc = open("/proc", flags, Mode::empty()).step(|| "open /proc".to_owned())?;
    let user = map(proc.as_fd(), pid, base)?;
    let path = format!("{pid}/ns/net");
    let network = openat(proc.as_fd(), path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
        .step(|| format!("open /proc/{path}"))?;
    Ok(Rooms { network, user: Some(user) })
}
