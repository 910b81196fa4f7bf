//! A second tree or image as the first is, by the cheapest means that there is for it.

use std::ffi::{CString, OsStr};
use std::fs::{DirBuilder, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fstat};
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, statfs};
use vserver_fs::{GuestRoot, copy_file, copy_tree, share_file};
use vserver_sys::btrfs;
use vserver_unify::{Layers, Rules, can_clone, clone_with_copies, is_shared, unmark};

use super::place::Place;
use super::work::Work;
use crate::signals::Signals;
use crate::{Error, limit};

/// What is copied where all else gets one more name: administrators edit it in place, and some editors write into a file
/// that has several names.
const COPIED: &[u8] = b"/etc/*\n/root/*\n";

/// What a picture is taken of.
pub(super) struct Source {
    path: PathBuf,
    /// Its guest runs.
    is_busy: bool,
    /// The picture is never written to.
    for_good: bool,
}

impl Source {
    /// What the guest has.
    pub fn live(place: &Place, is_busy: bool) -> Self {
        Self { path: place.live.clone(), is_busy, for_good: true }
    }

    /// What it had, to be used again.
    pub fn snapshot(place: &Place, entry: &Path) -> Self {
        Self { path: entry.join(place.content()), is_busy: false, for_good: false }
    }
}

/// Fills the work.
pub(super) fn take(source: &Source, work: &Work<'_>, signals: &Signals) -> Result<(), Error> {
    match work.place.is_image {
        true => image(source, work),
        false => tree(source, work, signals),
    }?;
    signals.check()
}

/// Folds what a crash has left of a guest with shared files into its tree.
pub(super) fn settle(place: &Place) -> Result<(), Error> {
    match place.is_image {
        true => Ok(()),
        false => Ok(Layers::settle(&GuestRoot::open(&place.live)?).map(drop)?),
    }
}

/// What becomes a snapshot by itself is not written to any more.
pub(super) fn seal(path: &Path) -> Result<(), Error> {
    match is_subvolume(path)? {
        true => File::open(path)
            .and_then(|tree| btrfs::set_read_only(tree.as_fd(), true))
            .map_err(Error::io("write-protect", path)),
        false => Ok(()),
    }
}

/// Whether there is the root of a subvolume.
pub(super) fn is_subvolume(path: &Path) -> Result<bool, Error> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() && found.ino() == btrfs::ROOT_INODE => {
            let kind = statfs(path).map_err(|errno| Error::io("look at", path)(errno.into()))?;
            Ok(kind.filesystem_type() == BTRFS_SUPER_MAGIC)
        }
        _ => Ok(false),
    }
}

fn tree(source: &Source, work: &Work<'_>, signals: &Signals) -> Result<(), Error> {
    let (from, to) = (&source.path, work.content());
    let root = GuestRoot::open(from)?;
    let subvolume = is_subvolume(from)?;
    if subvolume && !(source.is_busy && is_shared(&root)?) && !has_children(from)? {
        return snapshot(from, &work.dir, &to, source.for_good);
    }
    if source.is_busy {
        return Err(runs(work.place, "its files would change while they are copied one by one"));
    }
    Layers::settle(&root)?;
    if !(subvolume && limit::subvolume(&work.dir, &to)?) {
        DirBuilder::new().mode(0o700).create(&to).map_err(Error::io("make the directory", &to))?;
    }
    let target = GuestRoot::open(&to)?;
    if can_clone(&root, &target) {
        return Ok(clone_with_copies(&root, &target, &Rules::parse(COPIED))?);
    }
    copy_tree(&root, &target, &mut || signals.check())?;
    // Its files are its own.
    Ok(unmark(&target)?)
}

fn has_children(tree: &Path) -> Result<bool, Error> {
    let failed = || Error::io("look for subvolumes below", tree);
    let file = File::open(tree).map_err(failed())?;
    btrfs::has_children(file.as_fd()).map_err(failed())
}

fn snapshot(from: &Path, dir: &Path, to: &Path, read_only: bool) -> Result<(), Error> {
    let failed = || Error::io("take a snapshot of the subvolume", from);
    let (tree, directory) = (File::open(from).map_err(failed())?, File::open(dir).map_err(failed())?);
    let name = CString::new(to.file_name().unwrap_or_default().as_bytes()).map_err(|error| failed()(error.into()))?;
    btrfs::snapshot(directory.as_fd(), &name, tree.as_fd(), read_only).map_err(failed())
}

fn image(source: &Source, work: &Work<'_>) -> Result<(), Error> {
    let (from, to) = (&source.path, work.content());
    let failed = || Error::io("copy", from);
    let object = open(from, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty());
    let object: OwnedFd = object.map_err(|errno| failed()(errno.into()))?;
    let stat = fstat(&object).map_err(|errno| failed()(errno.into()))?;
    let directory: OwnedFd = File::open(&work.dir).map_err(failed())?.into();
    let name = to.file_name().unwrap_or(OsStr::new(super::place::IMAGE));
    if share_file(&object, &stat, &directory, name).map_err(failed())? {
        return Ok(());
    }
    match source.is_busy {
        true => Err(runs(work.place, "its disk would change while it is copied")),
        false => copy_file(&object, &stat, &directory, name).map_err(failed()),
    }
}

fn runs(place: &Place, why: &str) -> Error {
    let name = &place.name;
    Error::Wish {
        reason: format!(
            "no snapshot can be taken of guest '{name}' while it runs: {why}; stop it with `vserver {name} stop`"
        ),
    }
}
