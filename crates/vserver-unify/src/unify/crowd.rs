//! Large files that have all in common but perhaps their content: journals and images of disks are of one size by the hundred. By
//! a few pieces of each they are told apart, so that they need not all go to one thread.

use std::num::NonZero;

use blake3::Hasher;

use super::Tree;
use crate::held::{Directories, Held};
use crate::same::{Model, Room};
use crate::scan::Found;

/// Bytes of files of one key from which on they are told apart.
const CROWD: u64 = 64 << 20;

/// Gives the same files, sorted, those of a crowd by their samples. A file that cannot be read has none: whoever deals with it
/// says why.
pub(super) fn told_apart(mut files: Vec<Found>, trees: &[Tree]) -> Vec<Found> {
    for crowd in files.chunk_by_mut(|a, b| a.key == b.key).filter(|group| is_crowd(group)) {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        std::thread::scope(|scope| {
            for part in crowd.chunks_mut(crowd.len().div_ceil(threads)) {
                scope.spawn(|| take_samples(part, trees));
            }
        });
        crowd.sort_by_key(|found| found.sample);
    }
    files
}

/// Those of one path are mostly copies of one file, and go to one thread in any case.
fn is_crowd(group: &[Found]) -> bool {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return false };
    let bytes = first.key.size.saturating_mul(group.len() as u64);
    Model::is_large(first.key.size) && bytes > CROWD && first.path != last.path
}

fn take_samples(files: &mut [Found], trees: &[Tree]) {
    let (mut directories, mut room) = (Directories::default(), Room::new());
    for found in files {
        found.sample = sample(found, trees, &mut directories, &mut room).unwrap_or(0);
    }
}

fn sample(found: &Found, trees: &[Tree], directories: &mut Directories, room: &mut Room) -> Option<u64> {
    let tree = usize::from(found.tree);
    let held = Held::open(directories.of(tree, &trees[tree].root, &found.path).ok()?, &found.path).ok()?;
    let mut hash = Hasher::new();
    let take = |bytes: &[u8]| {
        hash.update(bytes);
    };
    Model::new(held.file, held.stat).sample(room, take).ok()?;
    hash.finalize().as_bytes().first_chunk().map(|first| u64::from_le_bytes(*first))
}
