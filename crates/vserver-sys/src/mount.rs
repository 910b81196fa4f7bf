//! Mounts as descriptors: open_tree(2), fsopen(2), fsconfig(2), fsmount(2), move_mount(2), mount_setattr(2).
//! Linux 5.2; `mount_setattr` 5.12. A detached mount has no path, so nobody can exchange its target under us.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::check;

/// Read-only. `MOUNT_ATTR_*`, `include/uapi/linux/mount.h`.
pub const RDONLY: u64 = 0x1;
/// Set-user-ID bits have no effect.
pub const NOSUID: u64 = 0x2;
/// Device nodes have no effect.
pub const NODEV: u64 = 0x4;
/// Nothing can be executed.
pub const NOEXEC: u64 = 0x8;
/// Times of access are not written.
pub const NOATIME: u64 = 0x10;
/// They are written at every access; with neither, when the file was changed since.
pub const STRICTATIME: u64 = 0x20;
/// Those of directories are not written.
pub const NODIRATIME: u64 = 0x80;
/// Ids are mapped by a user namespace.
const IDMAP: u64 = 0x10_0000;
/// Symbolic links are not followed. Linux 5.10.
pub const NOSYMFOLLOW: u64 = 0x20_0000;

const AT_RECURSIVE: libc::c_uint = 0x8000;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_SET_FD: libc::c_uint = 5;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

/// `struct mount_attr`
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

fn owned(result: libc::c_long) -> io::Result<OwnedFd> {
    let fd = check(result)? as i32;
    // SAFETY: the kernel returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A detached copy of the mount that holds `path` (relative to `dir`), with `path` as its root; with all that is
/// mounted below when `recursive`. The last component is not followed if it is a symbolic link.
pub fn clone_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_SYMLINK_NOFOLLOW as libc::c_uint;
    if path.is_empty() {
        flags |= libc::AT_EMPTY_PATH as libc::c_uint;
    }
    if recursive {
        flags |= AT_RECURSIVE;
    }
    // SAFETY: `path` is a live C string and `dir` an open descriptor; the kernel reads both.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) })
}

/// A new superblock of `kind`, configured with `options` (value `None` is a flag), as a detached mount with `attributes`.
pub fn new_filesystem(kind: &CStr, options: &[(&CStr, Option<&CStr>)], attributes: u64) -> io::Result<OwnedFd> {
    let context = context(kind)?;
    for (key, value) in options {
        let command = if value.is_some() { FSCONFIG_SET_STRING } else { FSCONFIG_SET_FLAG };
        configure(context.as_fd(), command, Some(key), *value)?;
    }
    create(context.as_fd(), attributes)
}

/// A new procfs that shows the PID namespace `pids`, as a detached mount with `attributes`. `EINVAL` before Linux 6.17:
/// there a procfs always shows the PID namespace of whoever makes it. proc(5), mount option `pidns`.
pub fn procfs_of(pids: BorrowedFd<'_>, attributes: u64) -> io::Result<OwnedFd> {
    let context = context(c"proc")?;
    let (fd, key) = (context.as_raw_fd(), c"pidns");
    let null: *const libc::c_char = std::ptr::null();
    // SAFETY: `key` is a live C string; for this command the value is null and the last argument a descriptor.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_SET_FD, key.as_ptr(), null, pids.as_raw_fd()) })?;
    create(context.as_fd(), attributes)
}

fn context(kind: &CStr) -> io::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: libc::c_uint = 1;
    // SAFETY: `kind` is a live C string.
    owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })
}

fn create(context: BorrowedFd<'_>, attributes: u64) -> io::Result<OwnedFd> {
    const FSMOUNT_CLOEXEC: libc::c_uint = 1;
    configure(context, FSCONFIG_CMD_CREATE, None, None)?;
    // SAFETY: three integers.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
}

fn configure(
    context: BorrowedFd<'_>,
    command: libc::c_uint,
    key: Option<&CStr>,
    value: Option<&CStr>,
) -> io::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: each pointer is null or a C string that lives through the call, as fsconfig(2) wants for these commands.
    check(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, pointer(key), pointer(value), 0) })
        .map(drop)
}

/// Attaches a detached mount to the object behind `target` (a descriptor, also `O_PATH`).
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    const EMPTY_SOURCE: libc::c_uint = 0x4;
    const EMPTY_TARGET: libc::c_uint = 0x40;
    // SAFETY: both paths are the empty C string, both descriptors are open.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            EMPTY_SOURCE | EMPTY_TARGET,
        )
    })
    .map(drop)
}

/// Sets and clears attributes of a mount; with `recursive` also of all below it. Linux 5.12.
pub fn set_attributes(mount: BorrowedFd<'_>, set: u64, clear: u64, recursive: bool) -> io::Result<()> {
    setattr(mount, &MountAttr { attr_set: set, attr_clr: clear, ..MountAttr::default() }, recursive)
}

/// Whether symbolic links are not followed on the mount that holds a file ([`NOSYMFOLLOW`]). `ST_NOSYMFOLLOW`, Linux 5.10.
pub fn follows_no_links(file: BorrowedFd<'_>) -> io::Result<bool> {
    /// `include/linux/statfs.h`
    const NO_LINKS: libc::c_ulong = 0x2000;
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: an open descriptor, and the library writes one struct of exactly this layout.
    check(unsafe { libc::fstatvfs(file.as_raw_fd(), found.as_mut_ptr()) }.into())?;
    // SAFETY: the call has filled it.
    let found = unsafe { found.assume_init() };
    Ok(found.f_flag & NO_LINKS != 0)
}

/// Makes a mount private, with all below it: nothing mounted elsewhere appears here, and the other way round.
pub fn make_private(mount: BorrowedFd<'_>) -> io::Result<()> {
    setattr(mount, &MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::default() }, true)
}

/// Maps the owners of a *detached* mount and of all below it through `userns`, in both directions, without touching an inode.
/// Linux 5.12, and a file system that supports it (ext4, xfs 5.12, btrfs 5.15, overlayfs 5.19, tmpfs 6.3).
pub fn idmap(mount: BorrowedFd<'_>, userns: BorrowedFd<'_>) -> io::Result<()> {
    let attr = MountAttr { attr_set: IDMAP, userns_fd: userns.as_raw_fd() as u64, ..MountAttr::default() };
    setattr(mount, &attr, true)
}

fn setattr(mount: BorrowedFd<'_>, attr: &MountAttr, recursive: bool) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH as libc::c_uint | if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: `attr` is a live repr(C) value whose true size is passed; the path is an empty C string.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}
