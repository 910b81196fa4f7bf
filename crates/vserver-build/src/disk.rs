//! A full disk, told by the name of its file system.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use crate::Error;

/// Below so many free bytes a program's failure in a tree is put down to the disk.
const LITTLE: u64 = 4 << 20;

/// Makes one sentence of a failure for lack of space, whoever met it.
pub(crate) fn explain(error: Error, root: &Path) -> Error {
    let full = match &error {
        Error::Program { tail, .. } => {
            tail.iter().any(|line| line.contains("No space left on device")) || is_full(root)
        }
        other => other.is_disk_full(),
    };
    match full {
        true => Error::DiskFull { filesystem: mount_point(root), path: root.to_owned() },
        false => error,
    }
}

fn is_full(path: &Path) -> bool {
    statvfs(path).is_ok_and(|found| found.blocks_available() * found.fragment_size() < LITTLE)
}

/// The uppermost directory on the same device.
fn mount_point(path: &Path) -> PathBuf {
    let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
    let here = device(path);
    path.ancestors().take_while(|above| device(above) == here).last().unwrap_or(path).to_owned()
}
