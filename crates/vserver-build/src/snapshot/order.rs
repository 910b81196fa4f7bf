//! What a restore is about to do, on disk from before the exchange until all is done. A tree is known again by its inode, on
//! btrfs by its subvolume, too: the roots of all subvolumes have one number.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vserver_fs::atomic;
use vserver_sys::btrfs;

use crate::Error;

/// Its file in the work directory.
const FILE: &str = "order";

/// What is exchanged, and what then becomes of the old one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    /// The new tree or image.
    pub new: Identity,
    /// The label that the old one gets; without it, it goes.
    pub keep: Option<String>,
}

/// Subvolume, 0 where there are none, and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity(u64, u64);

/// Of a tree or an image.
pub(super) fn identity(path: &Path) -> Result<Identity, Error> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let found = file.metadata().map_err(Error::io("look at", path))?;
    Ok(Identity(btrfs::subvolume(file.as_fd()).unwrap_or(0), found.ino()))
}

impl Order {
    /// Durable when it returns.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        let path = dir.join(FILE);
        let text = serde_json::to_vec(self).map_err(|error| Error::io("write", &path)(error.into()))?;
        Ok(atomic::write(&path, &text, 0o600)?)
    }

    /// That of a directory, if there is a whole one.
    pub fn read(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(dir.join(FILE)).ok()?).ok()
    }

    /// All is done.
    pub fn forget(dir: &Path) -> Result<(), Error> {
        let path = dir.join(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &path)(error)),
            _ => Ok(()),
        }
    }
}
