//! Files that are equal in all but perhaps their content.
//!
//! Nearly always they are copies of one file, so each is first compared with the last one that was found; that reads less
//! than a digest does. Only a file that differs from it needs one. Large ones are compared several at once, block by block, so
//! that none is read twice.

use std::collections::HashSet;
use std::fs::File;
use std::sync::atomic::Ordering;

use nix::sys::stat::{FileStat, fstat};

use super::{Event, Skip, Work};
use crate::exchange::{Exchanged, exchange};
use crate::held::{Directories, Held};
use crate::same::{Key, Model, Room, space};
use crate::scan::{Found, shown};
use crate::store::Extent;

/// How many large files are compared at once. Each is open meanwhile, and a process may open 1 024.
const AT_ONCE: usize = 16;

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

/// A file that is open until it is clear what becomes of it.
type Waiting<'f> = (&'f Found, Held);

type Outcome<T> = std::result::Result<T, Skip>;

impl<'a> Group<'a> {
    pub fn new(work: &'a Work<'a>) -> Self {
        Self { work, room: Room::new(), directories: Directories::default(), shared: Vec::new() }
    }

    /// Deals with all files of a group.
    pub fn process(&mut self, mut files: &[Found]) {
        let (mut model, mut seen) = (None, HashSet::new());
        while !files.is_empty() {
            let (now, rest) = files.split_at(at_once(files));
            files = rest;
            let mut waiting = Vec::with_capacity(now.len());
            for found in now {
                match self.hold(found) {
                    Ok(held) => waiting.push((found, held)),
                    Err(why) => self.tell(found, Err(why)),
                }
            }
            self.wave(waiting, &mut model, &mut seen);
        }
    }

    /// Those that are open now: against the model, and the first of what is left gives the next one.
    fn wave(&mut self, mut waiting: Vec<Waiting<'_>>, model: &mut Option<Model>, seen: &mut HashSet<String>) {
        loop {
            waiting = self.by_model(waiting, model.as_mut());
            if waiting.is_empty() {
                return;
            }
            let (found, held) = waiting.remove(0);
            match self.by_digest(found, held, seen) {
                Ok((fate, next)) => {
                    *model = Some(next);
                    self.tell(found, Ok(fate));
                }
                Err(why) => self.tell(found, Err(why)),
            }
        }
    }

    /// Those that are the same as the model become one with it; gives the others.
    fn by_model<'f>(&mut self, waiting: Vec<Waiting<'f>>, model: Option<&mut Model>) -> Vec<Waiting<'f>> {
        let Some(model) = model else { return waiting };
        let (one, others): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(_, held)| held.stat.st_ino == model.inode());
        one.into_iter().for_each(|(found, _)| self.tell(found, Ok(Fate::Kept(Skip::Unified))));
        let files: Vec<_> = others.iter().map(|(_, held)| &held.file).collect();
        let same = model.same_as(&files, &mut self.room);
        let mut left = Vec::new();
        for ((found, held), same) in others.into_iter().zip(same) {
            let joined = same.map_err(failed).and_then(|same| if same { self.join(&held, model) } else { Ok(None) });
            match joined {
                Ok(Some(freed)) => self.tell(found, Ok(Fate::Unified { freed, entry: None })),
                Ok(None) => left.push((found, held)),
                Err(why) => self.tell(found, Err(why)),
            }
        }
        left
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
        let mut own = Model::new(held.file.try_clone().map_err(failed)?, held.stat);
        let store = self.work.store;
        for (extent, most) in store.extents() {
            let slot = store.slot(&mut own, &found.key, extent, &mut self.room).map_err(failed)?;
            for number in 0..most {
                let Some(entry) = slot.entry(number).map_err(failed)? else {
                    if self.work.options.dry_run {
                        return Ok((self.would(found, &mut own, seen)?, own));
                    }
                    if !slot.fill(number, &held.file).map_err(failed)? {
                        continue;
                    }
                    own.was_linked().map_err(failed)?;
                    self.shared.push(own.inode());
                    return Ok((Fate::First, own));
                };
                let stat = fstat(&entry).map_err(failed)?;
                if stat.st_ino == own.inode() {
                    self.shared.push(own.inode());
                    return Ok((Fate::Kept(Skip::Unified), own));
                }
                if let Some((freed, entry)) = self.entry(found, &held, entry, stat)? {
                    self.shared.push(stat.st_ino);
                    return Ok((Fate::Unified { freed, entry: Some(slot.digest) }, entry));
                }
            }
        }
        Err(Skip::Different)
    }

    /// What would become of one that the store does not have: this run may have met one.
    fn would(&mut self, found: &Found, own: &mut Model, seen: &mut HashSet<String>) -> Outcome<Fate> {
        let slot = self.work.store.slot(own, &found.key, Extent::All, &mut self.room).map_err(failed)?;
        Ok(match seen.insert(slot.digest) {
            true => Fate::Kept(Skip::Different),
            false => Fate::Unified { freed: space(own.stat()), entry: None },
        })
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

    fn tell(&self, found: &Found, fate: Outcome<Fate>) {
        let (sums, tree, path) = (&self.work.sums, usize::from(found.tree), &*shown(&found.path));
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

/// How many of them are compared together. A name of an inode that is among them already waits for the next time: that one's
/// exchange changes the inode.
fn at_once(files: &[Found]) -> usize {
    if files.first().is_none_or(|found| !Model::is_large(found.key.size)) {
        return files.len().min(1);
    }
    let mut inodes = HashSet::new();
    files.iter().take(AT_ONCE).take_while(|found| inodes.insert((found.tree, found.inode))).count()
}

fn failed(error: impl Into<std::io::Error>) -> Skip {
    Skip::Failed(error.into().to_string())
}
