//! Going through a tree by descriptor: no link is followed, any depth takes two descriptors.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The start only.
    Itself,
    /// And what is in it, if it is a directory.
    Entries,
    /// All below it.
    All,
}

/// What is gone through.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// How far.
    pub depth: Depth,
    /// Names that begin with a dot, too; the start counts always.
    pub hidden: bool,
    /// Stay on the start's file system.
    pub one_filesystem: bool,
}

impl Reach {
    /// Everything on one file system.
    pub const TREE: Self = Self { depth: Depth::All, hidden: true, one_filesystem: true };
}

/// Something that was met.
#[derive(Debug)]
pub struct Found<'a> {
    /// Its path, as the start was written.
    pub path: &'a Path,
    /// The open directory that holds it.
    pub directory: BorrowedFd<'a>,
    /// Its name there.
    pub name: &'a OsStr,
    /// What it is; of a link the link itself.
    pub stat: FileStat,
    /// The open object, if it is a regular file or a directory.
    pub file: Option<OwnedFd>,
}

impl Found<'_> {
    /// The kind in its mode.
    pub fn kind(&self) -> SFlag {
        kind(&self.stat)
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind() == SFlag::S_IFDIR
    }
}

/// Something that was met, or a path that could not be looked at and why.
pub type Met<'a> = std::result::Result<Found<'a>, (&'a Path, io::Error)>;

/// What is done with each; a break ends the walk.
pub type Visit<'v> = &'v mut dyn FnMut(Met<'_>) -> ControlFlow<()>;

/// Calls `visit` for `start` and what `reach` says, a directory before its entries. What cannot be looked at or read is
/// handed to `visit` as an error with its path, and does not end the walk.
pub fn walk(start: &Path, reach: Reach, visit: Visit<'_>) {
    let (parent, name) = split(start);
    let begun = open(&parent, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .and_then(|directory| Ok((look(directory.as_fd(), &name)?, directory)));
    let (stat, directory) = match begun {
        Ok(begun) => begun,
        Err(errno) => {
            let _ = visit(Err((start, errno.into())));
            return;
        }
    };
    let mut walker = Walker { reach, device: stat.st_dev, levels: Vec::new(), here: directory };
    if walker.meet(start.to_owned(), &name, stat, visit).is_continue() {
        let _ = walker.run(visit);
    }
}

/// A directory whose entries are being visited.
struct Level {
    path: PathBuf,
    identity: (u64, u64),
    pending: VecDeque<OsString>,
}

struct Walker {
    reach: Reach,
    device: u64,
    levels: Vec<Level>,
    /// The directory of the last level, or what holds the start.
    here: OwnedFd,
}

impl Walker {
    fn run(&mut self, visit: Visit<'_>) -> ControlFlow<()> {
        while let Some(level) = self.levels.last_mut() {
            let Some(name) = level.pending.pop_front() else {
                self.levels.pop();
                if let Some(level) = self.levels.last()
                    && let Err(error) = ascend(&mut self.here, level.identity)
                {
                    return visit(Err((&level.path, error)));
                }
                continue;
            };
            let path = level.path.join(&name);
            match look(self.here.as_fd(), &name) {
                Ok(stat) if self.reach.one_filesystem && stat.st_dev != self.device => {}
                Ok(stat) => self.meet(path, &name, stat, visit)?,
                // It went meanwhile.
                Err(Errno::ENOENT) => {}
                Err(errno) => visit(Err((&path, errno.into())))?,
            }
        }
        ControlFlow::Continue(())
    }

    fn meet(&mut self, path: PathBuf, name: &OsStr, stat: FileStat, visit: Visit<'_>) -> ControlFlow<()> {
        let file = match opened(self.here.as_fd(), name, &stat) {
            Ok(file) => file,
            Err(error) => return visit(Err((&path, error))),
        };
        let enter = self.enters(&stat);
        let below = if enter { file.as_ref().map(|file| file.try_clone()).transpose() } else { Ok(None) };
        visit(Ok(Found { path: &path, directory: self.here.as_fd(), name, stat, file }))?;
        let listed =
            below.and_then(|below| below.map(|below| Ok((names(&below, self.reach.hidden)?, below))).transpose());
        match listed {
            Ok(Some((pending, below))) => {
                self.levels.push(Level { path, identity: (stat.st_dev, stat.st_ino), pending });
                self.here = below;
            }
            Ok(None) => {}
            Err(error) => visit(Err((&path, error)))?,
        }
        ControlFlow::Continue(())
    }

    fn enters(&self, stat: &FileStat) -> bool {
        let deep = match self.reach.depth {
            Depth::Itself => false,
            Depth::Entries => self.levels.is_empty(),
            Depth::All => true,
        };
        deep && kind(stat) == SFlag::S_IFDIR
    }
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn look(directory: BorrowedFd<'_>, name: &OsStr) -> nix::Result<FileStat> {
    fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// Opening anything else could wait, or wake a device up.
fn opened(directory: BorrowedFd<'_>, name: &OsStr, stat: &FileStat) -> io::Result<Option<OwnedFd>> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let flags = match kind(stat) {
        SFlag::S_IFDIR => flags | OFlag::O_DIRECTORY,
        SFlag::S_IFREG => flags,
        _ => return Ok(None),
    };
    let file = openat(directory, name, flags, Mode::empty())?;
    let found = fstat(&file)?;
    match (found.st_dev, found.st_ino) == (stat.st_dev, stat.st_ino) {
        true => Ok(Some(file)),
        false => Err(io::Error::other("it was exchanged while it was being opened")),
    }
}

fn names(directory: &OwnedFd, hidden: bool) -> io::Result<VecDeque<OsString>> {
    let mut entries =
        Dir::openat(directory, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut names = VecDeque::new();
    for entry in entries.iter() {
        let name = entry?.file_name().to_bytes().to_vec();
        let shown = if hidden { name != b"." && name != b".." } else { !name.starts_with(b".") };
        if shown {
            names.push_back(OsString::from_vec(name));
        }
    }
    Ok(names)
}

/// Back to the directory above, which must be the one that we came from.
fn ascend(here: &mut OwnedFd, identity: (u64, u64)) -> io::Result<()> {
    let above = openat(&*here, "..", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let found = fstat(&above)?;
    if (found.st_dev, found.st_ino) != identity {
        return Err(io::Error::other("a directory in it was moved meanwhile"));
    }
    *here = above;
    Ok(())
}

/// The directory that holds `path`, and its name there. A path that ends in `/`, `.` or `..` is a directory itself.
fn split(path: &Path) -> (PathBuf, OsString) {
    let bytes = path.as_os_str().as_bytes();
    let itself = bytes.ends_with(b"/") || bytes.ends_with(b"/.") || bytes == b".";
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !itself => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            (parent.to_owned(), name.to_owned())
        }
        _ => (path.to_owned(), ".".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(start: &Path, reach: Reach) -> Vec<String> {
        let mut all = Vec::new();
        walk(start, reach, &mut |found| {
            all.push(found.unwrap().path.strip_prefix(start).unwrap().display().to_string());
            ControlFlow::Continue(())
        });
        all.sort();
        all
    }

    #[test]
    fn depths_and_hidden_names() {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(base.path().join("a/b")).unwrap();
        std::fs::write(base.path().join("a/b/f"), "").unwrap();
        std::fs::write(base.path().join(".h"), "").unwrap();
        std::os::unix::fs::symlink("a", base.path().join("l")).unwrap();
        let reach = |depth, hidden| Reach { depth, hidden, one_filesystem: false };
        assert_eq!(met(base.path(), reach(Depth::Itself, true)), [""]);
        assert_eq!(met(base.path(), reach(Depth::Entries, false)), ["", "a", "l"]);
        assert_eq!(met(base.path(), reach(Depth::All, true)), ["", ".h", "a", "a/b", "a/b/f", "l"]);
        assert_eq!(met(&base.path().join("l"), reach(Depth::All, true)), [""]);
    }

    #[test]
    fn thousands_of_nested_directories_are_gone_through() {
        let base = tempfile::tempdir().unwrap();
        let mut here = OwnedFd::from(std::fs::File::open(base.path()).unwrap());
        for _ in 0..3000 {
            nix::sys::stat::mkdirat(&here, "d", Mode::S_IRWXU).unwrap();
            here = openat(&here, "d", OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty()).unwrap();
        }
        let mut count = 0;
        walk(base.path(), Reach::TREE, &mut |found| {
            count += usize::from(found.is_ok());
            ControlFlow::Continue(())
        });
        assert_eq!(count, 3001);
        // The standard library's removal would run out of stack or descriptors on some hosts.
        std::process::Command::new("rm").arg("-rf").arg(base.path().join("d")).status().unwrap();
    }

    #[test]
    fn what_is_missing_is_told() {
        let mut told = None;
        walk(Path::new("/nowhere/x"), Reach::TREE, &mut |found| {
            told = found.err().map(|(path, e)| (path.to_owned(), e.kind()));
            ControlFlow::Continue(())
        });
        assert_eq!(told, Some(("/nowhere/x".into(), io::ErrorKind::NotFound)));
    }
}
