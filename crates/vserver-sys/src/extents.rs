//! Which blocks of a file others have, too. `FS_IOC_FIEMAP`, `include/uapi/linux/fiemap.h`. Since 2.6.28; shared ones are told
//! by btrfs since 3.16, by xfs since 4.9.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Extents that are asked for at once.
const MANY: usize = 64;
/// Bytes of `struct fiemap` without its extents.
const HEAD: usize = 32;
/// `FIEMAP_EXTENT_LAST`
const LAST: u32 = 1;
/// `FIEMAP_EXTENT_SHARED`
const SHARED: u32 = 1 << 13;

/// `struct fiemap_extent`
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Extent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved: [u64; 2],
    flags: u32,
    more_reserved: [u32; 3],
}

/// `struct fiemap`
#[repr(C)]
struct Map {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    room: u32,
    reserved: u32,
    extents: [Extent; MANY],
}

mod call {
    use super::{HEAD, Map};

    nix::ioctl_readwrite_bad!(map, nix::request_code_readwrite!(b'f', 11, HEAD), Map);
}

/// Bytes of a regular file whose blocks belong to another file, or to another place of this one, too. What was not written out
/// yet counts as its own.
pub fn shared_bytes(file: BorrowedFd<'_>) -> io::Result<u64> {
    let (mut start, mut shared) = (0, 0u64);
    loop {
        let extents = [Extent::default(); MANY];
        let mut map =
            Map { start, length: u64::MAX - start, flags: 0, mapped: 0, room: MANY as u32, reserved: 0, extents };
        // SAFETY: the descriptor is open, and the kernel reads and fills a live struct of exactly this repr(C) layout, of
        // whose extents it writes no more than `room`.
        unsafe { call::map(file.as_raw_fd(), &mut map) }?;
        let found = &map.extents[..(map.mapped as usize).min(MANY)];
        shared += found.iter().filter(|one| one.flags & SHARED != 0).map(|one| one.length).sum::<u64>();
        match found.last() {
            Some(last) if last.flags & LAST == 0 => start = last.logical.saturating_add(last.length),
            _ => return Ok(shared),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn the_structs_are_the_kernels() {
        assert_eq!((size_of::<Extent>(), size_of::<Map>()), (56, HEAD + MANY * 56));
    }

    #[test]
    fn a_new_file_shares_nothing() {
        let path = std::env::temp_dir().join(format!("vserver-extents-{}", std::process::id()));
        std::fs::write(&path, [1; 10_000]).unwrap();
        let found = shared_bytes(std::fs::File::open(&path).unwrap().as_fd());
        std::fs::remove_file(&path).unwrap();
        match found {
            Ok(shared) => assert_eq!(shared, 0),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP), "{error}"),
        }
    }
}
