//! What the files of a tag use, counted one by one: what `vdu` prints.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::Path;

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

fn count(found: &Found<'_>, tag: u32, seen: &mut HashSet<u64>) -> std::io::Result<Usage> {
    let again = found.stat.st_nlink > 1 && !found.is_dir() && !seen.insert(found.stat.st_ino);
    if again || tag_of(found)? != tag {
        return Ok(Usage::default());
    }
    Ok(Usage { blocks: u64::try_from(found.stat.st_blocks).unwrap_or(0), inodes: 1 })
}
