//! Where the builder of a guest came from, so that it can go back: it lives on as the guest's supervisor, on the host.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;
use vserver_sys::process;

use crate::error::{Result, Step};
use crate::nested::{self, Around};

/// The host's mount, PID and time namespace and its procfs.
#[derive(Debug)]
pub struct Home {
    mounts: OwnedFd,
    pids: OwnedFd,
    time: Option<OwnedFd>,
    proc: OwnedFd,
}

impl Home {
    /// Opens what will be out of reach behind the pivot barrier. Inside of another guest the procfs is the one without masks,
    /// some of which would stay when all around them goes.
    pub fn remember(around: Around) -> Result<Self> {
        let namespace = |name: &str| {
            let path = format!("/proc/self/ns/{name}");
            File::open(&path).map(OwnedFd::from).step(|| format!("open {path}"))
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let path = if around.is_host() { "/proc" } else { nested::DOOR };
        let proc = open(path, flags, Mode::empty()).step(|| format!("open {path}"))?;
        // Linux 5.6; whoever makes one finds out that there is none.
        let time = namespace("time").ok();
        Ok(Self { mounts: namespace("mnt")?, pids: namespace("pid")?, time, proc })
    }

    /// The host's procfs.
    pub fn proc(&self) -> BorrowedFd<'_> {
        self.proc.as_fd()
    }

    /// Children are born on the host again.
    pub fn children_at_home(&self) -> Result<()> {
        setns(&self.pids, CloneFlags::CLONE_NEWPID).step(|| "return to the host's PID namespace".to_owned())
    }

    /// Children live in the host's time again.
    pub fn children_in_its_time(&self) -> Result<()> {
        let time = CloneFlags::from_bits_retain(process::NEWTIME as i32);
        self.time
            .as_ref()
            .map_or(Ok(()), |host| setns(host, time).step(|| "return to the host's time namespace".to_owned()))
    }

    /// The host's tree is the root again.
    pub fn go(&self) -> Result<()> {
        setns(&self.mounts, CloneFlags::CLONE_NEWNS).step(|| "return to the host's mount namespace".to_owned())
    }
}
