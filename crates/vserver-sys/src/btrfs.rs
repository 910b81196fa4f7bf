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
    use super::{Info, LimitArguments, Lookup, Search, Volume};

    nix::ioctl_write_ptr!(create, 0x94, 14, Volume);
    nix::ioctl_readwrite!(search, 0x94, 17, Search);
    nix::ioctl_readwrite!(lookup, 0x94, 18, Lookup);
    nix::ioctl_read!(info, 0x94, 31, Info);
    nix::ioctl_read!(limit, 0x94, 43, LimitArguments);
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
    let mut args = Volume { fd: 0, name: [0; 4088] };
    let bytes = name.to_bytes();
    let place = args.name.get_mut(..bytes.len()).filter(|_| bytes.len() <= 255);
    place.ok_or_else(|| io::Error::from_raw_os_error(libc::ENAMETOOLONG))?.copy_from_slice(bytes);
    // SAFETY: the descriptor is open, and the kernel reads a live struct of exactly this repr(C) layout.
    unsafe { call::create(directory.as_raw_fd(), &args) }?;
    Ok(())
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
        assert_eq!(size_of::<Search>(), 4096);
        assert_eq!(size_of::<Info>(), 1024);
        assert_eq!(size_of::<LimitArguments>(), 48);
    }
}
