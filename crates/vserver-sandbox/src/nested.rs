//! Guests inside of a guest (`prolific`): where this program runs, and the door by which a guest may make others.
//!
//! The kernel lets a user namespace make a procfs only where one is to be seen that nothing hides a part of, in the mount
//! namespace of whoever makes it (`mount_too_revealing`, `fs/namespace.c`). A guest's own `/proc` has masks, so one that may
//! make guests has a second procfs of its PID namespace without them, in a directory that only its root may enter.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::{Mode, SFlag, fstat, major, minor};
use nix::sys::statfs::{PROC_SUPER_MAGIC, statfs};
use serde::{Deserialize, Serialize};
use vserver_sys::mount;

use crate::beneath;
use crate::error::{Error, Result, Step};
use crate::policy::dev::Node;

/// The directory in `/dev`, for root alone.
pub(crate) const DIRECTORY: &str = ".vserver";
/// The procfs in it.
pub(crate) const PROC: &str = ".vserver/proc";
/// The same, as its guest finds it.
pub(crate) const DOOR: &str = "/dev/.vserver/proc";
/// An empty directory in a guest that is being made, where nothing is mounted yet.
const LANDING: &str = "dev/mqueue";

/// What is around a guest that this program makes or enters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Around {
    /// A host.
    #[default]
    Host,
    /// Another guest, or some other user namespace: nothing there may load programs into the kernel, make device nodes or
    /// have a network namespace of the host's in hand.
    Guest,
}

impl Around {
    /// Where this program runs. The initial user namespace maps all ids to themselves, and no other one can: it would have
    /// to map 4294967295, which is no id. user_namespaces(7). What cannot be read is a host, where nothing is passed over.
    pub fn here() -> Self {
        static HERE: OnceLock<Around> = OnceLock::new();
        *HERE.get_or_init(|| std::fs::read_to_string("/proc/self/uid_map").map_or(Self::Host, |map| Self::of(&map)))
    }

    fn of(map: &str) -> Self {
        if map.split_ascii_whitespace().eq(["0", "0", "4294967295"]) { Self::Host } else { Self::Guest }
    }

    /// Whether it is a host.
    pub fn is_host(&self) -> bool {
        *self == Self::Host
    }

    /// Whether guests can be made here: on a host, and in a guest that has the flag for it.
    pub fn allows_guests(self) -> bool {
        self.is_host() || statfs(DOOR).is_ok_and(|found| found.filesystem_type() == PROC_SUPER_MAGIC)
    }
}

/// The door of the guest around, taken along to where it is needed.
#[derive(Debug)]
pub(crate) struct Door(OwnedFd);

impl Door {
    /// None on a host, where none is needed.
    pub fn find(around: Around) -> Result<Option<Self>> {
        if around.is_host() {
            return Ok(None);
        }
        copy(DOOR).map(|door| Some(Self(door)))
    }

    /// Does `make`, which makes a procfs, where the kernel sees it. Until the guest's first process takes its own copy of
    /// the mounts, which is later, nobody else can.
    pub fn open_for<T>(&self, make: impl FnOnce() -> Result<T>) -> Result<T> {
        let root = beneath::own_root()?;
        mount::attach(self.0.as_fd(), beneath::target(&root, LANDING)?.as_fd())
            .step(|| format!("show {DOOR} to the kernel"))?;
        let made = make();
        umount2(&*format!("/{LANDING}"), MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)
            .step(|| format!("hide {DOOR} again"))?;
        made
    }
}

/// Lets a guest make others: a copy of its procfs, which is mounted and has no masks yet, becomes its door.
pub(crate) fn make_door(procfs: &OwnedFd) -> Result<()> {
    let copy = mount::clone_tree(procfs.as_fd(), c"", false).step(|| "copy the guest's /proc".to_owned())?;
    let target = beneath::target(beneath::own_root()?, DOOR)?;
    mount::attach(copy.as_fd(), target.as_fd()).step(|| format!("mount on {DOOR}"))
}

/// A device of the guest around, in place of a node that cannot be made here.
pub(crate) fn borrow(node: &Node) -> Result<OwnedFd> {
    let path = format!("/dev/{}", node.name);
    let copy = copy(&path)?;
    let found = fstat(&copy).step(|| format!("look at {path}"))?;
    let is_it = SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits()) == SFlag::S_IFCHR
        && (major(found.st_rdev), minor(found.st_rdev)) == (node.major.into(), node.minor.into());
    if is_it {
        return Ok(copy);
    }
    let report = format!("{path} of the guest around is not the device {}:{}", node.major, node.minor);
    Err(Error::Child { report })
}

fn copy(path: &str) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let there = open(path, flags, Mode::empty()).step(|| format!("open {path}"))?;
    let copy = mount::clone_tree(there.as_fd(), c"", false).step(|| format!("copy the mount of {path}"))?;
    mount::make_private(copy.as_fd()).step(|| format!("make the copy of {path} private"))?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_initial_user_namespace_is_a_host() {
        assert_eq!(Around::of("         0          0 4294967295\n"), Around::Host);
        for map in ["0 0 65536\n", "0 3000000 65536\n", "0 0 4294967294\n", "", "0 0 1\n1 1 4294967294\n"] {
            assert_eq!(Around::of(map), Around::Guest, "{map:?}");
        }
    }
}
