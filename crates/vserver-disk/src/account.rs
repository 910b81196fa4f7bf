//! What counts a guest's files and holds them to a limit.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC, fstatfs,
};
use serde::{Deserialize, Serialize};
use vserver_sys::btrfs::{self, ROOT_INODE};
use vserver_sys::quota::{self, Quota};

use crate::error::{Error, Result};
use crate::lack::Lack;

/// A project, or a subvolume of btrfs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Account {
    /// On ext4 and xfs.
    Project {
        /// A directory of the file system.
        directory: PathBuf,
        /// Number.
        project: u32,
    },
    /// On btrfs.
    Subvolume {
        /// Its root directory, a guest's tree.
        tree: PathBuf,
        /// Its number.
        group: u64,
    },
}

/// What a guest may use. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Space in KiB.
    pub space: Option<u64>,
    /// Inodes.
    pub inodes: Option<u64>,
    /// Percent that the guest should leave: above it there is a week of grace.
    pub reserved: u8,
}

/// What is used, and what may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// KiB in use, the last one begun.
    pub space_used: u64,
    /// Inodes in use; `None` where they are not counted.
    pub inodes_used: Option<u64>,
    /// The limits; none at all if both are `None`.
    pub limits: Limits,
}

/// The name of a file system's kind, or its number.
pub(crate) fn kind_of(file: BorrowedFd<'_>) -> String {
    let Ok(found) = fstatfs(file) else { return "unknown".to_owned() };
    let names = [
        (EXT4_SUPER_MAGIC, "ext4"),
        (XFS_SUPER_MAGIC, "xfs"),
        (BTRFS_SUPER_MAGIC, "btrfs"),
        (F2FS_SUPER_MAGIC, "f2fs"),
        (TMPFS_MAGIC, "tmpfs"),
    ];
    let kind = found.filesystem_type();
    let name = names.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| format!("number {:#x}", kind.0))
}

impl Account {
    /// The one for `project` on the file system that holds `directory`. On btrfs it is that of `tree`.
    ///
    /// # Errors
    /// [`Error::Lack`] with what to do, if there is nothing to count by.
    pub fn find(directory: &Path, project: u32, tree: Option<&Path>) -> Result<Self> {
        let file = File::open(directory).map_err(Error::call("open", directory))?;
        let path = directory.to_owned();
        let kind = match kind_of(file.as_fd()).as_str() {
            "btrfs" => return Self::subvolume(&file, directory, tree.unwrap_or(directory)),
            "ext4" => "ext4",
            "xfs" => "xfs",
            "f2fs" => "f2fs",
            other => return Err(Lack::Nothing { path, kind: other.to_owned() }.into()),
        };
        match quota::state(file.as_fd()) {
            Ok(state) if state.counted && state.enforced => Ok(Self::Project { directory: path, project }),
            Ok(state) if state.counted => Err(Lack::NotEnforced { path, kind }.into()),
            _ => Err(Lack::NotCounted { path, kind }.into()),
        }
    }

    fn subvolume(file: &File, directory: &Path, tree: &Path) -> Result<Self> {
        let root = File::open(tree).map_err(Error::call("open", tree))?;
        let found = root.metadata().map_err(Error::call("look at", tree))?;
        let own = btrfs::filesystem(root.as_fd()).ok();
        if own != Some(btrfs::filesystem(file.as_fd()).map_err(Error::call("look at", directory))?) {
            return Err(Lack::Elsewhere { path: directory.to_owned(), tree: tree.to_owned() }.into());
        }
        let group = btrfs::subvolume(root.as_fd()).map_err(Error::call("find the subvolume of", tree))?;
        if found.ino() != ROOT_INODE || group < ROOT_INODE {
            return Err(Lack::NoSubvolume { path: tree.to_owned() }.into());
        }
        match btrfs::group(root.as_fd(), group).map_err(Error::call("read the quota group of", tree))? {
            Some(_) => Ok(Self::Subvolume { tree: tree.to_owned(), group }),
            None => Err(Lack::NoQuotaGroups { path: directory.to_owned() }.into()),
        }
    }

    /// Whether it counts inodes.
    pub fn counts_inodes(&self) -> bool {
        matches!(self, Self::Project { .. })
    }

    /// A directory of its file system.
    pub fn directory(&self) -> &Path {
        match self {
            Self::Project { directory, .. } => directory,
            Self::Subvolume { tree, .. } => tree,
        }
    }

    fn open(&self) -> Result<File> {
        File::open(self.directory()).map_err(Error::call("open", self.directory()))
    }

    /// What is used, and what may be.
    pub fn read(&self) -> Result<Reading> {
        let (file, failed) = (self.open()?, Error::call("read the quota at", self.directory()));
        match self {
            Self::Project { project, .. } => {
                quota::get(file.as_fd(), *project).map(|found| reading(&found)).map_err(failed)
            }
            Self::Subvolume { group, .. } => {
                let found = btrfs::group(file.as_fd(), *group).map_err(failed)?.unwrap_or_default();
                let limits = Limits { space: found.limit.map(|bytes| bytes / 1024), ..Limits::default() };
                Ok(Reading { space_used: found.used.div_ceil(1024), inodes_used: None, limits })
            }
        }
    }

    /// Sets the limits; what an account cannot count is left out.
    pub fn limit(&self, limits: &Limits) -> Result<()> {
        let failed = Error::call("limit the use of", self.directory());
        match self {
            Self::Project { project, .. } => {
                quota::set(self.open()?.as_fd(), *project, &quota_of(limits)).map_err(failed)
            }
            Self::Subvolume { tree, group } => {
                let bytes = limits.space.map(|kib| kib.saturating_mul(1024));
                btrfs::limit(beside(tree)?.as_fd(), *group, bytes).map_err(failed)
            }
        }
    }

    /// Takes all limits away.
    pub fn release(&self) -> Result<()> {
        self.limit(&Limits::default())
    }
}

/// A directory of the same btrfs from which a subvolume is changed: in a full one itself the call is refused. One that is
/// mounted has nothing beside it.
fn beside(tree: &Path) -> Result<File> {
    let own = File::open(tree).map_err(Error::call("open", tree))?;
    let above = tree.canonicalize().ok().and_then(|real| File::open(real.parent()?).ok());
    let same = |above: &File| btrfs::filesystem(above.as_fd()).ok() == btrfs::filesystem(own.as_fd()).ok();
    Ok(above.filter(same).unwrap_or(own))
}

/// 0 is "no limit" in the kernel: a limit of nothing is one of the least there is.
fn quota_of(limits: &Limits) -> Quota {
    let soft = |hard: u64| (u128::from(hard) * u128::from(100 - limits.reserved.min(100)) / 100) as u64;
    let bounds = |limit: Option<u64>| match limit {
        None => (0, 0),
        Some(hard) if limits.reserved == 0 => (hard.max(1), 0),
        Some(hard) => (hard.max(1), soft(hard).max(1)),
    };
    let ((space_hard, space_soft), (inodes_hard, inodes_soft)) = (bounds(limits.space), bounds(limits.inodes));
    Quota { space_hard, space_soft, inodes_hard, inodes_soft, ..Quota::default() }
}

fn reading(quota: &Quota) -> Reading {
    let value = |limit| Some(limit).filter(|limit| *limit != 0);
    let percent = |hard: u64, soft: u64| {
        let left = (u128::from(soft) * 100).div_ceil(u128::from(hard.max(1)));
        100 - u8::try_from(left.min(100)).unwrap_or(100)
    };
    let reserved = match (quota.space_hard, quota.space_soft, quota.inodes_hard, quota.inodes_soft) {
        (hard, soft, _, _) if hard != 0 && soft != 0 => percent(hard, soft),
        (_, _, hard, soft) if hard != 0 && soft != 0 => percent(hard, soft),
        _ => 0,
    };
    Reading {
        space_used: quota.space_used.div_ceil(1024),
        inodes_used: Some(quota.inodes_used),
        limits: Limits { space: value(quota.space_hard), inodes: value(quota.inodes_hard), reserved },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: `config-tree.md` §5.5, `reserved`.
    #[test]
    fn what_is_reserved_comes_back() {
        for space in [100, 4_194_304, 1_000_003] {
            for reserved in 0..=99 {
                let limits = Limits { space: Some(space), inodes: Some(200_000), reserved };
                assert_eq!(reading(&quota_of(&limits)).limits, limits);
            }
        }
        let none = Limits::default();
        assert_eq!(reading(&quota_of(&none)).limits, none);
        assert_eq!(quota_of(&Limits { space: Some(0), ..none }).space_hard, 1);
    }
}
