//! The end of a snapshot.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use vserver_fs::remove_guest_tree;
use vserver_sys::btrfs;

use super::picture::is_subvolume;
use super::place::{Place, TREE, beside, entries};
use crate::Error;

/// Removes one that is there: first its name, so that there is no half of it.
pub(super) fn one(place: &Place, label: &str) -> Result<(), Error> {
    let gone = place.dir.join(format!(".gone-{label}"));
    let path = place.dir.join(label);
    renameat2(AT_FDCWD, &path, AT_FDCWD, &gone, RenameFlags::RENAME_NOREPLACE)
        .map_err(|errno| Error::io("remove", &path)(errno.into()))?;
    entry(&gone)
}

/// Removes a directory with a tree or an image, if it is there.
pub(super) fn entry(dir: &Path) -> Result<(), Error> {
    if dir.symlink_metadata().is_err() {
        return Ok(());
    }
    let tree = dir.join(TREE);
    if is_subvolume(&tree)? {
        subvolume(dir, &tree)?;
    }
    Ok(remove_guest_tree(dir)?)
}

/// As one, if nothing lies below it that must go one by one.
fn subvolume(dir: &Path, tree: &Path) -> Result<(), Error> {
    let failed = || Error::io("remove the subvolume", tree);
    let directory = File::open(dir).map_err(failed())?;
    let name = CString::new(tree.file_name().unwrap_or_default().as_bytes());
    let name = name.map_err(|error| failed()(error.into()))?;
    if btrfs::destroy(directory.as_fd(), &name).is_err() {
        let file = File::open(tree).map_err(failed())?;
        btrfs::set_read_only(file.as_fd(), false).map_err(failed())?;
    }
    Ok(())
}

/// Removes all snapshots of a tree or an image that goes itself.
pub(crate) fn remove_all(live: &Path) -> Result<(), Error> {
    let dir = beside(live);
    for name in entries(&dir)? {
        entry(&dir.join(name))?;
    }
    match fs::remove_dir(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &dir)(error)),
        _ => Ok(()),
    }
}
