//! The guest's `/dev`: a small tmpfs of our own with the few nodes that a guest may have. Built detached and attached
//! once, so nothing that the guest's tree holds under `/dev` is ever followed.

pub(crate) mod loops;

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, makedev, mkdirat, mknodat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};
use vserver_sys::mount::{self, NODEV, NOEXEC, NOSUID};
use vserver_sys::tty;

use crate::blueprint::{Blueprint, DeviceNode};
use crate::error::{Result, Step};
use crate::nested::{self, Around};
use crate::policy::dev;

/// Pseudo terminals that one guest may have open. The host's `kernel.pty.max` is 4096 by default.
const MAX_PTYS: &str = "1024";
/// The group `tty` of every Linux distribution.
const TTY_GROUP: u32 = 5;

/// `/dev` and what is mounted on it, detached.
#[derive(Debug)]
pub struct Dev {
    /// The tmpfs with the nodes.
    pub dev: OwnedFd,
    /// What is laid over them, by name: those of the guest around, where no nodes can be made.
    pub borrowed: Vec<(&'static str, OwnedFd)>,
    /// The guest's own devpts instance.
    pub pts: OwnedFd,
    /// Shared memory, `/dev/shm`.
    pub shm: OwnedFd,
    /// The console's number in that instance.
    pub console: u32,
    /// The console's other end, for the supervisor.
    pub master: OwnedFd,
}

/// Builds it, owned by the guest's root (uid 0 in classic mode), with what is special in this guest's.
pub fn build(blueprint: &Blueprint) -> Result<Dev> {
    let base = blueprint.base.unwrap_or(0);
    let dev = tmpfs(&[(c"size", "64k"), (c"nr_inodes", "256"), (c"mode", "0755")], base, NOSUID | NOEXEC)?;
    let borrowed = nodes(dev.as_fd(), base, blueprint.around)?;
    populate(dev.as_fd(), base)?;
    if blueprint.prolific {
        place_for_door(dev.as_fd(), base)?;
    }
    let special: &[(PathBuf, Option<DeviceNode>)] = &blueprint.devices;
    special.iter().try_for_each(|(path, node)| replace(dev.as_fd(), path, node.as_ref(), base))?;
    if blueprint.images {
        loops::make(dev.as_fd(), base)?;
    }
    let shm = tmpfs(&[(c"mode", "1777"), (c"nr_inodes", "65536")], base, NOSUID | NODEV)?;
    let pts = devpts(base)?;
    let (master, number) = new_terminal(pts.as_fd(), base)?;
    Ok(Dev { dev, borrowed, pts, shm, console: number, master })
}

/// A new pseudo terminal of a guest's devpts instance, its slave owned by the guest's root: the master and the number.
pub fn new_terminal(pts: BorrowedFd<'_>, base: u32) -> Result<(OwnedFd, u32)> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let master = openat(pts, "ptmx", flags, Mode::empty()).step(|| "open the guest's ptmx".to_owned())?;
    let number = tty::unlock_slave(master.as_fd()).step(|| "unlock a terminal of the guest".to_owned())?;
    let (uid, gid) = (Uid::from_raw(base), Gid::from_raw(base + TTY_GROUP));
    fchownat(pts, number.to_string().as_str(), Some(uid), Some(gid), nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)
        .step(|| format!("give terminal {number} to the guest"))?;
    Ok((master, number))
}

/// An empty tmpfs that belongs to `base`.
pub(crate) fn tmpfs(options: &[(&std::ffi::CStr, &str)], base: u32, attributes: u64) -> Result<OwnedFd> {
    let owner = base.to_string();
    let mut all = options.to_vec();
    all.extend([(c"uid", owner.as_str()), (c"gid", owner.as_str())]);
    filesystem(c"tmpfs", &all, attributes)
}

fn devpts(base: u32) -> Result<OwnedFd> {
    let group = (base + TTY_GROUP).to_string();
    let options = [(c"ptmxmode", "0666"), (c"max", MAX_PTYS)];
    let made =
        filesystem(c"devpts", &[&options[..], &[(c"gid", &group), (c"mode", "0620")]].concat(), NOSUID | NOEXEC);
    if made.is_err() && base > i32::MAX.unsigned_abs() - TTY_GROUP {
        // Debian's 6.1 reads the group as a signed number and refuses the upper half of all. A terminal that the guest
        // opens then has the group of whoever opens it, which gets no rights; ours are given to `tty` one by one.
        return filesystem(c"devpts", &[&options[..], &[(c"mode", "0600")]].concat(), NOSUID | NOEXEC);
    }
    made
}

/// A new file system with text options.
pub(crate) fn filesystem(
    kind: &std::ffi::CStr,
    options: &[(&std::ffi::CStr, &str)],
    attributes: u64,
) -> Result<OwnedFd> {
    let values: Vec<CString> = options.iter().map(|(_, v)| CString::new(*v).unwrap_or_default()).collect();
    let pairs: Vec<_> = options.iter().zip(&values).map(|((key, _), value)| (*key, Some(value.as_c_str()))).collect();
    mount::new_filesystem(kind, &pairs, attributes).step(|| format!("make a new {}", kind.to_string_lossy()))
}

/// The nodes; inside of another guest, where nobody makes any, empty files and what is to be laid over them.
fn nodes(dev: BorrowedFd<'_>, base: u32, around: Around) -> Result<Vec<(&'static str, OwnedFd)>> {
    let mut borrowed = Vec::new();
    for node in dev::NODES {
        let (device, mode) = (makedev(node.major.into(), node.minor.into()), Mode::from_bits_truncate(node.mode));
        let kind = match around {
            Around::Host => SFlag::S_IFCHR,
            Around::Guest => {
                borrowed.push((node.name, nested::borrow(node)?));
                SFlag::S_IFREG
            }
        };
        mknodat(dev, node.name, kind, mode, device).step(|| format!("make /dev/{}", node.name))?;
        own(dev, node.name, base)?;
        fchmodat(dev, node.name, mode, FchmodatFlags::FollowSymlink)
            .step(|| format!("set the mode of /dev/{}", node.name))?;
    }
    Ok(borrowed)
}

/// Where [`nested::make_door`] mounts.
fn place_for_door(dev: BorrowedFd<'_>, base: u32) -> Result<()> {
    for name in [nested::DIRECTORY, nested::PROC] {
        mkdirat(dev, name, Mode::from_bits_truncate(0o700)).step(|| format!("make /dev/{name}"))?;
        own(dev, name, base)?;
    }
    Ok(())
}

fn populate(dev: BorrowedFd<'_>, base: u32) -> Result<()> {
    mknodat(dev, "console", SFlag::S_IFREG, Mode::from_bits_truncate(0o600), 0)
        .step(|| "make /dev/console".to_owned())?;
    for directory in ["pts", "shm", "mqueue"] {
        mkdirat(dev, directory, Mode::from_bits_truncate(0o755)).step(|| format!("make /dev/{directory}"))?;
        own(dev, directory, base)?;
    }
    for (name, target) in dev::LINKS {
        symlinkat(*target, dev, *name).step(|| format!("link /dev/{name}"))?;
        own(dev, name, base)?;
    }
    Ok(())
}

/// One node in the place of whatever has its name, or nothing. The tmpfs is ours alone still: there is no link to follow.
fn replace(dev: BorrowedFd<'_>, path: &Path, node: Option<&DeviceNode>, base: u32) -> Result<()> {
    let shown = path.display();
    match unlinkat(dev, path, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno).step(|| format!("remove /dev/{shown}")),
    }
    let Some(node) = node else { return Ok(()) };
    for directory in
        path.ancestors().skip(1).filter(|part| !part.as_os_str().is_empty()).collect::<Vec<_>>().iter().rev()
    {
        match mkdirat(dev, *directory, Mode::from_bits_truncate(0o755)) {
            Ok(()) => own(dev, &directory.to_string_lossy(), base)?,
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno).step(|| format!("make /dev/{}", directory.display())),
        }
    }
    let kind = if node.block { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
    let (device, mode) = (makedev(node.major, node.minor), Mode::from_bits_truncate(node.mode));
    mknodat(dev, path, kind, mode, device).step(|| format!("make /dev/{shown}"))?;
    own(dev, &path.to_string_lossy(), base)?;
    fchmodat(dev, path, mode, FchmodatFlags::FollowSymlink).step(|| format!("set the mode of /dev/{shown}"))
}

fn own(dev: BorrowedFd<'_>, name: &str, base: u32) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(base), Gid::from_raw(base));
    fchownat(dev, name, Some(uid), Some(gid), nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)
        .step(|| format!("own /dev/{name}"))
}
