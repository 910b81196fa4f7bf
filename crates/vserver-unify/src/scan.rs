//! Walks trees with several threads, each directory by its own descriptor. What the store knows by its inode's number is
//! not even looked at: that makes a second run as cheap as listing the directories.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use nix::fcntl::AtFlags;
use nix::sys::stat::{SFlag, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use rustix::fs::{FileType, RawDir};

use crate::exchange::is_left_over;
use crate::rules::Verdict;
use crate::same::Key;
use crate::unify::{Event, Listener, Skip, Tree};

/// Room for the entries of a directory that are read at once.
pub(crate) const ROOM: usize = 32 << 10;

/// A regular file that may be shared.
#[derive(Debug)]
pub(crate) struct Found {
    /// Index of its tree.
    pub tree: u16,
    /// Its path below the root, without a slash at the beginning.
    pub path: Box<OsStr>,
    pub inode: u64,
    pub key: Key,
    /// Of a few pieces of it, where many files have one key; else 0. Equal files have equal ones.
    pub sample: u64,
}

/// What to look for.
pub(crate) struct Wish<'a> {
    pub trees: &'a [Tree],
    /// Files below this size are left alone.
    pub min_size: u64,
    pub ignore_mtime: bool,
    /// Inodes that are shared already, sorted.
    pub known: &'a [u64],
    pub threads: usize,
    /// Remove what a killed run has left.
    pub tidy: bool,
    pub listener: Listener<'a>,
}

/// What was found: the files, and how many are shared already.
#[derive(Default)]
pub(crate) struct Sight {
    pub files: Vec<Found>,
    pub known: u64,
    pub looked_at: u64,
}

#[derive(Default)]
struct Todo {
    directories: Vec<(u16, PathBuf)>,
    /// Directories that are being read now, and may add others.
    busy: usize,
    /// Threads that have nothing to do.
    waiting: usize,
}

struct Walk<'a> {
    wish: &'a Wish<'a>,
    todo: Mutex<Todo>,
    more: Condvar,
}

/// Finds all files of all trees that their rules let be shared.
pub(crate) fn scan(wish: &Wish<'_>) -> Sight {
    let directories = (0..wish.trees.len()).filter_map(|tree| Some((u16::try_from(tree).ok()?, PathBuf::new())));
    let todo = Mutex::new(Todo { directories: directories.collect(), ..Todo::default() });
    let walk = Walk { wish, todo, more: Condvar::new() };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..wish.threads.max(1)).map(|_| scope.spawn(|| walk.work())).collect();
        let mut all = Sight::default();
        for mut part in threads.into_iter().filter_map(|thread| thread.join().ok()) {
            all.files.append(&mut part.files);
            all.known += part.known;
            all.looked_at += part.looked_at;
        }
        all
    })
}

impl Walk<'_> {
    fn work(&self) -> Sight {
        let (mut sight, mut below, mut room) = (Sight::default(), Vec::new(), Vec::with_capacity(ROOM));
        let mut next = self.next(&mut below);
        while let Some((tree, rel)) = next {
            if let Err(error) = self.directory(tree, &rel, &mut room, &mut sight, &mut below) {
                let path = shown(rel.as_os_str());
                (self.wish.listener)(Event::Skipped { tree: tree.into(), path: &path, why: Skip::Failed(error) });
            }
            self.todo().busy -= 1;
            next = self.next(&mut below);
        }
        sight
    }

    /// The next directory, after those that were found below the last one have come to the others.
    fn next(&self, below: &mut Vec<(u16, PathBuf)>) -> Option<(u16, PathBuf)> {
        let mut todo = self.todo();
        let others = below.len().saturating_sub(1).min(todo.waiting);
        todo.directories.append(below);
        (0..others).for_each(|_| self.more.notify_one());
        loop {
            if let Some(directory) = todo.directories.pop() {
                todo.busy += 1;
                return Some(directory);
            }
            if todo.busy == 0 {
                self.more.notify_all();
                return None;
            }
            todo.waiting += 1;
            todo = self.more.wait(todo).unwrap_or_else(PoisonError::into_inner);
            todo.waiting -= 1;
        }
    }

    fn todo(&self) -> MutexGuard<'_, Todo> {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(
        &self,
        tree: u16,
        rel: &Path,
        room: &mut Vec<u8>,
        sight: &mut Sight,
        below: &mut Vec<(u16, PathBuf)>,
    ) -> Result<(), String> {
        let whole = &self.wish.trees[usize::from(tree)];
        // A mount in the tree is not entered: openat2 with RESOLVE_NO_XDEV refuses it.
        let dir = whole.root.open_dir_for_change(rel).map_err(|error| chain(&error))?;
        let mut entries = RawDir::new(&dir, room.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|error| error.to_string())?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let path = join(rel, name);
            if whole.rules.judge(&absolute(&path)) != Verdict::Share {
                (self.wish.listener)(Event::Skipped { tree: tree.into(), path: &shown(&path), why: Skip::Excluded });
                continue;
            }
            let at = Place { tree, dir: &dir, name, inode: entry.ino() };
            self.entry(&at, entry.file_type(), path, sight, below)?;
        }
        Ok(())
    }

    fn entry(
        &self,
        at: &Place<'_>,
        kind: FileType,
        path: OsString,
        sight: &mut Sight,
        below: &mut Vec<(u16, PathBuf)>,
    ) -> Result<(), String> {
        sight.looked_at += 1;
        if kind == FileType::Directory {
            below.push((at.tree, path.into()));
            return Ok(());
        }
        if kind == FileType::RegularFile && self.wish.known.binary_search(&at.inode).is_ok() && !self.tidied(at) {
            sight.known += 1;
            self.skipped(at, &path, Skip::Unified);
            return Ok(());
        }
        if !matches!(kind, FileType::RegularFile | FileType::Unknown) {
            self.skipped(at, &path, if kind == FileType::Symlink { Skip::Symlink } else { Skip::Irregular });
            return Ok(());
        }
        let Ok(stat) = fstatat(at.dir, at.name, AtFlags::AT_SYMLINK_NOFOLLOW) else {
            self.skipped(at, &path, Skip::Changed);
            return Ok(());
        };
        match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFDIR => below.push((at.tree, path.into())),
            SFlag::S_IFREG if self.tidied(at) => {}
            SFlag::S_IFREG => {
                let key = Key::of(&stat, self.wish.ignore_mtime);
                if key.size < self.wish.min_size {
                    self.skipped(at, &path, Skip::Empty);
                    return Ok(());
                }
                sight.files.push(Found { tree: at.tree, path: path.into(), inode: stat.st_ino, key, sample: 0 });
            }
            _ => self.skipped(at, &path, Skip::Irregular),
        }
        Ok(())
    }

    /// Whether it was what a killed run has left, and is gone now. Its content has other names.
    fn tidied(&self, at: &Place<'_>) -> bool {
        let left = is_left_over(at.name, at.inode)
            && fstatat(at.dir, at.name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(|stat| stat.st_nlink > 1);
        left && (!self.wish.tidy || unlinkat(at.dir, at.name, UnlinkatFlags::NoRemoveDir).is_ok())
    }

    fn skipped(&self, at: &Place<'_>, path: &OsStr, why: Skip) {
        (self.wish.listener)(Event::Skipped { tree: at.tree.into(), path: &shown(path), why });
    }
}

struct Place<'a> {
    tree: u16,
    dir: &'a OwnedFd,
    name: &'a OsStr,
    inode: u64,
}

fn join(rel: &Path, name: &OsStr) -> OsString {
    let mut path = rel.as_os_str().to_owned();
    if !path.is_empty() {
        path.push("/");
    }
    path.push(name);
    path
}

/// The path as the guest sees it.
pub(crate) fn absolute(path: &OsStr) -> Vec<u8> {
    [b"/", path.as_bytes()].concat()
}

pub(crate) fn shown(path: &OsStr) -> String {
    format!("/{}", path.to_string_lossy())
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}
