//! A process's bias on the OOM killer's choice, and how far it may lower that by itself. Source: proc_pid_oom_score_adj(5),
//! fs/proc/base.c, `__set_oom_adj`.
//!
//! Who holds CAP_SYS_RESOURCE sets the bias and, with it, a floor below which others cannot go; who does not hold it sets the
//! bias alone. Both are inherited.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use caps::{CapSet, Capability};
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::sys::uio::{pread, pwrite};

use crate::confine::to_io;
use crate::error::{Error, Result, Step};

/// The lowest: never chosen.
const NEVER: i32 = -1000;

/// Sets the bias of `process`, the caller if it is `None`. One below the present one asks for CAP_SYS_RESOURCE.
pub fn set(host_proc: BorrowedFd<'_>, process: Option<i32>, bias: i32) -> Result<()> {
    write(&open(host_proc, process)?, bias)
}

/// The same, or without a `bias` what it was, and a floor that is no limit: the process may then choose by itself
/// (`oom_adjust`). Asks for CAP_SYS_RESOURCE, which the caller holds again afterwards.
pub fn set_without_floor(host_proc: BorrowedFd<'_>, process: Option<i32>, bias: Option<i32>) -> Result<()> {
    let file = open(host_proc, process)?;
    let bias = bias.map_or_else(|| read(&file), Ok)?;
    write(&file, NEVER)?;
    let right = |held: bool| {
        let change = if held { caps::raise } else { caps::drop };
        let done = change(None, CapSet::Effective, Capability::CAP_SYS_RESOURCE).map_err(to_io);
        done.step(|| "change what is effective of CAP_SYS_RESOURCE".to_owned())
    };
    // With the right the floor would be the new bias.
    right(false)?;
    let written = write(&file, bias);
    right(true).and(written)?;
    match read(&file)? {
        found if found == bias => Ok(()),
        found => {
            let (wanted, found) = (bias.to_string(), found.to_string());
            Err(Error::ReadBack { what: "the OOM killer's bias", wanted, found })
        }
    }
}

fn open(host_proc: BorrowedFd<'_>, process: Option<i32>) -> Result<OwnedFd> {
    let path = process.map_or_else(|| "self/oom_score_adj".to_owned(), |pid| format!("{pid}/oom_score_adj"));
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
    openat(host_proc, path.as_str(), flags, Mode::empty()).step(|| format!("open /proc/{path}"))
}

fn write(file: &OwnedFd, bias: i32) -> Result<()> {
    pwrite(file.as_fd(), bias.to_string().as_bytes(), 0)
        .step(|| format!("set the OOM killer's bias to {bias}"))
        .map(drop)
}

fn read(file: &OwnedFd) -> Result<i32> {
    let mut text = [0; 16];
    let length = pread(file.as_fd(), &mut text, 0).step(|| "read the OOM killer's bias".to_owned())?;
    let text = String::from_utf8_lossy(&text[..length]);
    let number = text.trim().parse().map_err(std::io::Error::other);
    number.step(|| format!("understand the OOM killer's bias '{}'", text.trim()))
}
