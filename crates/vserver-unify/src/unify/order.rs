//! Which thread does what, and when.

use std::ffi::OsStr;

use crate::held::split;
use crate::scan::Found;

/// Groups that a thread takes at once, if they are in one directory, and bytes: large files are to keep all of them busy.
const PORTION: (usize, u64) = (64, 16 << 20);

/// Groups whose first files are in one directory come one after the other: a thread that takes them finds their directories
/// open, and no other one waits for their locks.
pub(super) fn by_directory(mut groups: Vec<&[Found]>) -> Vec<&[Found]> {
    groups.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
    groups
}

/// Parts of what is in one directory. Those that take long come first, the longest before all: whatever is begun last keeps one
/// thread busy after the others have nothing left.
pub(super) fn portions<'a>(groups: &'a [&'a [Found]]) -> Vec<&'a [&'a [Found]]> {
    let mut all: Vec<_> = groups.chunk_by(|a, b| place(a).0 == place(b).0).flat_map(of_directory).collect();
    all.sort_by_cached_key(|portion| {
        let bytes = portion.iter().map(|group| bytes(group)).sum::<u64>();
        std::cmp::Reverse(if bytes > PORTION.1 { bytes } else { 0 })
    });
    all
}

fn of_directory<'a>(mut groups: &'a [&'a [Found]]) -> Vec<&'a [&'a [Found]]> {
    let mut all = Vec::new();
    while !groups.is_empty() {
        let (mut number, mut sum) = (0, 0);
        while number < groups.len() && number < PORTION.0 && sum < PORTION.1 {
            sum += bytes(groups[number]);
            number += 1;
        }
        let (portion, rest) = groups.split_at(number);
        all.push(portion);
        groups = rest;
    }
    all
}

fn bytes(group: &[Found]) -> u64 {
    group.iter().map(|found| found.key.size).sum()
}

/// Directory and name of the first file of a group.
fn place(group: &[Found]) -> ((u16, &OsStr), &OsStr) {
    group.first().map_or(((0, OsStr::new("")), OsStr::new("")), |first| {
        let (parent, name) = split(&first.path);
        ((first.tree, parent), name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::same::Key;

    fn found(path: &str, size: u64) -> Found {
        let key = Key { size, mode: 0, uid: 0, gid: 0, mtime: 0 };
        Found { tree: 0, path: OsStr::new(path).into(), inode: size, key, sample: 0 }
    }

    #[test]
    fn what_takes_long_comes_first_and_the_rest_by_its_directories() {
        let files =
            [found("a/1", 10), found("a/2", 11), found("b/1", 90 << 20), found("c/1", 12), found("d/1", 99 << 20)];
        let groups = by_directory(files.iter().map(std::slice::from_ref).collect());
        let portions = portions(&groups);
        let paths: Vec<Vec<_>> = portions
            .iter()
            .map(|portion| portion.iter().map(|group| group[0].path.to_str().unwrap()).collect())
            .collect();
        assert_eq!(paths, [vec!["d/1"], vec!["b/1"], vec!["a/1", "a/2"], vec!["c/1"]]);
    }
}
