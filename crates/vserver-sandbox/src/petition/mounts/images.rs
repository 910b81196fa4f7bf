//! A file of the guest's that is mounted as a disk (ccapability `admin_cloop`). It gets a loop device that only the helper opens
//! and that is gone with the mount: the guest never has one, since a device that is free is anybody's, the next image of the
//! host's too.
//!
//! The helper is not in the guest's cgroup, whose device policy knows no loop devices. So nothing of a file system may lie on another
//! device: an ext4, which says where its journal is, is mounted without one, and no option names a device. What counts is
//! the file as the guest's root has opened it, so it writes what that may write, and a copy of what it shares with others.

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, mkdirat, mknodat, stat};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, XFS_SUPER_MAGIC, fstatfs};
use nix::unistd::{chroot, fchdir};
use vserver_sys::block::{self, Manner};
use vserver_sys::mount::{self, NOEXEC, NOSUID};
use vserver_sys::{project, quota};

use super::super::Guest;
use super::super::caller::number_of;
use super::super::loops::Given;
use super::kinds::Owners;
use super::{LONGEST_SOURCE, Wish};
use crate::userns::IDS;

/// Most images that one guest has mounted at a time. The host's loop devices and their threads are for all.
const MOST: usize = 16;

/// The file system in `file`, detached, with the guest's owners. This process sees nothing of the host's afterwards.
pub(super) fn make(
    guest: &Guest<'_>,
    wish: &Wish,
    file: OwnedFd,
    found: FileStat,
    place: Option<&Given>,
    users: BorrowedFd<'_>,
) -> nix::Result<OwnedFd> {
    is_the_guests(guest, &file, &found)?;
    if !wish.read_only && is_limited(&file) {
        return Err(Errno::EDQUOT);
    }
    let name = name_of(&file, place);
    let device = device_of(guest, wish, &file, &found)?;
    drop(file);
    let number = fstat(&device)?.st_rdev;
    go_where_it_has_this_name(&name, number)?;
    let (kind, word) = wish.kind.alone;
    let said = wish.options.iter().map(|(name, value)| (name.as_c_str(), value.as_deref()));
    let more = [(c"source", Some(name.as_c_str()))].into_iter().chain(word.map(|word| (word, None)));
    let options: Vec<_> = said.chain(more).collect();
    let made = mount::new_filesystem(kind, &options, wish.attributes).map_err(number_of)?;
    if fstat(&made)?.st_dev != number {
        return Err(Errno::EACCES);
    }
    if wish.kind.owners == Owners::Mapped {
        mount::idmap(made.as_fd(), users).map_err(number_of)?;
    }
    Ok(made)
}

/// Neither a file of the host's that it is shown, nor one whose content a process makes up or the kernel, which a device would
/// wait for without end.
fn is_the_guests(guest: &Guest<'_>, file: &OwnedFd, found: &FileStat) -> nix::Result<()> {
    /// `include/uapi/linux/magic.h`: ext4, xfs, btrfs, f2fs, bcachefs, tmpfs; and ZFS.
    const KEPT: [u32; 7] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0xCA45_1A4E, 0x0102_1994, 0x2FC1_2FC1];
    let owners = [found.st_uid, found.st_gid];
    if !owners.iter().all(|id| id.checked_sub(guest.base).is_some_and(|inside| inside < IDS)) {
        return Err(Errno::EPERM);
    }
    let kind = fstatfs(file)?.filesystem_type().0 as u32;
    // Its own tree may be an overlay, made by us; others are over whatever a guest puts below.
    let own = || stat(format!("/proc/{}/root", guest.init).as_str()).is_ok_and(|root| root.st_dev == found.st_dev);
    if KEPT.contains(&kind) || own() { Ok(()) } else { Err(Errno::EACCES) }
}

/// Whether quotas limit the project of the file. What is written by a loop device the kernel writes, and most file systems hold
/// it to no limit; an xfs does.
fn is_limited(file: &OwnedFd) -> bool {
    let Some(project) = project::get(file.as_fd()).ok().map(|found| found.project).filter(|project| *project != 0)
    else {
        return false;
    };
    let kind = fstatfs(file).map(|found| found.filesystem_type());
    match quota::state(file.as_fd()) {
        Ok(state) => {
            let limit = || quota::get(file.as_fd(), project).map_or(u64::MAX, |quota| quota.space_hard);
            kind != Ok(XFS_SUPER_MAGIC) && state.enforced && limit() != 0
        }
        // It does not tell of those of the file system below.
        Err(_) => kind == Ok(OVERLAYFS_SUPER_MAGIC),
    }
}

/// As the guest's table of mounts has it: its path there.
fn name_of(file: &OwnedFd, place: Option<&Given>) -> CString {
    let path = || std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default();
    let named = place.and_then(|place| place.file.as_ref()).map(OsString::from);
    let bytes = named.unwrap_or_else(|| path().into_os_string()).into_vec();
    let fits = bytes.starts_with(b"/") && bytes.len() < LONGEST_SOURCE;
    CString::new(if fits { bytes } else { b"/image".to_vec() }).unwrap_or_else(|_| c"/image".to_owned())
}

/// The loop device, open for reading only: on some kernels nobody may have one that is mounted open for writing.
/// CONFIG_BLK_DEV_WRITE_MOUNTED
fn device_of(guest: &Guest<'_>, wish: &Wish, file: &OwnedFd, found: &FileStat) -> nix::Result<File> {
    let label = format!("vserver {} {}", guest.init, guest.name);
    let (all, lock) = block::all_loops().map_err(number_of)?;
    if all.iter().filter(|one| one.is_labelled(label.as_bytes())).count() >= MOST {
        return Err(Errno::ENOSPC);
    }
    // Two devices that write to one file destroy what is in it.
    let others = all.iter().filter(|one| one.file == (found.st_dev, found.st_ino));
    if others.into_iter().any(|other| !(other.read_only && wish.read_only)) {
        return Err(Errno::EBUSY);
    }
    let manner = Manner { read_only: wish.read_only, label: label.as_bytes() };
    let (device, path) = block::attach(file.as_fd(), manner).map_err(number_of)?;
    drop(lock);
    let held = File::open(path).map_err(number_of)?;
    drop(device);
    Ok(held)
}

/// The kernel looks for a device by the name that the table of mounts will have: in this place that is the name of device
/// `number`.
fn go_where_it_has_this_name(name: &CStr, number: u64) -> nix::Result<()> {
    let place = mount::new_filesystem(c"tmpfs", &[], NOSUID | NOEXEC).map_err(number_of)?;
    let path = Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()));
    let path = path.strip_prefix("/").map_err(|_| Errno::EINVAL)?;
    let directories: Vec<_> = path.ancestors().skip(1).filter(|part| !part.as_os_str().is_empty()).collect();
    directories.iter().rev().try_for_each(|part| mkdirat(&place, *part, Mode::S_IRWXU))?;
    mknodat(&place, path, SFlag::S_IFBLK, Mode::S_IRUSR | Mode::S_IWUSR, number)?;
    fchdir(&place)?;
    chroot(".")
}
