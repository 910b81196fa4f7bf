//! Which snapshots there are, and what they cost.

use std::path::Path;

use serde::Serialize;
use vserver_disk::shares_of;
use vserver_fs::GuestRoot;
use vserver_types::GuestName;

use super::picture::is_subvolume;
use super::place::{Place, made};
use crate::Error;

/// Bytes of a block as stat(2) counts them.
const BLOCK: u64 = 512;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// Its label.
    pub label: String,
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// What it is.
    pub how: How,
    /// Bytes on the disk, shared ones included.
    pub size_bytes: u64,
    /// Bytes that nobody else has: so many come back when it is deleted.
    pub own_bytes: u64,
}

/// What a snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// A subvolume of btrfs.
    Subvolume,
    /// A tree with further names of the guest's files.
    Links,
    /// A tree of copies; they share blocks where the file system can.
    Copy,
    /// An image.
    Image,
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Subvolume => "subvolume",
            Self::Links => "links",
            Self::Copy => "copy",
            Self::Image => "image",
        })
    }
}

/// All of a guest's, the oldest first.
pub fn list(confdir: &Path, name: &GuestName) -> Result<Vec<Snapshot>, Error> {
    let place = Place::find(confdir, name)?;
    place.labels()?.into_iter().map(|label| look(&place, label)).collect()
}

fn look(place: &Place, label: String) -> Result<Snapshot, Error> {
    let entry = place.dir.join(&label);
    let content = entry.join(place.content());
    let shares = shares_of(&content)?;
    let (own, shared) = (shares.own * BLOCK, shares.shared * BLOCK);
    let how = if place.is_image { How::Image } else { how(&content)? };
    let made = u64::try_from(made(&entry) / 1_000_000_000).unwrap_or(0);
    Ok(Snapshot { label, made, how, size_bytes: own + shared, own_bytes: own })
}

fn how(tree: &Path) -> Result<How, Error> {
    Ok(match is_subvolume(tree)? {
        true => How::Subvolume,
        false if vserver_unify::is_shared(&GuestRoot::open(tree)?)? => How::Links,
        false => How::Copy,
    })
}
