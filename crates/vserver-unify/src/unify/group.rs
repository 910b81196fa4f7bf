//! Files that are equal in all but perhaps their content.
//!
//! Nearly always they are copies of one file, so each is first compared with the last one that was found; that reads less
//! than a digest does. Only a file that differs from it needs one.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::Ordering;

use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, fstat};
use vserver_fs::open_beneath;

use super::{Event, Skip, Work};
use crate::exchange::{Exchanged, exchange};
use crate::same::{Buffers, Key, same};
use crate::scan::{Found, shown};

/// Most entries with one digest that are tried.
const ENTRIES: u32 = 4_096;

/// One thread's work on one group after the other.
pub(super) struct Group<'a> {
    work: &'a Work<'a>,
    room: Buffers,
    /// Inodes that are in the store now.
    pub shared: Vec<u64>,
}

/// A file, held, with the directory that it is in.
struct Held {
    dir: OwnedFd,
    name: OsString,
    file: File,
    stat: FileStat,
}

/// A file that others can become one with.
struct Model {
    file: File,
    inode: u64,
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
        Self { work, room: Buffers::new(), shared: Vec::new() }
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
        if let Some(known) = model.as_ref() {
            if known.inode == held.stat.st_ino {
                return Ok(Fate::Kept(Skip::Unified));
            }
            if same(&known.file, &held.file, &mut self.room).map_err(failed)?
                && let Some(freed) = self.join(&held, &known.file)?
            {
                return Ok(Fate::Unified { freed, entry: None });
            }
        }
        self.by_digest(found, held, model, seen)
    }

    /// Opens it, and looks whether it is still what the walk has seen.
    fn hold(&self, found: &Found) -> Outcome<Held> {
        let root = &self.work.trees[usize::from(found.tree)].root;
        let path = Path::new(&*found.path);
        let name = path.file_name().unwrap_or(OsStr::new(""));
        let dir = root.open_dir_for_change(path.parent().unwrap_or(Path::new(""))).map_err(|_| Skip::Changed)?;
        // O_NONBLOCK: whoever puts a FIFO there meanwhile gets no process of ours to wait.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = File::from(open_beneath(&dir, Path::new(name), flags, 0).map_err(failed)?);
        let stat = fstat(&file).map_err(failed)?;
        let as_seen = stat.st_ino == found.inode
            && stat.st_dev == self.work.store.device()
            && Key::of(&stat, self.work.options.ignore_mtime) == found.key;
        if as_seen { Ok(Held { dir, name: name.to_owned(), file, stat }) } else { Err(Skip::Changed) }
    }

    /// Against the entries of the store with its digest; if none is equal it becomes one.
    fn by_digest(
        &mut self,
        found: &Found,
        held: Held,
        model: &mut Option<Model>,
        seen: &mut HashSet<String>,
    ) -> Outcome<Fate> {
        let dry = self.work.options.dry_run;
        let slot = self.work.store.slot(&held.file, &found.key, &mut self.room, !dry).map_err(failed)?;
        let Some((slot, digest)) = slot else {
            *model = Some(Model { inode: held.stat.st_ino, file: held.file });
            return Ok(Fate::Kept(Skip::Different));
        };
        for number in 0..ENTRIES {
            let Some(entry) = slot.entry(number).map_err(failed)? else {
                if dry {
                    // The store has none, but this run may have met one.
                    let again = !seen.insert(digest);
                    *model = Some(Model { inode: held.stat.st_ino, file: held.file });
                    let freed = u64::try_from(held.stat.st_blocks).unwrap_or(0) * 512;
                    return Ok(if again {
                        Fate::Unified { freed, entry: None }
                    } else {
                        Fate::Kept(Skip::Different)
                    });
                }
                if !slot.fill(number, &held.file).map_err(failed)? {
                    continue;
                }
                self.shared.push(held.stat.st_ino);
                *model = Some(Model { inode: held.stat.st_ino, file: held.file });
                return Ok(Fate::First);
            };
            let stat = fstat(&entry).map_err(failed)?;
            if stat.st_ino == held.stat.st_ino {
                self.shared.push(stat.st_ino);
                *model = Some(Model { inode: stat.st_ino, file: entry });
                return Ok(Fate::Kept(Skip::Unified));
            }
            if Key::of(&stat, self.work.options.ignore_mtime) == found.key
                && same(&entry, &held.file, &mut self.room).map_err(failed)?
                && let Some(freed) = self.join(&held, &entry)?
            {
                self.shared.push(stat.st_ino);
                *model = Some(Model { inode: stat.st_ino, file: entry });
                return Ok(Fate::Unified { freed, entry: Some(digest) });
            }
        }
        Err(Skip::Different)
    }

    /// Exchanges it, unless only asked what would be; none if the other one can have no further name.
    fn join(&self, held: &Held, other: &File) -> Outcome<Option<u64>> {
        if self.work.options.dry_run {
            let last = held.stat.st_nlink == 1;
            return Ok(Some(if last { u64::try_from(held.stat.st_blocks).unwrap_or(0) * 512 } else { 0 }));
        }
        match exchange(&held.dir, &held.name, (&held.file, &held.stat), other).map_err(failed)? {
            Exchanged::Done { freed } => Ok(Some(freed)),
            Exchanged::Full => Ok(None),
            Exchanged::Changed => Err(Skip::Changed),
        }
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
