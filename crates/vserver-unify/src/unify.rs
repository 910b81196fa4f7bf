//! Finds what is equal and exchanges it, in this order: walk, group by what must be equal, compare, exchange.

mod crowd;
mod group;
mod order;
mod reference;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use vserver_fs::GuestRoot;

use crate::mark::mark;
use crate::scan::{Found, Wish, scan};
use crate::{Error, Rules, Store};
use group::Group;
pub use reference::{AgainstOptions, unify};

/// How many threads, whatever the machine has: mostly they wait for the disk, which gives back the blocks of a file that is
/// gone. More of them find nothing left to wait for.
const THREADS: usize = 12;
/// How many read directories.
const SCANNERS: usize = 4;
/// An empty file takes nothing of the disk, any other a block, and a page of memory: it is worth a link. util-vserver began at
/// 16 bytes. Source: `behaviours.md` §9.3.
const MIN_SIZE: u64 = 1;

/// A guest's tree. Its guest must not run, unless it runs over [`crate::Layers`].
#[derive(Debug)]
pub struct Tree {
    /// Its root directory.
    pub root: GuestRoot,
    /// What of it may be shared.
    pub rules: Rules,
}

/// Wishes of the caller.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Change nothing.
    pub dry_run: bool,
    /// Look again at what is shared already.
    pub refresh: bool,
    /// Times of modification do not count.
    pub ignore_mtime: bool,
}

/// Why a file stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skip {
    /// The rules say so.
    Excluded,
    /// A symbolic link.
    Symlink,
    /// A device, a socket or a FIFO.
    Irregular,
    /// There is nothing in it.
    Empty,
    /// It is shared already.
    Unified,
    /// No reference has it.
    NoReference,
    /// There is no other one like it.
    Different,
    /// Somebody has changed it meanwhile.
    Changed,
    /// A call failed, with what the kernel said.
    Failed(String),
}

/// What happens to a file.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// It stays as it is.
    Skipped {
        /// Index of the tree.
        tree: usize,
        /// The file, as the guest names it.
        path: &'a str,
        /// Why.
        why: Skip,
    },
    /// It becomes one with a file of the store, or would.
    Unified {
        /// Index of the tree.
        tree: usize,
        /// The file, as the guest names it.
        path: &'a str,
        /// The digest of its entry, where it was needed.
        entry: Option<&'a str>,
    },
}

/// Hears of every file, from several threads.
pub type Listener<'a> = &'a (dyn Fn(Event<'_>) + Sync);

/// What was done, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files, links and directories that were looked at.
    pub looked_at: u64,
    /// Files that were shared before.
    pub known: u64,
    /// Files that are shared now and were not before.
    pub unified: u64,
    /// Bytes of the disk that are free now.
    pub freed: u64,
    /// Files that could not be looked at or exchanged.
    pub failed: u64,
}

/// Makes equal files of `trees` one inode with those in the store. Whatever moment the process dies at, every file has its
/// content. A file that fails is told to `listener` and left alone.
///
/// # Errors
/// Before anything is changed: a tree on another file system than the store, or one that cannot be marked.
pub fn hashify(trees: &[Tree], store: &mut Store, options: Options, listener: Listener<'_>) -> Result<Totals, Error> {
    for tree in trees {
        crate::layers::check_place(&tree.root)?;
        if tree.root.identity().0 != store.device() {
            return Err(Error::OtherDevice { tree: tree.root.path().to_owned(), store: store.path().to_owned() });
        }
    }
    if !options.dry_run {
        store.sync()?;
        trees.iter().try_for_each(|tree| mark(&tree.root))?;
    }
    let known = if options.refresh { &[] } else { store.known() };
    let (min_size, ignore_mtime, tidy) = (MIN_SIZE, options.ignore_mtime, !options.dry_run);
    let sight = scan(&Wish { trees, min_size, ignore_mtime, known, threads: SCANNERS, tidy, listener });
    let mut totals = Totals { looked_at: sight.looked_at, known: sight.known, ..Totals::default() };
    let work = Work { trees, store, options, listener, sums: Sums::default() };
    work.run(&crowd::told_apart(sorted(sight.files), trees));
    let sums = work.sums;
    totals.unified = sums.unified.into_inner();
    totals.freed = sums.freed.into_inner();
    totals.failed = sums.failed.into_inner();
    if !options.dry_run {
        store.remember(sums.shared.into_inner().unwrap_or_else(PoisonError::into_inner))?;
    }
    Ok(totals)
}

/// Those that may be equal beside each other, and of them those of one path, which mostly are: files of one size abound.
fn sorted(mut files: Vec<Found>) -> Vec<Found> {
    files.sort_unstable_by(|a, b| (a.key, &a.path, a.tree).cmp(&(b.key, &b.path, b.tree)));
    files
}

#[derive(Default)]
struct Sums {
    unified: AtomicU64,
    freed: AtomicU64,
    failed: AtomicU64,
    shared: Mutex<Vec<u64>>,
}

struct Work<'a> {
    trees: &'a [Tree],
    store: &'a Store,
    options: Options,
    listener: Listener<'a>,
    sums: Sums,
}

impl Work<'_> {
    /// Files that may be equal go to one thread, so that no two of them deal with one entry.
    fn run(&self, files: &[Found]) {
        let groups = order::by_directory(files.chunk_by(|a, b| (a.key, a.sample) == (b.key, b.sample)).collect());
        let portions = order::portions(&groups);
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let mut group = Group::new(self);
                    while let Some(portion) = portions.get(next.fetch_add(1, Ordering::Relaxed)) {
                        portion.iter().for_each(|files| group.process(files));
                    }
                    let mut shared = self.sums.shared.lock().unwrap_or_else(PoisonError::into_inner);
                    shared.append(&mut group.shared);
                });
            }
        });
    }
}
