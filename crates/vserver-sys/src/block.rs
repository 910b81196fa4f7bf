//! Image files as block devices, loop(4), and an ext4 or xfs that grows while it is mounted.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// `LO_FLAGS_READ_ONLY`, `include/uapi/linux/loop.h`.
const READ_ONLY: u32 = 1;
/// The device goes when its last user does. `LO_FLAGS_AUTOCLEAR`
const AUTOCLEAR: u32 = 4;
/// `LO_NAME_SIZE`
const NAME_SIZE: usize = 64;

/// What gives out free numbers.
const CONTROL: &str = "/dev/loop-control";

/// `struct loop_info64`
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    real_device: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    file_name: [u8; NAME_SIZE],
    crypt_name: [u8; 64],
    key: [u8; 32],
    init: [u64; 2],
}

impl Default for Info {
    fn default() -> Self {
        Self {
            device: 0,
            inode: 0,
            real_device: 0,
            offset: 0,
            size_limit: 0,
            number: 0,
            encryption: [0; 2],
            flags: 0,
            file_name: [0; NAME_SIZE],
            crypt_name: [0; 64],
            key: [0; 32],
            init: [0; 2],
        }
    }
}

/// `struct xfs_fsop_geom_v1`, `fs/xfs/libxfs/xfs_fs.h`
#[repr(C)]
struct XfsGeometry {
    before: [u32; 7],
    inode_percent: u32,
    after: [u64; 10],
}

/// `struct xfs_growfs_data`
#[repr(C)]
struct XfsGrowth {
    blocks: u64,
    inode_percent: u32,
}

/// `struct loop_config`
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

mod call {
    use super::{Config, Info, XfsGeometry, XfsGrowth};

    // Older than the scheme of numbers.
    nix::ioctl_none_bad!(get_free, 0x4C82);
    nix::ioctl_write_ptr_bad!(configure, 0x4C0A, Config);
    nix::ioctl_read_bad!(status, 0x4C05, Info);
    nix::ioctl_none_bad!(set_capacity, 0x4C07);
    nix::ioctl_read_bad!(read_only, 0x125E, libc::c_int);
    nix::ioctl_write_ptr!(resize, b'f', 16, u64);
    nix::ioctl_read!(geometry, b'X', 100, XfsGeometry);
    nix::ioctl_write_ptr!(grow_data, b'X', 110, XfsGrowth);
}

/// What a new loop device is like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner<'a> {
    /// Nobody writes to it.
    pub read_only: bool,
    /// The word that it is known by to [`all_loops`]: its first 63 bytes.
    pub label: &'a [u8],
}

/// A loop device over `image`, which is gone when nothing holds it open or mounted any more. Linux 5.8.
pub fn attach(image: BorrowedFd<'_>, manner: Manner<'_>) -> io::Result<(File, PathBuf)> {
    let control = File::open(CONTROL)?;
    let mut tries = 0;
    loop {
        // SAFETY: an open descriptor and no argument.
        let number = unsafe { call::get_free(control.as_raw_fd()) }?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = OpenOptions::new().read(true).write(!manner.read_only).open(&path)?;
        let mut info = Info { flags: AUTOCLEAR, ..Info::default() };
        if manner.read_only {
            info.flags |= READ_ONLY;
        }
        for (place, byte) in info.file_name[..NAME_SIZE - 1].iter_mut().zip(manner.label) {
            *place = *byte;
        }
        let config = Config { fd: image.as_raw_fd().unsigned_abs(), block_size: 0, info, reserved: [0; 8] };
        // SAFETY: both descriptors are open, and the kernel reads a live struct of exactly this repr(C) layout.
        match unsafe { call::configure(device.as_raw_fd(), &config) } {
            Ok(_) => return Ok((device, path)),
            // Somebody else was given the same number.
            Err(nix::errno::Errno::EBUSY) if tries < 64 => tries += 1,
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A loop device that has a file.
#[derive(Clone, Copy, Debug)]
pub struct Loop {
    /// Device and inode number of the file, as stat(2) has them.
    pub file: (u64, u64),
    /// Nobody writes to it.
    pub read_only: bool,
    label: [u8; NAME_SIZE],
}

impl Loop {
    /// The word that it is known by: a label, or what others have put there, as the path of the file.
    pub fn label(&self) -> &[u8] {
        self.label.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Whether it was made with this label.
    pub fn is_labelled(&self, label: &[u8]) -> bool {
        self.label() == &label[..label.len().min(NAME_SIZE - 1)]
    }
}

/// All of the host's. No other caller of this has any made meanwhile, as long as the second is held.
pub fn all_loops() -> io::Result<(Vec<Loop>, File)> {
    let lock = File::open(CONTROL)?;
    lock.lock()?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/sys/block")? {
        let entry = entry?;
        if entry.path().join("loop/backing_file").exists() {
            // It may have gone meanwhile.
            found.extend(status(&Path::new("/dev").join(entry.file_name())).ok());
        }
    }
    Ok((found, lock))
}

fn status(device: &Path) -> io::Result<Loop> {
    let device = File::open(device)?;
    let mut info = Info::default();
    // SAFETY: an open descriptor, and the kernel fills a live struct of exactly this repr(C) layout.
    unsafe { call::status(device.as_raw_fd(), &mut info) }?;
    Ok(Loop { file: (info.device, info.inode), read_only: info.flags & READ_ONLY != 0, label: info.file_name })
}

/// Tells a loop device that its file has another size now.
pub fn refresh(device: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: an open descriptor and no argument.
    unsafe { call::set_capacity(device.as_raw_fd()) }?;
    Ok(())
}

/// Whether nobody at all can write to a block device. `BLKROGET`, `include/uapi/linux/fs.h`.
pub fn is_read_only(device: BorrowedFd<'_>) -> io::Result<bool> {
    let mut answer = 0;
    // SAFETY: an open descriptor, and the kernel writes one live int.
    unsafe { call::read_only(device.as_raw_fd(), &mut answer) }?;
    Ok(answer != 0)
}

/// Grows the mounted ext4 that holds `directory` to `blocks` of its blocks. Takes CAP_SYS_RESOURCE.
pub fn grow_ext4(directory: BorrowedFd<'_>, blocks: u64) -> io::Result<()> {
    // SAFETY: an open descriptor, and the kernel reads eight live bytes.
    unsafe { call::resize(directory.as_raw_fd(), &blocks) }?;
    Ok(())
}

/// Grows the mounted xfs that holds `directory` to `blocks` of its blocks; what inodes may take of it stays.
/// `XFS_IOC_FSGROWFSDATA`.
pub fn grow_xfs(directory: BorrowedFd<'_>, blocks: u64) -> io::Result<()> {
    let mut found = XfsGeometry { before: [0; 7], inode_percent: 0, after: [0; 10] };
    // SAFETY: an open descriptor, and the kernel fills a live struct of exactly this repr(C) layout.
    unsafe { call::geometry(directory.as_raw_fd(), &mut found) }?;
    let wanted = XfsGrowth { blocks, inode_percent: found.inode_percent };
    // SAFETY: an open descriptor, and the kernel reads a live struct of exactly this repr(C) layout.
    unsafe { call::grow_data(directory.as_raw_fd(), &wanted) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_compared_as_far_as_they_are_kept() {
        let mut one = Loop { file: (0, 0), read_only: false, label: [0; NAME_SIZE] };
        one.label[..3].copy_from_slice(b"one");
        assert!(one.is_labelled(b"one") && !one.is_labelled(b"on") && !one.is_labelled(b"ones"));
        one.label = [b'x'; NAME_SIZE];
        assert!(!one.is_labelled(&[b'x'; 70]));
        one.label[NAME_SIZE - 1] = 0;
        assert!(one.is_labelled(&[b'x'; 70]) && !one.is_labelled(&[b'x'; 62]));
    }

    #[test]
    fn the_structs_are_the_kernels() {
        assert_eq!((size_of::<Info>(), size_of::<Config>()), (232, 304));
        assert_eq!((size_of::<XfsGeometry>(), size_of::<XfsGrowth>()), (112, 16));
    }
}
