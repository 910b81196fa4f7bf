//! A larger image, under a running guest or at rest.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::sys::stat::fstat;
use nix::sys::statfs::{XFS_SUPER_MAGIC, fstatfs};
use vserver_sys::block;

use super::{Access, Kind, detached, device_of, program, size, wait_until_free};
use crate::error::{Error, Result};

/// Grows an image to so many bytes, and its file system with it: at once if it is mounted, with `mounted` any directory of
/// it.
///
/// # Errors
/// [`Error::Size`] if it is larger already, or holds a file system that does not grow. After another error the file may be
/// larger than its file system: the same call again goes on.
pub fn grow(image: &Path, bytes: u64, mounted: Option<BorrowedFd<'_>>) -> Result<()> {
    let (now, kind) = (size(image)?, Kind::find(image)?);
    let refused = |reason: String| Err(Error::Size { image: image.to_owned(), wanted: bytes, reason });
    if bytes < now {
        return refused(format!("it has {now} already, and a disk only grows"));
    }
    if kind == Kind::Btrfs {
        return refused("only ext4 and xfs grow; use `btrfs filesystem resize` where it is mounted".to_owned());
    }
    let Some(directory) = mounted else { return at_rest(image, kind, bytes) };
    match device_of(image)? {
        Some(device) => in_use(&Mounted::find(image, &device, directory, bytes)?, now, bytes),
        None => Err(Error::call("find the loop device of", image)(nix::errno::Errno::ENODEV)),
    }
}

fn lengthen(image: &Path, bytes: u64) -> Result<()> {
    let file = OpenOptions::new().write(true).open(image).map_err(Error::call("open", image))?;
    file.set_len(bytes).map_err(Error::call("set the size of", image))
}

/// Up to the present size first: where that is refused the file stays as it is.
fn in_use(own: &Mounted<'_>, now: u64, bytes: u64) -> Result<()> {
    own.fill(now)?;
    lengthen(own.image, bytes)?;
    own.fill(bytes)
}

fn at_rest(image: &Path, kind: Kind, bytes: u64) -> Result<()> {
    wait_until_free(image)?;
    if kind == Kind::Xfs {
        // It grows only while it is mounted, which nobody needs to see.
        lengthen(image, bytes)?;
        let (mount, device) = detached(image, Access::Write)?;
        return Mounted::find(image, &device, mount.as_fd(), bytes)?.fill(bytes);
    }
    lengthen(image, bytes)?;
    // Status 1 of e2fsck is "errors corrected".
    program::run("e2fsck", "e2fsprogs", &["-f", "-p"], image, &[0, 1])?;
    program::run::<&str>("resize2fs", "e2fsprogs", &[], image, &[0])
}

/// An image that is in use.
struct Mounted<'a> {
    image: &'a Path,
    device: &'a Path,
    held: File,
    directory: BorrowedFd<'a>,
    block: u64,
    is_xfs: bool,
}

impl<'a> Mounted<'a> {
    /// `directory` may be any: the guest's first process chooses its root. On another file system nothing may be changed.
    fn find(image: &'a Path, device: &'a Path, directory: BorrowedFd<'a>, wanted: u64) -> Result<Self> {
        let held = File::open(device).map_err(Error::call("open", device))?;
        let number = fstat(&held).map_err(Error::call("look at", device))?.st_rdev;
        if fstat(directory).map_err(Error::call("look at the file system of", image))?.st_dev != number {
            let reason =
                "the root of its guest is on another file system now; stop the guest and try again".to_owned();
            return Err(Error::Size { image: image.to_owned(), wanted, reason });
        }
        let found = fstatfs(directory).map_err(Error::call("look at the file system of", image))?;
        let block = u64::try_from(found.block_size()).unwrap_or(4096).max(1);
        Ok(Self { image, device, held, directory, block, is_xfs: found.filesystem_type() == XFS_SUPER_MAGIC })
    }

    /// Lets the device see the file's size, and the file system have so much of it.
    fn fill(&self, bytes: u64) -> Result<()> {
        block::refresh(self.held.as_fd()).map_err(Error::call("tell the new size to", self.device))?;
        let grown = match self.is_xfs {
            true => block::grow_xfs(self.directory, bytes / self.block),
            false => block::grow_ext4(self.directory, bytes / self.block),
        };
        grown.map_err(Error::call("grow the file system of", self.image))
    }
}
