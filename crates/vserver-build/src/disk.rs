//! A full disk, told by the name of its file system.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use crate::Error;

/// Below so many free bytes a program's failure in a tree is put down to the disk.
const LITTLE: u64 = 4 << 20;

/// Makes one sentence of a failure for lack of space, whoever met it. `own` are the bytes of the disk of its own that the
/// tree at `root` is on.
pub(crate) fn explain(error: Error, root: &Path, own: Option<u64>) -> Error {
    // rpm counts before it begins, so nothing is full yet.
    let foreseen = says(&error, "more space needed on the");
    let full = match &error {
        Error::Program { .. } => foreseen || says(&error, "No space left on device") || is_full(root),
        other => other.is_disk_full(),
    };
    // An image has holes: when the host has nothing to fill them with, the disk in it fails in other ways.
    let beside = root.parent().filter(|beside| own.is_some() && (full || error.is_disk_broken()) && is_full(beside));
    match (beside, own) {
        (Some(beside), _) => Error::DiskFull { filesystem: mount_point(beside), path: root.to_owned() },
        (None, Some(bytes)) if full && (foreseen || is_used_up(root)) => Error::OwnDiskFull { bytes },
        (None, _) if full => Error::DiskFull { filesystem: mount_point(root), path: root.to_owned() },
        (None, _) => error,
    }
}

fn says(error: &Error, text: &str) -> bool {
    matches!(error, Error::Program { tail, .. } if tail.iter().any(|line| line.contains(text)))
}

fn is_full(path: &Path) -> bool {
    statvfs(path).is_ok_and(|found| found.blocks_available() * found.fragment_size() < LITTLE)
}

/// A file system keeps a little for itself, so a small part of it still counts as full.
fn is_used_up(path: &Path) -> bool {
    statvfs(path).is_ok_and(|found| found.blocks_available() < found.blocks() / 32 || found.files_free() == 0)
}

/// The uppermost directory on the same device.
fn mount_point(path: &Path) -> PathBuf {
    let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
    let here = device(path);
    path.ancestors().take_while(|above| device(above) == here).last().unwrap_or(path).to_owned()
}
