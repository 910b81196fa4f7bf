//! What the files of a tag use, counted one by one: what `vdu` prints.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::Path;

use nix::sys::stat::SFlag;
use vserver_sys::extents;

use crate::account::kind_of;
use crate::error::{Error, Result};
use crate::lack::Lack;
use crate::tag::{tag_of, takes_tags};
use crate::walk::{Found, Reach, walk};

/// Space and inodes in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Inodes, directories included.
    pub inodes: u64,
}

/// Of the files with this tag at and below `directory`, on its file system, each inode once.
pub fn usage_of(directory: &Path, tag: u32) -> Result<Usage> {
    let start = std::fs::File::open(directory).map_err(Error::call("open", directory))?;
    let known = takes_tags(start.as_fd()).map_err(Error::call("find the tags of", directory))?;
    if !known {
        let kind = kind_of(start.as_fd());
        return Err(Lack::Nothing { path: directory.to_owned(), kind }.into());
    }
    let (mut usage, mut seen, mut fault) = (Usage::default(), HashSet::new(), None);
    walk(directory, Reach::TREE, &mut |met| {
        let counted = met.and_then(|found| count(&found, tag, &mut seen).map_err(|error| (found.path, error)));
        match counted {
            Ok(one) => {
                usage.blocks += one.blocks;
                usage.inodes += one.inodes;
            }
            Err((path, error)) => fault = Some(Error::call("look at", path)(error)),
        }
        if fault.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    fault.map_or(Ok(usage), Err)
}

/// What a tree takes of the disk for itself, and together with others, in blocks of 512 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// Of files that have all of their names in the tree, without blocks that other files have, too.
    pub own: u64,
    /// Of files that have further names elsewhere: in other guests, or in a store only; and on file systems that share blocks,
    /// blocks that other files have, too.
    pub shared: u64,
}

/// Of a directory and what is below it, on its file system, each inode once. An image is one file.
pub fn shares_of(directory: &Path) -> Result<Shares> {
    let start = std::fs::File::open(directory).map_err(Error::call("open", directory))?;
    let shares_blocks = matches!(kind_of(start.as_fd()).as_str(), "btrfs" | "xfs");
    let (mut shares, mut linked, mut fault) = (Shares::default(), HashMap::new(), None);
    walk(directory, Reach::TREE, &mut |met| {
        let found = match met {
            Ok(found) => found,
            Err((path, error)) => {
                fault = Some(Error::call("look at", path)(error));
                return ControlFlow::Break(());
            }
        };
        let one = if shares_blocks { blocks_of(&found) } else { all_own(&found) };
        if found.stat.st_nlink > 1 && !found.is_dir() {
            let (_, left) = linked.entry(found.stat.st_ino).or_insert((one, found.stat.st_nlink));
            *left -= 1;
        } else {
            shares += one;
        }
        ControlFlow::Continue(())
    });
    for (one, left) in linked.into_values() {
        shares += if left == 0 { one } else { Shares { own: 0, shared: one.own + one.shared } };
    }
    fault.map_or(Ok(shares), Err)
}

fn all_own(found: &Found<'_>) -> Shares {
    Shares { own: u64::try_from(found.stat.st_blocks).unwrap_or(0), shared: 0 }
}

/// Of one file, by its extents. Where they are not told, it shares none.
fn blocks_of(found: &Found<'_>) -> Shares {
    let all = all_own(found).own;
    let told = found.file.as_ref().filter(|_| all > 0 && found.kind() == SFlag::S_IFREG);
    let bytes = told.and_then(|file| extents::shared_bytes(file.as_fd()).ok()).unwrap_or(0);
    let shared = (bytes / 512).min(all);
    Shares { own: all - shared, shared }
}

impl std::ops::AddAssign for Shares {
    fn add_assign(&mut self, other: Self) {
        self.own += other.own;
        self.shared += other.shared;
    }
}

fn count(found: &Found<'_>, tag: u32, seen: &mut HashSet<u64>) -> std::io::Result<Usage> {
    let again = found.stat.st_nlink > 1 && !found.is_dir() && !seen.insert(found.stat.st_ino);
    if again || tag_of(found)? != tag {
        return Ok(Usage::default());
    }
    Ok(Usage { blocks: u64::try_from(found.stat.st_blocks).unwrap_or(0), inodes: 1 })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_shared_if_it_has_a_name_elsewhere() {
        let base = tempfile::tempdir().unwrap();
        let tree = base.path().join("tree");
        fs::create_dir_all(tree.join("d")).unwrap();
        let before = shares_of(&tree).unwrap();
        assert_eq!(before.shared, 0);
        fs::write(tree.join("own"), [1; 40_000]).unwrap();
        fs::hard_link(tree.join("own"), tree.join("d/own")).unwrap();
        fs::write(tree.join("shared"), [1; 80_000]).unwrap();
        fs::hard_link(tree.join("shared"), base.path().join("elsewhere")).unwrap();
        let after = shares_of(&tree).unwrap();
        let blocks = |name: &str| std::os::unix::fs::MetadataExt::blocks(&tree.join(name).metadata().unwrap());
        assert_eq!((after.own - before.own, after.shared), (blocks("own"), blocks("shared")));
    }
}
