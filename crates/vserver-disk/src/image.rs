//! A disk of a guest's own: a file with an ext4 in it. It takes space as it is filled.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sys::stat::fstat;
use nix::sys::statfs::fstatfs;
use vserver_sys::block;

use crate::error::{Error, Result};

/// The smallest that an ext4 with a journal fits into, with some room.
pub const LEAST: u64 = 16 << 20;

/// Makes an image of so many bytes, with an empty ext4. Leaves nothing after a failure.
pub fn create(image: &Path, bytes: u64) -> Result<()> {
    if bytes < LEAST {
        let reason = format!("{LEAST} are the least");
        return Err(Error::Size { image: image.to_owned(), wanted: bytes, reason });
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(image)
        .map_err(Error::call("create", image))?;
    let filled = file.set_len(bytes).map_err(Error::call("set the size of", image)).and_then(|()| {
        // Nothing is kept back for root: the guest's root is no root of the host's.
        run("mkfs.ext4", "e2fsprogs", &["-q", "-F", "-m", "0", "-E", "nodiscard"], image, &[0])
    });
    filled.inspect_err(|_| drop(std::fs::remove_file(image)))
}

/// Runs a program of e2fsprogs on an image.
fn run(program: &'static str, package: &'static str, arguments: &[&str], image: &Path, good: &[i32]) -> Result<()> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program).args(arguments).arg("--").arg(image).env("PATH", path).output();
    let output = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::Missing { program, package },
        _ => Error::call("run a program on", image)(error),
    })?;
    if output.status.code().is_some_and(|code| good.contains(&code)) {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().escape_debug().to_string();
    let words = text.chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().collect();
    Err(Error::Program { program, path: image.to_owned(), status: output.status.to_string(), words })
}

/// Mounts an image on a directory, in the caller's mount namespace. The loop device goes with the last mount of it.
pub fn mount_on(image: &Path, directory: BorrowedFd<'_>, read_only: bool) -> Result<()> {
    wait_until_free(image)?;
    let file = OpenOptions::new().read(true).write(true).open(image).map_err(Error::call("open", image))?;
    let (held, device) = block::attach(file.as_fd()).map_err(Error::call("make a loop device of", image))?;
    let target = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let (flags, data) = match read_only {
        true => (MsFlags::MS_RDONLY, Some("noload")),
        false => (MsFlags::empty(), None),
    };
    let flags = flags | MsFlags::MS_NODEV;
    mount(Some(&device), target.as_str(), Some("ext4"), flags, data).map_err(Error::call("mount", image))?;
    drop(held);
    Ok(())
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

/// Grows an image to so many bytes, and its file system with it: at once if it is mounted, with `mounted` any directory of
/// it.
///
/// # Errors
/// [`Error::Size`] if it is larger already. After another error the file may be larger than its file system: the same
/// call again goes on.
pub fn grow(image: &Path, bytes: u64, mounted: Option<BorrowedFd<'_>>) -> Result<()> {
    let now = size(image)?;
    if bytes < now {
        let reason = format!("it has {now} already, and an ext4 does not shrink while it is used");
        return Err(Error::Size { image: image.to_owned(), wanted: bytes, reason });
    }
    if mounted.is_none() {
        wait_until_free(image)?;
    }
    let file = OpenOptions::new().write(true).open(image).map_err(Error::call("open", image))?;
    let longer = || file.set_len(bytes).map_err(Error::call("set the size of", image));
    match (device_of(image)?, mounted) {
        (Some(device), Some(directory)) => {
            let own = Mounted::find(image, &device, directory, bytes)?;
            // Up to the present size first: where that is refused the file stays as it is.
            own.fill(now)?;
            longer()?;
            own.fill(bytes)
        }
        (Some(device), None) => Err(Error::Busy { image: image.to_owned(), device }),
        (None, _) => {
            longer()?;
            // Status 1 of e2fsck is "errors corrected".
            run("e2fsck", "e2fsprogs", &["-f", "-p"], image, &[0, 1])?;
            run("resize2fs", "e2fsprogs", &[], image, &[0])
        }
    }
}

/// An image that is in use.
struct Mounted<'a> {
    image: &'a Path,
    device: &'a Path,
    held: File,
    directory: BorrowedFd<'a>,
    block: u64,
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
        Ok(Self { image, device, held, directory, block })
    }

    /// Lets the device see the file's size, and the file system have so much of it.
    fn fill(&self, bytes: u64) -> Result<()> {
        block::refresh(self.held.as_fd()).map_err(Error::call("tell the new size to", self.device))?;
        let failed = Error::call("grow the file system of", self.image);
        block::grow_ext4(self.directory, bytes / self.block).map_err(failed)
    }
}
