//! A disk of a guest's own: a file with a file system in it. It takes space as it is filled.

mod grow;
mod kind;
mod program;
mod quotas;

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, openat};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;
use vserver_sys::{block, mount as mounts};

use crate::error::{Error, Result};
use crate::lack::Lack;

pub use grow::grow;
pub use kind::Kind;
pub use quotas::lack as lack_of_quotas;

/// What a new image is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Bytes.
    pub bytes: u64,
    /// Inodes, rounded up by ext4 to what its groups hold; `None` is what the file system thinks right. xfs has no number.
    pub inodes: Option<u64>,
    /// What is made in it; `None` is [`Kind::choose`].
    pub kind: Option<Kind>,
}

/// What a mount of an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// For a guest: device nodes have no effect.
    Guest,
    /// The same, and its users and groups are counted and held to their quotas. An ext4 is given what it lacks for that.
    Quotas,
    /// For the host, which makes the tree.
    Write,
    /// To be read; what a crash left in the journal is written first.
    Read,
    /// To be read with nothing written at all.
    Look,
}

/// Makes an image with an empty file system, and says which. Leaves nothing after a failure.
///
/// # Errors
/// [`Error::Size`] if it is too small; [`Error::Missing`]; [`Error::Program`] of what mkfs says.
pub fn create(image: &Path, wish: &Wish) -> Result<Kind> {
    let kind = wish.kind.unwrap_or_else(|| Kind::choose(wish.bytes, wish.inodes));
    if wish.bytes < kind.least() {
        let reason = format!("{} ({} MiB) are the least for {}", kind.least(), kind.least() >> 20, kind.name());
        return Err(Error::Size { image: image.to_owned(), wanted: wish.bytes, reason });
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(image)
        .map_err(Error::call("create", image))?;
    let filled = file
        .set_len(wish.bytes)
        .map_err(Error::call("set the size of", image))
        .and_then(|()| format(image, kind, wish));
    filled.inspect_err(|_| drop(std::fs::remove_file(image)))?;
    Ok(kind)
}

/// mkfs.ext4(8) and its like write zeroes nowhere: the file is new.
fn format(image: &Path, kind: Kind, wish: &Wish) -> Result<()> {
    match kind {
        Kind::Ext4 => {
            // Nothing is kept back for root: the guest's root is no root of the host's.
            let words = ["-q", "-F", "-b", "4096", "-m", "0", "-E", "nodiscard"];
            let mut words: Vec<String> = words.map(str::to_owned).to_vec();
            words.extend(wish.inodes.map(|inodes| format!("-N{}", enough(inodes, wish.bytes))));
            program::run("mkfs.ext4", "e2fsprogs", &words, image, &[0])
        }
        Kind::Xfs => program::run("mkfs.xfs", "xfsprogs", &["-q", "-K"], image, &[0]),
        Kind::Btrfs => program::run("mkfs.btrfs", "btrfs-progs", &["-q", "-K"], image, &[0]),
    }
}

/// So many inodes that the guest can use, as mke2fs(8) wants them: it rounds down to what fills blocks in each group, and
/// keeps the first ten.
fn enough(inodes: u64, bytes: u64) -> u64 {
    /// Of 4096 bytes in a block, and 256 in an inode.
    const IN_BLOCK: u64 = 16;
    const GROUP: u64 = 128 << 20;
    inodes.saturating_add(10).next_multiple_of(IN_BLOCK * bytes.div_ceil(GROUP).max(1))
}

/// Mounts an image on a directory, in the caller's mount namespace. The loop device goes with the last mount of it.
///
/// # Errors
/// [`Lack::CountedHere`] if only a kernel with quotas mounts it for writing. After any error it is as it was.
pub fn mount_on(image: &Path, directory: BorrowedFd<'_>, access: Access) -> Result<()> {
    let kind = Kind::find(image)?;
    let given = (access, kind) == (Access::Quotas, Kind::Ext4) && {
        wait_until_free(image)?;
        quotas::give_feature(image)?
    };
    let mounted = mount_as(image, kind, directory, access);
    if mounted.is_err() && given {
        quotas::take_feature(image)?;
    }
    let is_closed = || kind == Kind::Ext4 && quotas::has_feature(image).unwrap_or(false);
    match mounted {
        Err(error) if error.errno().is_some() && is_closed() && !quotas::kernel_counts_ext4() => {
            Err(Lack::CountedHere { image: image.to_owned() }.into())
        }
        mounted => mounted,
    }
}

fn mount_as(image: &Path, kind: Kind, directory: BorrowedFd<'_>, access: Access) -> Result<()> {
    let (held, device) = attach(image)?;
    let target = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let flags = match access {
        Access::Guest | Access::Quotas => MsFlags::MS_NODEV,
        Access::Write => MsFlags::empty(),
        Access::Read | Access::Look => MsFlags::MS_NODEV | MsFlags::MS_RDONLY,
    };
    let data = options(kind, access);
    mount(Some(&device), target.as_str(), Some(kind.name()), flags, data).map_err(Error::call("mount", image))?;
    drop(held);
    Ok(())
}

/// Mounts an image where nobody sees it, for as long as the descriptor of its root directory is open. With it the device.
pub fn detached(image: &Path, access: Access) -> Result<(OwnedFd, PathBuf)> {
    let kind = Kind::find(image)?;
    let (held, device) = attach(image)?;
    let text =
        |text: &str| CString::new(text).map_err(|error| Error::call("mount", image)(std::io::Error::from(error)));
    let (kind_name, source) = (text(kind.name())?, text(&device.to_string_lossy())?);
    let data = options(kind, access).map(text).transpose()?;
    let read_only = matches!(access, Access::Read | Access::Look);
    let mut options = vec![(c"source", Some(source.as_c_str()))];
    options.extend(read_only.then_some((c"ro", None)));
    options.extend(data.as_deref().map(|word| (word, None)));
    let attributes = if read_only { mounts::RDONLY | mounts::NODEV } else { mounts::NODEV };
    let mount = mounts::new_filesystem(&kind_name, &options, attributes).map_err(Error::call("mount", image))?;
    // What mounted it is a mere path; whoever holds a directory of it holds it all.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = openat(&mount, ".", flags, Mode::empty()).map_err(Error::call("open the root directory of", image))?;
    drop(held);
    Ok((root, device))
}

fn options(kind: Kind, access: Access) -> Option<&'static str> {
    match (access, kind) {
        (Access::Look, Kind::Ext4) => Some("noload"),
        (Access::Look, Kind::Xfs) => Some("norecovery"),
        (Access::Quotas, Kind::Ext4 | Kind::Xfs) => Some(quotas::OPTIONS),
        (Access::Look | Access::Quotas, Kind::Btrfs) | (Access::Guest | Access::Write | Access::Read, _) => None,
    }
}

fn attach(image: &Path) -> Result<(File, PathBuf)> {
    wait_until_free(image)?;
    let file = OpenOptions::new().read(true).write(true).open(image).map_err(Error::call("open", image))?;
    block::attach(file.as_fd(), block::Manner::default()).map_err(Error::call("make a loop device of", image))
}

/// A device lives a moment longer than the mount namespace that it was mounted in.
fn wait_until_free(image: &Path) -> Result<()> {
    for _ in 0..150 {
        if device_of(image)?.is_none() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    match device_of(image)? {
        Some(device) => Err(Error::Busy { image: image.to_owned(), device }),
        None => Ok(()),
    }
}

/// The loop device over a file, if there is one.
pub fn device_of(image: &Path) -> Result<Option<PathBuf>> {
    let failed = || Error::call("look for loop devices of", image);
    let real = image.canonicalize().map_err(Error::call("find", image))?;
    for entry in std::fs::read_dir("/sys/block").map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let backing = std::fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        if Path::new(backing.trim_end_matches('\n')) == real {
            return Ok(Some(Path::new("/dev").join(entry.file_name())));
        }
    }
    Ok(None)
}

/// Bytes that an image has: the guest's limit.
pub fn size(image: &Path) -> Result<u64> {
    Ok(image.metadata().map_err(Error::call("look at", image))?.size())
}
