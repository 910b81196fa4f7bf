//! A guest against others that are its model: what has the same path there, and is equal, becomes one inode with it. Source:
//! util-vserver, `behaviours.md` §9.2; there contents were not compared, here they are.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::fcntl::OFlag;
use nix::sys::stat::fstat;
use vserver_fs::{GuestRoot, open_beneath};

use super::{Event, Listener, Skip, THREADS, Totals, Tree};
use crate::exchange::{Exchanged, exchange};
use crate::held::{Directories, Held, split};
use crate::mark::mark;
use crate::rules::Verdict;
use crate::same::{Key, Model, Room};
use crate::scan::{Found, Wish, absolute, scan, shown};
use crate::{Error, flatten, layers};

/// Wishes of the caller.
#[derive(Clone, Copy, Debug, Default)]
pub struct AgainstOptions {
    /// Change nothing.
    pub dry_run: bool,
    /// The other way: what is one with a reference becomes a copy of the guest's own.
    pub reverse: bool,
}

/// Makes files of `tree` one with those of the first reference that has an equal one of the same path, which that one's rules
/// share, too. None of the guests may run.
///
/// # Errors
/// Before anything is changed: a tree that cannot be marked.
pub fn unify(
    tree: &Tree,
    references: &[Tree],
    options: AgainstOptions,
    listener: Listener<'_>,
) -> Result<Totals, Error> {
    for one in references.iter().chain([tree]) {
        layers::check_place(&one.root)?;
        if !options.dry_run && !options.reverse {
            mark(&one.root)?;
        }
    }
    if !options.dry_run {
        let root = tree.root.open_dir_for_change("")?;
        rustix::fs::syncfs(&root).map_err(Error::io("write to the disk what is in", tree.root.path()))?;
    }
    let trees = std::slice::from_ref(tree);
    let tidy = !options.dry_run;
    let wish = Wish { trees, min_size: 0, ignore_mtime: false, known: &[], threads: THREADS, tidy, listener };
    let sight = scan(&wish);
    let totals = Mutex::new(Totals { looked_at: sight.looked_at, ..Totals::default() });
    let next = AtomicUsize::new(0);
    let against = Against { tree, references, options };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut own = Own { room: Room::new(), directories: Directories::default() };
                while let Some(found) = sight.files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let fate = against.one(found, &mut own);
                    against.tell(found, fate, &totals, listener);
                }
            });
        }
    });
    Ok(totals.into_inner().unwrap_or_else(PoisonError::into_inner))
}

struct Against<'a> {
    tree: &'a Tree,
    references: &'a [Tree],
    options: AgainstOptions,
}

/// What each thread has of its own. The guest's directories have the number 0, those of its references the next.
struct Own {
    room: Room,
    directories: Directories,
}

impl Against<'_> {
    /// The bytes that are free now, or why it stays.
    fn one(&self, found: &Found, own: &mut Own) -> Result<u64, Skip> {
        let held = own.hold(0, &self.tree.root, &found.path).map_err(failed)?.ok_or(Skip::Changed)?;
        let mut why = Skip::NoReference;
        for (reference, number) in self.references.iter().zip(1..) {
            if reference.rules.judge(&absolute(&found.path)) != Verdict::Share {
                continue;
            }
            let Some(model) = own.hold(number, &reference.root, &found.path).map_err(failed)? else { continue };
            let one = (model.stat.st_dev, model.stat.st_ino) == (held.stat.st_dev, held.stat.st_ino);
            if one && self.options.reverse {
                return self.separate(&held);
            }
            if one {
                return Err(Skip::Unified);
            }
            why = Skip::Different;
            let alike =
                model.stat.st_dev == held.stat.st_dev && Key::of(&model.stat, false) == Key::of(&held.stat, false);
            let mut model = Model::new(model.file, model.stat);
            if alike && !self.options.reverse && model.same(&held.file, &mut own.room).map_err(failed)? {
                return self.join(&held, &mut model);
            }
        }
        Err(why)
    }

    fn join(&self, held: &Held, model: &mut Model) -> Result<u64, Skip> {
        if self.options.dry_run {
            let last = held.stat.st_nlink == 1;
            return Ok(if last { u64::try_from(held.stat.st_blocks).unwrap_or(0) * 512 } else { 0 });
        }
        match exchange(&held.dir, &held.name, &held.stat, model).map_err(failed)? {
            Exchanged::Done { freed } => Ok(freed),
            Exchanged::Changed => Err(Skip::Changed),
            Exchanged::Unfit => Err(Skip::Different),
        }
    }

    fn separate(&self, held: &Held) -> Result<u64, Skip> {
        if !self.options.dry_run {
            flatten::one(&held.dir, &held.name).map_err(failed)?;
        }
        Ok(0)
    }

    fn tell(&self, found: &Found, fate: Result<u64, Skip>, totals: &Mutex<Totals>, listener: Listener<'_>) {
        let path = shown(&found.path);
        let mut sums = totals.lock().unwrap_or_else(PoisonError::into_inner);
        match &fate {
            Ok(freed) => {
                sums.unified += 1;
                sums.freed += freed;
            }
            Err(Skip::Unified) => sums.known += 1,
            Err(Skip::Changed | Skip::Failed(_)) => sums.failed += 1,
            Err(_) => {}
        }
        drop(sums);
        match fate {
            Ok(_) => listener(Event::Unified { tree: 0, path: &path, entry: None }),
            Err(why) => listener(Event::Skipped { tree: 0, path: &path, why }),
        }
    }
}

impl Own {
    /// The regular file of that path, if there is one; no link is followed.
    fn hold(&mut self, tree: usize, root: &GuestRoot, path: &OsStr) -> std::io::Result<Option<Held>> {
        let Ok(dir) = self.directories.of(tree, root, path) else { return Ok(None) };
        // Looked at before it is opened: a device may act on an open.
        let object = match open_beneath(&dir, Path::new(split(path).1), OFlag::O_PATH | OFlag::O_NOFOLLOW, 0) {
            Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR) => return Ok(None),
            found => found?,
        };
        let regular = |mode| mode & nix::libc::S_IFMT == nix::libc::S_IFREG;
        if !regular(fstat(&object)?.st_mode) {
            return Ok(None);
        }
        let held = Held::open(dir, path)?;
        Ok(regular(held.stat.st_mode).then_some(held))
    }
}

fn failed(error: impl Into<std::io::Error>) -> Skip {
    Skip::Failed(error.into().to_string())
}
