//! Which file system is in an image, and which a new one gets.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;

use caps::{CapSet, Capability};
use serde::{Deserialize, Serialize};

use super::program;
use crate::error::{Error, Result};

/// The smallest that an ext4 with a journal fits into, with some room.
const LEAST_EXT4: u64 = 16 << 20;
/// mkfs.xfs(8) makes none smaller since xfsprogs 5.19.
const LEAST_XFS: u64 = 300 << 20;

/// A file system in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Its inodes are counted out when it is made. It grows under a running guest only if root has `CAP_SYS_RESOURCE`.
    Ext4,
    /// It makes inodes as it needs them, and grows under a running guest everywhere.
    Xfs,
    /// Not made by us; it does not grow here.
    Btrfs,
}

impl Kind {
    /// The name that mount(2) knows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// The fewest bytes that it can be made of.
    pub fn least(self) -> u64 {
        match self {
            Self::Xfs => LEAST_XFS,
            Self::Ext4 | Self::Btrfs => LEAST_EXT4,
        }
    }

    /// For a new image: ext4, and xfs where only that one can grow while the guest runs. A number of inodes takes ext4.
    pub fn choose(bytes: u64, inodes: Option<u64>) -> Self {
        let grows = caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_RESOURCE).unwrap_or(false);
        choice(bytes, inodes, grows, program::is_installed("mkfs.xfs"))
    }

    /// What is in an image, by its magic number.
    pub fn find(image: &Path) -> Result<Self> {
        let file = File::open(image).map_err(Error::call("open", image))?;
        match magic(&file, 0) {
            Ok(found) => found.ok_or_else(|| Error::Unknown { image: image.to_owned() }),
            Err(error) => Err(Error::call("read", image)(error)),
        }
    }

    /// What begins at a place of a disk, in bytes; `None` if that is none of these.
    pub fn at(disk: &File, start: u64) -> Option<Self> {
        magic(disk, start).ok().flatten()
    }
}

fn magic(file: &File, start: u64) -> std::io::Result<Option<Kind>> {
    /// Place and value. `XFS_SB_MAGIC`, `EXT4_SUPER_MAGIC`, `BTRFS_MAGIC` of the kernel's headers.
    const MAGIC: [(Kind, u64, &[u8]); 3] =
        [(Kind::Xfs, 0, b"XFSB"), (Kind::Ext4, 0x438, &[0x53, 0xef]), (Kind::Btrfs, 0x1_0040, b"_BHRfS_M")];
    for (kind, place, magic) in MAGIC {
        let mut found = vec![0; magic.len()];
        match file.read_exact_at(&mut found, start.saturating_add(place)) {
            Ok(()) if found == magic => return Ok(Some(kind)),
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn choice(bytes: u64, inodes: Option<u64>, ext4_grows: bool, xfs_is_there: bool) -> Kind {
    match inodes.is_none() && !ext4_grows && xfs_is_there && bytes >= LEAST_XFS {
        true => Kind::Xfs,
        false => Kind::Ext4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xfs_only_where_ext4_would_not_grow() {
        let large = 1 << 30;
        assert_eq!(choice(large, None, true, true), Kind::Ext4);
        assert_eq!(choice(large, None, false, true), Kind::Xfs);
        assert_eq!(choice(large, None, false, false), Kind::Ext4);
        assert_eq!(choice(large, Some(1000), false, true), Kind::Ext4);
        assert_eq!(choice(64 << 20, None, false, true), Kind::Ext4);
    }

    #[test]
    fn what_is_no_file_system_is_said_to_be_none() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        std::fs::write(&image, "text").unwrap();
        let error = Kind::find(&image).unwrap_err().to_string();
        assert!(error.contains("holds none of ext4, xfs and btrfs"), "{error}");
    }
}
