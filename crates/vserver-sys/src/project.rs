//! The attributes of a file that `FS_IOC_FSGETXATTR` knows: its project, and whether it is immutable. ext4, xfs, f2fs and
//! others; `ENOTTY` or `EOPNOTSUPP` elsewhere. `include/uapi/linux/fs.h`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Nobody may change or unlink the file. `FS_XFLAG_IMMUTABLE`.
pub const IMMUTABLE: u32 = 0x8;
/// What is made in the directory belongs to its project. `FS_XFLAG_PROJINHERIT`.
pub const INHERIT: u32 = 0x200;

/// `struct fsxattr`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// [`IMMUTABLE`], [`INHERIT`] and others, which are to be written back as they were read.
    pub flags: u32,
    extent_size: u32,
    extents: u32,
    /// The project that its blocks and its inode are counted for; 0 is none.
    pub project: u32,
    cow_extent_size: u32,
    pad: [u8; 8],
}

mod call {
    use super::Attributes;

    nix::ioctl_read!(get, b'X', 31, Attributes);
    nix::ioctl_write_ptr!(set, b'X', 32, Attributes);
}

/// Those of an open file or directory (not of an `O_PATH` descriptor).
pub fn get(file: BorrowedFd<'_>) -> io::Result<Attributes> {
    let mut found = Attributes::default();
    // SAFETY: the descriptor is open, and the kernel fills a struct of exactly this repr(C) layout.
    unsafe { call::get(file.as_raw_fd(), &mut found) }?;
    Ok(found)
}

/// Sets them. Changing the project takes the first user namespace.
pub fn set(file: BorrowedFd<'_>, attributes: &Attributes) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the kernel reads a live struct of exactly this repr(C) layout.
    unsafe { call::set(file.as_raw_fd(), attributes) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_struct_is_the_kernels() {
        assert_eq!(size_of::<Attributes>(), 28);
    }
}
