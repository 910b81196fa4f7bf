//! Subvolumes and quota groups of btrfs. `include/uapi/linux/btrfs.h`.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Inode number of every subvolume's root.
pub const ROOT_INODE: u64 = 256;
/// `BTRFS_QUOTA_TREE_OBJECTID`
const QUOTA_TREE: u64 = 8;
/// `BTRFS_QGROUP_INFO_KEY`: what a group uses.
const INFO: u32 = 242;
/// `BTRFS_QGROUP_LIMIT_KEY`: what it may use.
const LIMIT: u32 = 244;
/// `BTRFS_QGROUP_LIMIT_MAX_RFER`
const MAX_REFERENCED: u64 = 1;
/// `BTRFS_SUBVOL_RDONLY`
const READ_ONLY: u64 = 1 << 1;

/// `struct btrfs_ioctl_ino_lookup_args`
#[repr(C)]
struct Lookup {
    tree: u64,
    object: u64,
    name: [u8; 4080],
}

/// `struct btrfs_ioctl_qgroup_limit_args`
#[repr(C)]
struct LimitArguments {
    group: u64,
    flags: u64,
    max_referenced: u64,
    others: [u64; 3],
}

/// `struct btrfs_ioctl_vol_args`
#[repr(C)]
struct Volume {
    fd: i64,
    name: [u8; 4088],
}

/// `struct btrfs_ioctl_vol_args_v2`
#[repr(C)]
struct Volume2 {
    fd: i64,
    transaction: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

/// `struct btrfs_ioctl_get_subvol_rootref_args`
#[repr(C)]
struct Children {
    min_tree: u64,
    references: [[u64; 2]; 255],
    items: u8,
    align: [u8; 7],
}

/// `struct btrfs_ioctl_fs_info_args`
#[repr(C)]
struct Info {
    highest_device: u64,
    devices: u64,
    id: [u8; 16],
    rest: [u8; 992],
}

/// `struct btrfs_ioctl_search_args`
#[repr(C)]
struct Search {
    tree: u64,
    min_object: u64,
    max_object: u64,
    min_offset: u64,
    max_offset: u64,
    min_transaction: u64,
    max_transaction: u64,
    min_type: u32,
    max_type: u32,
    items: u32,
    unused: u32,
    more_unused: [u64; 4],
    buffer: [u8; 3992],
}

mod call {
    use super::{Children, Info, LimitArguments, Lookup, Search, Volume, Volume2};

    nix::ioctl_write_ptr!(create, 0x94, 14, Volume);
    nix::ioctl_write_ptr!(destroy, 0x94, 15, Volume);
    nix::ioctl_readwrite!(search, 0x94, 17, Search);
    nix::ioctl_readwrite!(lookup, 0x94, 18, Lookup);
    nix::ioctl_write_ptr!(snapshot, 0x94, 23, Volume2);
    nix::ioctl_read!(flags, 0x94, 25, u64);
    nix::ioctl_write_ptr!(set_flags, 0x94, 26, u64);
    nix::ioctl_read!(info, 0x94, 31, Info);
    nix::ioctl_read!(limit, 0x94, 43, LimitArguments);
    nix::ioctl_readwrite!(children, 0x94, 61, Children);
}

/// What a subvolume uses and may use, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Bytes that it refers to, shared ones included.
    pub used: u64,
    /// Limit of that.
    pub limit: Option<u64>,
}

/// The number of the subvolume that holds `file`: also that of its quota group.
pub fn subvolume(file: BorrowedFd<'_>) -> io::Result<u64> {
    let mut args = Lookup { tree: 0, object: ROOT_INODE, name: [0; 4080] };
    // SAFETY: the descriptor is open, and the kernel reads and fills a struct of exactly this repr(C) layout.
    unsafe { call::lookup(file.as_raw_fd(), &mut args) }?;
    Ok(args.tree)
}

/// The id of the whole file system, the same in all of its subvolumes.
pub fn filesystem(file: BorrowedFd<'_>) -> io::Result<[u8; 16]> {
    let mut found = Info { highest_device: 0, devices: 0, id: [0; 16], rest: [0; 992] };
    // SAFETY: the descriptor is open, and the kernel fills a struct of exactly this repr(C) layout.
    unsafe { call::info(file.as_raw_fd(), &mut found) }?;
    Ok(found.id)
}

/// Makes a subvolume in `directory`. `name` has at most 255 bytes.
pub fn create_subvolume(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    let args = Volume { fd: 0, name: named(name)? };
    // SAFETY: the descriptor is open, and the kernel reads a live struct of exactly this repr(C) layout.
    unsafe { call::create(directory.as_raw_fd(), &args) }?;
    Ok(())
}

/// Makes a subvolume in `directory` of all that is in `subvolume` at one moment; what lies in subvolumes below it is left out,
/// an empty directory each. `name` has at most 255 bytes. Since 3.6.
pub fn snapshot(
    directory: BorrowedFd<'_>,
    name: &CStr,
    subvolume: BorrowedFd<'_>,
    read_only: bool,
) -> io::Result<()> {
    let flags = if read_only { READ_ONLY } else { 0 };
    let fd = i64::from(subvolume.as_raw_fd());
    let args = Volume2 { fd, transaction: 0, flags, unused: [0; 4], name: named(name)? };
    // SAFETY: both descriptors are open, and the kernel reads a live struct of exactly this repr(C) layout.
    unsafe { call::snapshot(directory.as_raw_fd(), &args) }?;
    Ok(())
}

/// Removes the subvolume `name` in `directory` with all that is in it; its space comes back later. `ENOTEMPTY` where there is
/// another one below it.
pub fn destroy(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    let args = Volume { fd: 0, name: named(name)? };
    // SAFETY: the descriptor is open, and the kernel reads a live struct of exactly this repr(C) layout.
    unsafe { call::destroy(directory.as_raw_fd(), &args) }?;
    Ok(())
}

/// Lets nobody, or everybody again, change what is in a subvolume.
pub fn set_read_only(subvolume: BorrowedFd<'_>, read_only: bool) -> io::Result<()> {
    let mut flags = 0;
    // SAFETY: the descriptor is open, and the kernel fills a live number of this size.
    unsafe { call::flags(subvolume.as_raw_fd(), &mut flags) }?;
    let flags = if read_only { flags | READ_ONLY } else { flags & !READ_ONLY };
    // SAFETY: the descriptor is open, and the kernel reads a live number of this size.
    unsafe { call::set_flags(subvolume.as_raw_fd(), &flags) }?;
    Ok(())
}

/// Whether other subvolumes lie below one. Since 4.18.
pub fn has_children(subvolume: BorrowedFd<'_>) -> io::Result<bool> {
    let mut args = Children { min_tree: 0, references: [[0; 2]; 255], items: 0, align: [0; 7] };
    // SAFETY: the descriptor is open, and the kernel reads and fills a struct of exactly this repr(C) layout.
    match unsafe { call::children(subvolume.as_raw_fd(), &mut args) } {
        Ok(_) => Ok(args.items > 0),
        // More than fit.
        Err(nix::errno::Errno::EOVERFLOW) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// A name as the kernel takes it, with the zero at its end.
fn named<const N: usize>(name: &CStr) -> io::Result<[u8; N]> {
    let (mut field, bytes) = ([0; N], name.to_bytes());
    let place = field.get_mut(..bytes.len()).filter(|_| bytes.len() <= 255);
    place.ok_or_else(|| io::Error::from_raw_os_error(libc::ENAMETOOLONG))?.copy_from_slice(bytes);
    Ok(field)
}

/// Limits what subvolume `group` refers to; `None` is no limit. `ENOTCONN` where quotas are off.
pub fn limit(file: BorrowedFd<'_>, group: u64, bytes: Option<u64>) -> io::Result<()> {
    // All ones clear an old limit. `BTRFS_QGROUP_LIMIT`, `btrfs_limit_qgroup` in the kernel.
    let max_referenced = bytes.unwrap_or(u64::MAX);
    let mut args = LimitArguments { group, flags: MAX_REFERENCED, max_referenced, others: [0; 3] };
    // SAFETY: the descriptor is open, and the kernel reads a live struct of exactly this repr(C) layout.
    unsafe { call::limit(file.as_raw_fd(), &mut args) }?;
    Ok(())
}

/// What subvolume `group` uses and may use; `None` where quotas are off.
pub fn group(file: BorrowedFd<'_>, group: u64) -> io::Result<Option<Group>> {
    let Some(info) = item(file, INFO, group)? else { return Ok(None) };
    let limits = item(file, LIMIT, group)?.unwrap_or_default();
    let flags = number(&limits, 0).unwrap_or(0);
    let limit = number(&limits, 8).filter(|limit| flags & MAX_REFERENCED != 0 && *limit != u64::MAX);
    // Generation, then bytes referred to.
    Ok(Some(Group { used: number(&info, 8).unwrap_or(0), limit }))
}

/// One item of the quota tree.
fn item(file: BorrowedFd<'_>, kind: u32, group: u64) -> io::Result<Option<Vec<u8>>> {
    /// `struct btrfs_ioctl_search_header`: transaction, object, offset, type, length.
    const HEADER: usize = 32;
    let mut args = Search {
        tree: QUOTA_TREE,
        min_object: 0,
        max_object: 0,
        min_offset: group,
        max_offset: group,
        min_transaction: 0,
        max_transaction: u64::MAX,
        min_type: kind,
        max_type: kind,
        items: 1,
        unused: 0,
        more_unused: [0; 4],
        buffer: [0; 3992],
    };
    // SAFETY: the descriptor is open, and the kernel reads and fills a struct of exactly this repr(C) layout.
    match unsafe { call::search(file.as_raw_fd(), &mut args) } {
        Ok(_) => {}
        Err(nix::errno::Errno::ENOENT) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    }
    let length = args.buffer.get(28..HEADER).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes);
    let found = args.buffer.get(HEADER..HEADER + length as usize);
    Ok(found.filter(|_| args.items == 1).map(<[u8]>::to_vec))
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structs_are_the_kernels() {
        assert_eq!(size_of::<Lookup>(), 4096);
        assert_eq!(size_of::<Volume>(), 4096);
        assert_eq!(size_of::<Volume2>(), 4096);
        assert_eq!(size_of::<Children>(), 4096);
        assert_eq!(size_of::<Search>(), 4096);
        assert_eq!(size_of::<Info>(), 1024);
        assert_eq!(size_of::<LimitArguments>(), 48);
    }
}
