//! A guest against others that are its model: what has the same path there, and is equal, becomes one inode with it. Source:
//! util-vserver, `behaviours.md` §9.2; there contents were not compared, here they are.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, fstat};
use vserver_fs::{GuestRoot, open_beneath};

use super::{Event, Listener, Skip, THREADS, Totals, Tree};
use crate::exchange::{Exchanged, exchange};
use crate::mark::mark;
use crate::rules::Verdict;
use crate::same::{Buffers, Key, same};
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

/// A regular file, held with its directory.
struct Held {
    dir: OwnedFd,
    name: OsString,
    file: File,
    stat: FileStat,
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
                let mut room = Buffers::new();
                while let Some(found) = sight.files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let fate = against.one(found, &mut room);
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

impl Against<'_> {
    /// The bytes that are free now, or why it stays.
    fn one(&self, found: &Found, room: &mut Buffers) -> Result<u64, Skip> {
        let path = Path::new(&*found.path);
        let held = hold(&self.tree.root, path).map_err(failed)?.ok_or(Skip::Changed)?;
        let mut why = Skip::NoReference;
        for reference in self.references {
            if reference.rules.judge(&absolute(&found.path)) != Verdict::Share {
                continue;
            }
            let Some(model) = hold(&reference.root, path).map_err(failed)? else { continue };
            let one = (model.stat.st_dev, model.stat.st_ino) == (held.stat.st_dev, held.stat.st_ino);
            if one && self.options.reverse {
                return self.separate(&held);
            }
            if one {
                return Err(Skip::Unified);
            }
            why = Skip::Different;
            let equal = model.stat.st_dev == held.stat.st_dev
                && Key::of(&model.stat, false) == Key::of(&held.stat, false)
                && same(&model.file, &held.file, room).map_err(failed)?;
            if equal && !self.options.reverse {
                return self.join(&held, &model.file);
            }
        }
        Err(why)
    }

    fn join(&self, held: &Held, model: &File) -> Result<u64, Skip> {
        if self.options.dry_run {
            let last = held.stat.st_nlink == 1;
            return Ok(if last { u64::try_from(held.stat.st_blocks).unwrap_or(0) * 512 } else { 0 });
        }
        match exchange(&held.dir, &held.name, (&held.file, &held.stat), model).map_err(failed)? {
            Exchanged::Done { freed } => Ok(freed),
            Exchanged::Changed => Err(Skip::Changed),
            Exchanged::Full => Err(Skip::Different),
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

/// The regular file of that path, if there is one; no link is followed.
fn hold(root: &GuestRoot, path: &Path) -> std::io::Result<Option<Held>> {
    let name = path.file_name().unwrap_or(OsStr::new(""));
    let Ok(dir) = root.open_dir_for_change(path.parent().unwrap_or(Path::new(""))) else { return Ok(None) };
    // Looked at before it is opened: a device may act on an open.
    let object = match open_beneath(&dir, Path::new(name), OFlag::O_PATH | OFlag::O_NOFOLLOW, 0) {
        Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR) => return Ok(None),
        found => found?,
    };
    if fstat(&object)?.st_mode & nix::libc::S_IFMT != nix::libc::S_IFREG {
        return Ok(None);
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::from(open_beneath(&dir, Path::new(name), flags, 0)?);
    let stat = fstat(&file)?;
    let regular = stat.st_mode & nix::libc::S_IFMT == nix::libc::S_IFREG;
    Ok(regular.then(|| Held { dir, name: name.to_owned(), file, stat }))
}

fn failed(error: impl Into<std::io::Error>) -> Skip {
    Skip::Failed(error.into().to_string())
}
