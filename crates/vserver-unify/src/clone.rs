//! A second tree of the same files: directories are made, everything else is one more name of what is there. Both trees are
//! marked first. Where the file system shares blocks (btrfs, xfs) a copy costs as little and shares no inode.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, fstat, fstatat, mkdirat};
use nix::unistd::linkat;
use rustix::fs::{FileType, RawDir};
use vserver_fs::{GuestRoot, copy_file, dress, open_beneath};

use crate::mark::mark;
use crate::rules::{Rules, Verdict};
use crate::scan::{ROOM, absolute};
use crate::{Error, layers};

/// Threads that make links; more only wait for the file system's journal.
const THREADS: usize = 4;

/// Whether a tree at `to` can be a clone of one at `from`: both on one file system, and not on one of their own.
pub fn can_clone(from: &GuestRoot, to: &GuestRoot) -> bool {
    let same = from.identity().0 == to.identity().0;
    same && layers::check_place(from).is_ok() && layers::check_place(to).is_ok() && !shares_blocks(to)
}

/// Fills `to`, which nobody else can enter, with what is in `from`, whose guest must not run. What `rules` do not share is left
/// out, what is there already stays, and so do sockets.
pub fn clone_tree(from: &GuestRoot, to: &GuestRoot, rules: &Rules) -> Result<(), Error> {
    clone_tree_told(from, to, rules, &|_, _| {})
}

/// The same; `listener` hears what is done (linking, creating, skipping) with which path, relative to the root.
pub fn clone_tree_told(
    from: &GuestRoot,
    to: &GuestRoot,
    rules: &Rules,
    listener: &(dyn Fn(&'static str, &Path) + Sync),
) -> Result<(), Error> {
    let judge = |path: &[u8]| match rules.judge(path) {
        Verdict::Share => Verdict::Share,
        _ => Verdict::Leave,
    };
    Filling { from, to, judge: &judge, nodes: Verdict::Leave, dry_run: false, listener }.all()
}

/// The same of a tree that is nobody's guest, or for one: what `rules` do not share is copied, so that tools of the host may
/// write to it in either tree. Nothing but sockets is left out.
pub fn clone_with_copies(from: &GuestRoot, to: &GuestRoot, rules: &Rules) -> Result<(), Error> {
    let judge = |path: &[u8]| match rules.judge(path) {
        Verdict::Share => Verdict::Share,
        Verdict::Keep | Verdict::Leave => Verdict::Keep,
    };
    Filling { from, to, judge: &judge, nodes: Verdict::Share, dry_run: false, listener: &|_, _| {} }.all()
}

/// The same for the tree of a guest that is to differ from its original: what both lists share gets one more name, what one of them
/// keeps is copied, what one of them leaves is left out. Devices and FIFOs are left out, too. Source: util-vserver,
/// `behaviours.md` §9.1, vcopy.
pub fn copy_by_rules(
    from: &GuestRoot,
    to: &GuestRoot,
    lists: [&Rules; 2],
    dry_run: bool,
    listener: &(dyn Fn(&'static str, &Path) + Sync),
) -> Result<(), Error> {
    let judge = |path: &[u8]| lists[0].judge(path).max(lists[1].judge(path));
    Filling { from, to, judge: &judge, nodes: Verdict::Leave, dry_run, listener }.all()
}

/// What becomes of a path.
type Judge<'a> = &'a (dyn Fn(&[u8]) -> Verdict + Sync);

/// One tree on its way into another.
struct Filling<'a> {
    from: &'a GuestRoot,
    to: &'a GuestRoot,
    judge: Judge<'a>,
    /// What becomes of devices and FIFOs that are kept: there is nothing in them to be copied.
    nodes: Verdict,
    dry_run: bool,
    /// Hears what is done with which path, relative to the root.
    listener: &'a (dyn Fn(&'static str, &Path) + Sync),
}

impl Filling<'_> {
    fn all(&self) -> Result<(), Error> {
        layers::Layers::settle(self.from)?;
        if !self.dry_run {
            mark(self.from)?;
            mark(self.to)?;
        }
        let mut level = vec![PathBuf::new()];
        let mut undressed = Vec::new();
        while !level.is_empty() {
            let filled = in_parallel(&level, |rel| self.directory(rel))?;
            level.clear();
            for Filled { undressed: rel, mut below } in filled {
                undressed.extend(rel);
                level.append(&mut below);
            }
        }
        if self.dry_run {
            return Ok(());
        }
        // Last: what was made in a directory has changed its time.
        in_parallel(&undressed, |rel| self.dress(rel)).map(drop)
    }

    /// The links and directories of one directory.
    fn directory(&self, rel: &Path) -> Result<Filled, Error> {
        let source = self.from.open_dir_for_change(rel)?;
        let target = if self.dry_run { None } else { Some(self.to.open_dir_for_change(rel)?) };
        let mut room = Vec::with_capacity(ROOM);
        let mut entries = RawDir::new(&source, room.spare_capacity_mut());
        let mut below = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(Error::io("list", self.from.path().join(rel)))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let path = rel.join(name);
            let verdict = (self.judge)(&absolute(path.as_os_str()));
            let done = kind(&source, name, entry.file_type()).map_err(std::io::Error::from).and_then(|kind| {
                let action = action(kind, verdict, self.nodes);
                (self.listener)(action.word(), &path);
                below.extend((action == Action::Create).then(|| path.clone()));
                target.as_ref().map_or(Ok(()), |target| action.act(&source, target, name))
            });
            done.map_err(Error::io("clone", self.from.path().join(path)))?;
        }
        let Some(target) = target.filter(|_| below.is_empty()) else {
            return Ok(Filled { undressed: Some(rel.to_owned()), below });
        };
        // Nothing more is made in it, and it is open.
        dress_directory(&source, &target).map_err(Error::io("clone", self.from.path().join(rel)))?;
        Ok(Filled { undressed: None, below })
    }

    fn dress(&self, rel: &Path) -> Result<(), Error> {
        let (source, target) = (self.from.open_dir_for_change(rel)?, self.to.open_dir_for_change(rel)?);
        dress_directory(&source, &target).map_err(Error::io("clone", self.from.path().join(rel)))
    }
}

/// A directory that has all its names.
struct Filled {
    /// The directory, unless it has its owner, mode and times already.
    undressed: Option<PathBuf>,
    /// The directories in it.
    below: Vec<PathBuf>,
}

/// What is done with an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Link,
    Copy,
    Create,
    Skip,
}

fn action(kind: FileType, verdict: Verdict, nodes: Verdict) -> Action {
    match (kind, verdict) {
        (_, Verdict::Leave) | (FileType::Socket, _) => Action::Skip,
        (FileType::Directory, _) => Action::Create,
        (FileType::RegularFile, Verdict::Keep) => Action::Copy,
        // One more name is right for a link.
        (_, Verdict::Share) | (FileType::Symlink, _) => Action::Link,
        (_, Verdict::Keep) if nodes == Verdict::Share => Action::Link,
        _ => Action::Skip,
    }
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Link => "linking",
            Self::Copy => "copying",
            Self::Create => "creating",
            Self::Skip => "skipping",
        }
    }

    fn act(self, source: &OwnedFd, target: &OwnedFd, name: &OsStr) -> std::io::Result<()> {
        match self {
            Self::Link => name_again(source, target, name),
            Self::Copy => own_copy(source, target, name),
            Self::Create => made(mkdirat(target, name, Mode::S_IRWXU)),
            Self::Skip => Ok(()),
        }
    }
}

/// FICLONE between files without content says whether there is such a thing here.
fn shares_blocks(root: &GuestRoot) -> bool {
    let unnamed = || {
        let dir = root.open_dir_for_change("").ok()?;
        open_beneath(&dir, Path::new("."), OFlag::O_TMPFILE | OFlag::O_RDWR, 0o600).ok()
    };
    matches!((unnamed(), unnamed()), (Some(a), Some(b)) if rustix::fs::ioctl_ficlone(&a, &b).is_ok())
}

fn kind(dir: &OwnedFd, name: &OsStr, told: FileType) -> nix::Result<FileType> {
    match told {
        FileType::Unknown => Ok(FileType::from_raw_mode(fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)?.st_mode)),
        told => Ok(told),
    }
}

fn made(done: nix::Result<()>) -> std::io::Result<()> {
    match done {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A link; a copy of a regular file that can have no further name here.
fn name_again(source: &OwnedFd, target: &OwnedFd, name: &OsStr) -> std::io::Result<()> {
    match linkat(source, name, target, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(Errno::EMLINK | Errno::EXDEV | Errno::EPERM) => own_copy(source, target, name),
        Err(error) => Err(error.into()),
    }
}

/// A copy of a regular file, unless there is something of that name.
fn own_copy(source: &OwnedFd, target: &OwnedFd, name: &OsStr) -> std::io::Result<()> {
    let object = open_beneath(source, Path::new(name), OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)?;
    match copy_file(&object, &fstat(&object)?, target, name) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

fn dress_directory(source: &OwnedFd, target: &OwnedFd) -> std::io::Result<()> {
    dress(source, target, &fstat(source)?)
}

/// All results, in no order, or the first failure.
fn in_parallel<T: Send>(items: &[PathBuf], work: impl Fn(&Path) -> Result<T, Error> + Sync) -> Result<Vec<T>, Error> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Ok(Vec::with_capacity(items.len()))));
    std::thread::scope(|scope| {
        for _ in 0..THREADS.min(items.len()) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = work(item);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    match (result, &mut *done) {
                        (Ok(result), Ok(all)) => all.push(result),
                        (Err(error), Ok(_)) => *done = Err(error),
                        (_, Err(_)) => return,
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}
