//! A user namespace whose ids 0–65535 are a range of the host's that belongs to nobody else. user_namespaces(7).

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};
use vserver_sys::process::{self, Forked, SingleThreaded};

use crate::error::{Result, Step};

/// Width of a guest's range.
pub const IDS: u32 = 65_536;

/// Makes the namespace: ids 0–65535 inside are `base`–`base + 65535` on the host.
///
/// A user namespace exists as long as somebody holds it, so a short-lived child makes it and this process keeps the
/// descriptor.
pub fn create(token: SingleThreaded, base: u32) -> Result<OwnedFd> {
    let (wait, hold) = pipe2(OFlag::O_CLOEXEC).step(|| "make a pipe".to_owned())?;
    let child = process::fork(token, process::NEWUSER).step(|| "make a user namespace".to_owned())?;
    let Forked::Parent(pid) = child else {
        drop(hold);
        let _ = File::from(wait).read(&mut [0]);
        process::exit_now(0);
    };
    drop(wait);
    let namespace = map_and_open(pid, base);
    drop(hold);
    let pid = Pid::from_raw(pid);
    let _ = kill(pid, Signal::SIGKILL);
    let _ = waitpid(pid, None);
    namespace
}

fn map_and_open(pid: i32, base: u32) -> Result<OwnedFd> {
    let map = format!("0 {base} {IDS}\n");
    for file in ["uid_map", "gid_map"] {
        let path = format!("/proc/{pid}/{file}");
        std::fs::write(&path, &map).step(|| format!("write '{}' to {path}", map.trim_end()))?;
    }
    let path = format!("/proc/{pid}/ns/user");
    File::open(&path).map(OwnedFd::from).step(|| format!("open {path}"))
}
