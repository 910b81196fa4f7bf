//! What the guest finds mounted when it starts: `/dev`, an empty `/sys`, and its configured mounts. Runs with the host's
//! rights inside the mount namespace made by `pivot`; everything is attached by descriptor.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::stat::{Mode, mkdirat};
use vserver_sys::mount::{self, NODEV, NOEXEC, NOSUID, RDONLY};

use crate::beneath;
use crate::blueprint::{MountKind, MountPlan};
use crate::dev::{self, Dev};
use crate::error::{Result, Step};

/// A configured mount whose source was opened while the host's tree could still be seen.
#[derive(Debug)]
pub struct Prepared {
    target: String,
    mount: OwnedFd,
}

/// Makes the detached mounts of `plans`, owned by `base`; host sources of bind mounts are mapped by `userns`.
pub fn prepare(plans: &[MountPlan], base: u32, userns: Option<BorrowedFd<'_>>) -> Result<Vec<Prepared>> {
    plans.iter().map(|plan| Ok(Prepared { target: plan.target.clone(), mount: make(plan, base, userns)? })).collect()
}

/// Attaches `/dev` with all that belongs to it, `/sys` and the prepared mounts.
pub fn furnish(dev: &Dev, prepared: &[Prepared], base: u32) -> Result<()> {
    let root = beneath::own_root()?;
    attach(&root, "dev", dev.dev.as_fd())?;
    attach(&root, "dev/pts", dev.pts.as_fd())?;
    attach(&root, "dev/shm", dev.shm.as_fd())?;
    // A part of a mount can be copied only once the mount is attached (before Linux 6.15).
    let number = CString::new(dev.console.to_string()).unwrap_or_default();
    let console =
        mount::clone_tree(dev.pts.as_fd(), &number, false).step(|| "take the console's terminal".to_owned())?;
    attach(&root, "dev/console", console.as_fd())?;
    attach(&root, "sys", empty_sys(base)?.as_fd())?;
    for mount in prepared {
        attach(&root, &mount.target, mount.mount.as_fd())?;
    }
    Ok(())
}

fn attach(root: &OwnedFd, path: &str, mount: BorrowedFd<'_>) -> Result<()> {
    let target = beneath::target(root, path)?;
    mount::attach(mount, target.as_fd()).step(|| format!("mount on /{path}"))
}

/// Without a network namespace of its own a guest has no sysfs: an empty read-only directory with a place for its cgroups.
fn empty_sys(base: u32) -> Result<OwnedFd> {
    let sys = dev::tmpfs(&[(c"size", "4k"), (c"nr_inodes", "16"), (c"mode", "0755")], base, NOSUID | NODEV | NOEXEC)?;
    for directory in ["fs", "fs/cgroup"] {
        mkdirat(sys.as_fd(), directory, Mode::from_bits_truncate(0o755)).step(|| format!("make /sys/{directory}"))?;
    }
    mount::set_attributes(sys.as_fd(), RDONLY, 0, false).step(|| "make /sys read-only".to_owned())?;
    Ok(sys)
}

fn make(plan: &MountPlan, base: u32, userns: Option<BorrowedFd<'_>>) -> Result<OwnedFd> {
    match &plan.kind {
        MountKind::Tmpfs { options } => {
            let keys: Vec<CString> = options.iter().filter_map(|(k, _)| CString::new(k.as_str()).ok()).collect();
            let pairs: Vec<_> = keys.iter().zip(options).map(|(k, (_, v))| (k.as_c_str(), v.as_str())).collect();
            dev::tmpfs(&pairs, base, plan.attributes)
        }
        MountKind::Bind { source, recursive } => {
            let path = CString::new(source.as_str()).unwrap_or_default();
            let cwd = nix::fcntl::AT_FDCWD;
            let tree = mount::clone_tree(cwd, &path, *recursive).step(|| format!("copy the mount of {source}"))?;
            mount::make_private(tree.as_fd()).step(|| format!("make the copy of {source} private"))?;
            mount::set_attributes(tree.as_fd(), plan.attributes, 0, true).step(|| format!("restrict {source}"))?;
            if let Some(userns) = userns {
                mount::idmap(tree.as_fd(), userns).step(|| format!("map the owners of {source}"))?;
            }
            Ok(tree)
        }
    }
}
