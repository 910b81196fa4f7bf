//! What the guest finds mounted when it starts: `/dev`, an empty `/sys`, and its configured mounts. Runs with the host's
//! rights inside the mount namespace made by `pivot`; everything is attached by descriptor.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::AtFlags;
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat, mknodat};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::unistd::{Gid, Uid, fchownat};
use vserver_sys::mount::{self, NODEV, NOEXEC, NOSUID, RDONLY};

use crate::beneath;
use crate::blueprint::{View, Workshop};
use crate::dev::{self, Dev};
use crate::error::{Result, Step};
use crate::view::{CPU_DIRECTORIES, CPU_LISTS};

/// Ids that a guest has.
const RANGE: u32 = 65_536;

/// A mount that was found below the guest's tree and comes along.
#[derive(Debug)]
pub struct Carried {
    target: PathBuf,
    mount: OwnedFd,
    foreign: bool,
}

/// Copies what is mounted at `paths` below `tree`.
pub fn carry(tree: BorrowedFd<'_>, paths: &[PathBuf], workshop: Option<&Workshop>) -> Result<Vec<Carried>> {
    let one = |path: &PathBuf| {
        let foreign = workshop.is_some_and(|workshop| workshop.foreign.contains(path));
        Ok(Carried { target: path.clone(), mount: copy(tree, path)?, foreign })
    };
    paths.iter().map(one).collect()
}

fn copy(tree: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    let shown = path.display();
    let here = beneath::target(tree, &path.to_string_lossy())?;
    detach(here.as_fd(), false, &shown.to_string())
}

/// A detached copy of what is mounted at `place`, perhaps with all that is mounted below, private and without device nodes.
pub(crate) fn detach(place: BorrowedFd<'_>, recursive: bool, shown: &str) -> Result<OwnedFd> {
    let mount = mount::clone_tree(place, c"", recursive).step(|| format!("copy the mount on /{shown}"))?;
    mount::make_private(mount.as_fd()).step(|| format!("make the copy of /{shown} private"))?;
    mount::set_attributes(mount.as_fd(), NODEV, 0, recursive)
        .step(|| format!("take device nodes out of /{shown}"))?;
    Ok(mount)
}

/// Maps the owners of what comes along by `userns` where the file system can do it; what shows the guest's own range
/// already stays as it is.
pub fn map_owners(carried: &[Carried], base: u32, userns: BorrowedFd<'_>) -> Result<()> {
    let own = carried.iter().filter(|carried| !carried.foreign);
    own.map(|own| (&own.mount, own.target.to_string_lossy()))
        .try_for_each(|(mount, shown)| map_owner(mount, base, userns, &shown))
}

/// The same of one mount; `shown` is for messages.
pub(crate) fn map_owner(mount: &OwnedFd, base: u32, userns: BorrowedFd<'_>, shown: &str) -> Result<()> {
    let owner = fstat(mount).step(|| format!("look at the mount on /{shown}"))?.st_uid;
    let is_theirs = (base..base.saturating_add(RANGE)).contains(&owner);
    if !is_theirs && mount::idmap(mount.as_fd(), userns).is_err() && is_new_tmpfs(mount) {
        // Before Linux 6.3 a tmpfs cannot be mapped: at least its root belongs to the guest's.
        let (uid, gid) = (Uid::from_raw(base), Gid::from_raw(base));
        fchownat(mount, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH).step(|| format!("hand over /{shown}"))?;
    }
    Ok(())
}

fn is_new_tmpfs(mount: &OwnedFd) -> bool {
    fstatfs(mount).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC)
}

/// Attaches `/dev` with all that belongs to it, `/sys` and the mounts that come along.
pub fn furnish(dev: &Dev, carried: &[Carried], base: u32, view: Option<&View>) -> Result<()> {
    let root = beneath::own_root()?;
    attach(&root, "dev", dev.dev.as_fd())?;
    for (name, device) in &dev.borrowed {
        attach(&root, &format!("dev/{name}"), device.as_fd())?;
    }
    attach(&root, "dev/pts", dev.pts.as_fd())?;
    attach(&root, "dev/shm", dev.shm.as_fd())?;
    // A part of a mount can be copied only once the mount is attached (before Linux 6.15).
    let number = CString::new(dev.console.to_string()).unwrap_or_default();
    let console =
        mount::clone_tree(dev.pts.as_fd(), &number, false).step(|| "take the console's terminal".to_owned())?;
    attach(&root, "dev/console", console.as_fd())?;
    let view = view.filter(|view| view.cpus);
    attach(&root, "sys", empty_sys(base, view.is_some())?.as_fd())?;
    if let Some(view) = view {
        for list in CPU_LISTS {
            let path = format!("sys/devices/system/cpu/{list}");
            view.cover("online", beneath::target(&root, &path)?.as_fd(), &format!("/{path}"))?;
        }
    }
    for Carried { target, mount, .. } in carried {
        attach(&root, &target.to_string_lossy(), mount.as_fd())?;
    }
    Ok(())
}

/// The same `/dev`, `/proc` and `/sys` once more, for those who chroot(2) to the guest's tree in a workshop.
pub fn furnish_again(workshop: &Workshop) -> Result<()> {
    let root = beneath::own_root()?;
    for name in ["dev", "proc", "sys"] {
        let here = beneath::target(&root, name)?;
        let copy = mount::clone_tree(here.as_fd(), c"", true).step(|| format!("copy the mounts on /{name}"))?;
        attach(&root, &workshop.guest.join(name).to_string_lossy(), copy.as_fd())?;
    }
    Ok(())
}

fn attach(root: &OwnedFd, path: &str, mount: BorrowedFd<'_>) -> Result<()> {
    let target = beneath::target(root, path)?;
    mount::attach(mount, target.as_fd()).step(|| format!("mount on /{path}"))
}

/// Without a network namespace of its own a guest has no sysfs: an empty read-only directory with a place for its cgroups, and
/// one for its list of processors if it has one of its own.
fn empty_sys(base: u32, cpus: bool) -> Result<OwnedFd> {
    let sys = dev::tmpfs(&[(c"size", "4k"), (c"nr_inodes", "16"), (c"mode", "0755")], base, NOSUID | NODEV | NOEXEC)?;
    let directories = if cpus { &CPU_DIRECTORIES[..] } else { &[] };
    for directory in ["fs", "fs/cgroup"].iter().chain(directories) {
        mkdirat(sys.as_fd(), *directory, Mode::from_bits_truncate(0o755))
            .step(|| format!("make /sys/{directory}"))?;
    }
    for list in CPU_LISTS.iter().filter(|_| cpus) {
        let path = format!("devices/system/cpu/{list}");
        mknodat(sys.as_fd(), path.as_str(), SFlag::S_IFREG, Mode::from_bits_truncate(0o444), 0)
            .step(|| format!("make /sys/{path}"))?;
    }
    mount::set_attributes(sys.as_fd(), RDONLY, 0, false).step(|| "make /sys read-only".to_owned())?;
    Ok(sys)
}
