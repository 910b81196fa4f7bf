//! Files that are equal in all but perhaps their content.
//!
//! Nearly always they are copies of one file, so each is first compared with the last one that was found; that reads less
//! than a digest does. Only a file that differs from it needs one.

use std::collections::HashSet;
use std::fs::File;
use std::sync::atomic::Ordering;

use nix::sys::stat::{FileStat, fstat};

use super::{Event, Skip, Work};
use crate::exchange::{Exchanged, exchange};
use crate::held::{Directories, Held};
use crate::same::{Key, Model, Room};
use crate::scan::{Found, shown};

/// Most entries with one digest that are tried.
const ENTRIES: u32 = 4_096;

/// One thread's work on one group after the other.
pub(super) struct Group<'a> {
    work: &'a Work<'a>,
    room: Room,
    directories: Directories,
    /// Inodes that are in the store now.
    pub shared: Vec<u64>,
}

/// What became of a file, as far as it did not fail.
enum Fate {
    Kept(Skip),
    Unified {
        freed: u64,
        entry: Option<String>,
    },
    /// It is the first of its kind, and in the store now.
    First,
}

type Outcome<T> = std::result::Result<T, Skip>;

impl<'a> Group<'a> {
    pub fn new(work: &'a Work<'a>) -> Self {
        Self { work, room: Room::new(), directories: Directories::default(), shared: Vec::new() }
    }

    /// Deals with all files of a group.
    pub fn process(&mut self, files: &[Found]) {
        let (mut model, mut seen) = (None, HashSet::new());
        for found in files {
            let path = shown(&found.path);
            let fate = self.one(found, &mut model, &mut seen);
            self.tell(found.tree.into(), &path, fate);
        }
    }

    fn one(&mut self, found: &Found, model: &mut Option<Model>, seen: &mut HashSet<String>) -> Outcome<Fate> {
        let held = self.hold(found)?;
        if let Some(known) = model {
            if known.inode() == held.stat.st_ino {
                return Ok(Fate::Kept(Skip::Unified));
            }
            if known.same(&held.file, &mut self.room).map_err(failed)?
                && let Some(freed) = self.join(&held, known)?
            {
                return Ok(Fate::Unified { freed, entry: None });
            }
        }
        let (fate, next) = self.by_digest(found, held, seen)?;
        *model = Some(next);
        Ok(fate)
    }

    /// Opens it, and looks whether it is still what the walk has seen.
    fn hold(&mut self, found: &Found) -> Outcome<Held> {
        let tree = usize::from(found.tree);
        let dir = self.directories.of(tree, &self.work.trees[tree].root, &found.path).map_err(|_| Skip::Changed)?;
        let held = Held::open(dir, &found.path).map_err(failed)?;
        let as_seen = held.stat.st_ino == found.inode
            && held.stat.st_dev == self.work.store.device()
            && self.key(&held.stat) == found.key;
        if as_seen { Ok(held) } else { Err(Skip::Changed) }
    }

    /// Against the entries of the store with its digest; if none is equal it becomes one. Gives the file that the next of its
    /// group is compared with.
    fn by_digest(&mut self, found: &Found, held: Held, seen: &mut HashSet<String>) -> Outcome<(Fate, Model)> {
        let inode = held.stat.st_ino;
        let mut own = Model::new(held.file.try_clone().map_err(failed)?, held.stat);
        let (slot, digest) = self.work.store.slot(&mut own, &found.key, &mut self.room).map_err(failed)?;
        for number in 0..ENTRIES {
            let Some(entry) = slot.entry(number).map_err(failed)? else {
                if self.work.options.dry_run {
                    // The store has none, but this run may have met one.
                    let fate = match seen.insert(digest) {
                        true => Fate::Kept(Skip::Different),
                        false => Fate::Unified { freed: space(&held.stat), entry: None },
                    };
                    return Ok((fate, own));
                }
                if !slot.fill(number, &held.file).map_err(failed)? {
                    continue;
                }
                own.was_linked().map_err(failed)?;
                self.shared.push(inode);
                return Ok((Fate::First, own));
            };
            let stat = fstat(&entry).map_err(failed)?;
            if stat.st_ino == inode {
                self.shared.push(inode);
                return Ok((Fate::Kept(Skip::Unified), own));
            }
            if let Some((freed, entry)) = self.entry(found, &held, entry, stat)? {
                self.shared.push(stat.st_ino);
                return Ok((Fate::Unified { freed, entry: Some(digest) }, entry));
            }
        }
        Err(Skip::Different)
    }

    /// With one entry of the store; none if it is not equal.
    fn entry(&mut self, found: &Found, held: &Held, entry: File, stat: FileStat) -> Outcome<Option<(u64, Model)>> {
        if self.key(&stat) != found.key {
            return Ok(None);
        }
        let mut entry = Model::new(entry, stat);
        if !entry.same(&held.file, &mut self.room).map_err(failed)? {
            return Ok(None);
        }
        Ok(self.join(held, &mut entry)?.map(|freed| (freed, entry)))
    }

    /// Exchanges it, unless only asked what would be; none if the other one can have no further name.
    fn join(&self, held: &Held, other: &mut Model) -> Outcome<Option<u64>> {
        if self.work.options.dry_run {
            return Ok(Some(if held.stat.st_nlink == 1 { space(&held.stat) } else { 0 }));
        }
        match exchange(&held.dir, &held.name, &held.stat, other).map_err(failed)? {
            Exchanged::Done { freed } => Ok(Some(freed)),
            Exchanged::Unfit => Ok(None),
            Exchanged::Changed => Err(Skip::Changed),
        }
    }

    fn key(&self, stat: &FileStat) -> Key {
        Key::of(stat, self.work.options.ignore_mtime)
    }

    fn tell(&self, tree: usize, path: &str, fate: Outcome<Fate>) {
        let sums = &self.work.sums;
        match fate {
            Ok(Fate::Unified { freed, entry }) => {
                sums.unified.fetch_add(1, Ordering::Relaxed);
                sums.freed.fetch_add(freed, Ordering::Relaxed);
                (self.work.listener)(Event::Unified { tree, path, entry: entry.as_deref() });
            }
            Ok(Fate::First) => (self.work.listener)(Event::Unified { tree, path, entry: None }),
            Ok(Fate::Kept(why)) => (self.work.listener)(Event::Skipped { tree, path, why }),
            Err(why) => {
                sums.failed.fetch_add(1, Ordering::Relaxed);
                (self.work.listener)(Event::Skipped { tree, path, why });
            }
        }
    }
}

fn failed(error: impl Into<std::io::Error>) -> Skip {
    Skip::Failed(error.into().to_string())
}

/// What a file takes of the disk, in bytes.
fn space(stat: &FileStat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or(0) * 512
}
