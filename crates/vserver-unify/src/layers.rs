//! Where a guest with shared files writes while it runs: an upper directory for an overlay over its tree, beside the tree
//! and never below it. When the guest has ended the changes are folded into the tree, so that whoever looks at a guest
//! that does not run finds one plain tree. Source of the format: `Documentation/filesystems/overlayfs.rst`.
//!
//! ```text
//!  BASE/web1/            the tree, its files shared: the lower layer
//!  BASE/.web1.layers/    0700, there while the guest runs, or after a crash
//!  ├── upper/            what the guest has changed
//!  └── work/             the kernel's own
//! ```

mod fold;

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::fstat;
use vserver_fs::{GuestRoot, dress};
use vserver_sys::{mount, project};

use crate::Error;

/// The directory with the two layers of a guest's own.
#[derive(Debug)]
pub struct Layers {
    root: GuestRoot,
}

impl Layers {
    /// Makes them for a guest that is about to start. What was left of an earlier run must be [settled](Self::settle).
    pub fn make(tree: &GuestRoot) -> Result<Self, Error> {
        check_place(tree)?;
        let path = place(tree)?;
        let failed = || Error::io("make the directory", &path);
        DirBuilder::new().mode(0o700).create(&path).map_err(failed())?;
        let root = GuestRoot::open(&path)?;
        // Limits by project count what the guest writes, too; and only within one project can it come back by rename.
        inherit_project(tree, &root).map_err(failed())?;
        root.create_dir_all("work", 0o700)?;
        // The root of the overlay is as that of the tree. It gets its name when it is: settling would give the tree what
        // it has.
        let (original, upper) = (tree.open_dir_for_change("")?, root.create_dir_all("new", 0o700)?);
        let stat = fstat(&original).map_err(Error::io("look at", tree.path()))?;
        dress(&original, &upper, &stat).map_err(failed())?;
        root.rename("new", "upper")?;
        Ok(Self { root })
    }

    /// Folds what a run of the guest has left into its tree, and removes the layers; if there are none, nothing happens. The
    /// guest must not run. Whenever it is interrupted, what the tree and the layers show together is the same, and it can be
    /// repeated. Gives whether there was anything.
    pub fn settle(tree: &GuestRoot) -> Result<bool, Error> {
        let path = place(tree)?;
        if path.symlink_metadata().is_err() {
            return Ok(false);
        }
        // Tree and layers as they lie on their file system, whatever a guest's fstab has mounted below them.
        let bare = bare(&path)?;
        let open = |name: Option<&OsStr>| -> Result<GuestRoot, Error> {
            let fd = bare.open_dir_for_change(name.unwrap_or_default())?;
            Ok(GuestRoot::of(fd, tree.path())?)
        };
        let layers = open(path.file_name())?;
        match layers.open_dir_for_change("upper") {
            Ok(upper) => fold::fold(upper, &open(name(tree)?.file_name())?)?,
            // Its making was interrupted, or this was, at its very end.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        // First what was folded: half of it removed could not be told from a whole one.
        layers.remove_tree("upper")?;
        bare.remove_tree(path.file_name().unwrap_or_default())?;
        Ok(true)
    }

    /// The directory that holds `upper` and `work`.
    pub fn into_dir(self) -> Result<OwnedFd, Error> {
        let path = self.root.path().to_owned();
        self.root.as_fd().try_clone_to_owned().map_err(Error::io("keep open", path))
    }
}

/// Refuses a tree with a file system of its own: its layers, and whatever it could share, lie on another one.
pub(crate) fn check_place(tree: &GuestRoot) -> Result<(), Error> {
    let path = place(tree)?;
    let parent = path.parent().unwrap_or(&path);
    let device = parent.metadata().map_err(Error::io("look at", parent))?.dev();
    if device == tree.identity().0 { Ok(()) } else { Err(Error::OwnDevice { tree: tree.path().to_owned() }) }
}

/// Where a tree is now.
fn name(tree: &GuestRoot) -> Result<PathBuf, Error> {
    let link = format!("/proc/self/fd/{}", tree.as_fd().as_raw_fd());
    std::fs::read_link(link).map_err(Error::io("find", tree.path()))
}

/// Where its layers are.
fn place(tree: &GuestRoot) -> Result<PathBuf, Error> {
    let tree = name(tree)?;
    let mut own = OsString::from(".");
    own.push(tree.file_name().unwrap_or_default());
    own.push(".layers");
    Ok(tree.with_file_name(own))
}

/// The directory that holds `path`, without what is mounted below it.
fn bare(path: &Path) -> Result<GuestRoot, Error> {
    let parent = path.parent().unwrap_or(path);
    let base = File::open(parent).map_err(Error::io("open", parent))?;
    let bare = mount::clone_tree(base.as_fd(), c"", false).map_err(Error::io("look below the mounts of", parent))?;
    Ok(GuestRoot::of(bare, parent)?)
}

fn inherit_project(tree: &GuestRoot, layers: &GuestRoot) -> io::Result<()> {
    let open = |root: &GuestRoot| root.open_dir_for_change("").map_err(io::Error::other);
    let of = |dir: BorrowedFd<'_>| project::get(dir).ok().filter(|found| found.project != 0);
    match of(open(tree)?.as_fd()) {
        Some(found) => project::set(File::from(open(layers)?).as_fd(), &found),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_lie_beside_the_tree_and_go_with_it() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("web1");
        std::fs::create_dir(&path).unwrap();
        let tree = GuestRoot::open(&path).unwrap();
        assert!(!Layers::settle(&tree).unwrap());
        let layers = Layers::make(&tree).unwrap();
        let own = base.path().join(".web1.layers");
        assert!(own.join("upper").is_dir() && own.join("work").is_dir());
        assert!(Layers::make(&tree).is_err(), "those of another run");
        layers.into_dir().unwrap();
        assert!(Layers::settle(&tree).unwrap());
        assert!(!own.exists());
    }
}
