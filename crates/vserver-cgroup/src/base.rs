//! The directories above guests: `vserver/`, or what `.defaults/cgroup/base` names.
//!
//! `vserver/` is ours whoever made it. A base of another name may be somebody else's, so each directory that is made on
//! the way to a guest is marked by an extended attribute, which lives as long as the directory and is root's alone
//! (`trusted.*`; cgroup file systems keep it since Linux 3.14, v1 and v2 alike). By the marks it is known what may be
//! removed, and that nobody's cgroup is taken for a guest's. An administrator may make the base himself, with limits for
//! all guests together: empty when it is first used, it is marked as given, and stays.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;
use rustix::io::Errno;
use vserver_types::GuestName;

use crate::layout::Tree;
use crate::{Error, files, processes};

const NAME: &str = "trusted.vserver";

/// What a directory is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// Part of a base, made for a guest, to go with the last one.
    Made,
    /// Part of a base that was there before.
    Given,
    /// A guest's.
    Guest,
}

impl Mark {
    const ALL: [Self; 3] = [Self::Made, Self::Given, Self::Guest];

    fn word(self) -> &'static [u8] {
        match self {
            Self::Made => b"made",
            Self::Given => b"given",
            Self::Guest => b"guest",
        }
    }

    fn of(dir: &Path) -> Result<Option<Self>, Error> {
        let mut value = [0; 8];
        match rustix::fs::getxattr(dir, NAME, &mut value) {
            Ok(length) => Ok(Self::ALL.into_iter().find(|mark| Some(mark.word()) == value.get(..length))),
            Err(Errno::NODATA | Errno::RANGE) => Ok(None),
            Err(error) => Err(Error::Read { path: dir.to_owned(), source: error.into() }),
        }
    }

    fn put(self, dir: &Path, flags: XattrFlags) -> Result<(), Error> {
        rustix::fs::setxattr(dir, NAME, self.word(), flags)
            .map_err(|error| Error::Create { path: dir.to_owned(), source: error.into() })
    }
}

/// Makes the directory of guest `name` in this hierarchy and those above it; gives those that were not there. The removal
/// of the last guest takes the base away when it is empty, perhaps between two steps: then again.
///
/// # Errors
/// [`Error::Foreign`] if a directory on the way is somebody else's; [`Error::Create`]. What was made is removed again.
pub(crate) fn make_top(tree: &Tree, name: &GuestName) -> Result<Vec<PathBuf>, Error> {
    files::again(|| {
        let mut made = Vec::new();
        match make_all(tree, name, &mut made) {
            Ok(()) => Ok(made),
            Err(error) => {
                undo(&made);
                Err(error)
            }
        }
    })
}

/// Whether the directory of guest `name` is there and was made for one.
pub(crate) fn has_guest(tree: &Tree, name: &GuestName) -> bool {
    let top = tree.top(name);
    top.is_dir() && (tree.base.is_ours() || matches!(Mark::of(&top), Ok(Some(Mark::Guest))))
}

/// Removes the base if it was made for guests and none is left.
pub(crate) fn tidy(tree: &Tree) {
    if tree.base.is_ours() {
        return;
    }
    let mut levels = tree.levels();
    // The last one first, up to one that is busy or not ours to remove.
    while let Some(level) = levels.pop() {
        if !matches!(Mark::of(&level), Ok(Some(Mark::Made))) || fs::remove_dir(&level).is_err() {
            return;
        }
    }
}

/// Takes back what was made, newest first.
pub(crate) fn undo(made: &[PathBuf]) {
    for dir in made.iter().rev() {
        // A base may have got another guest meanwhile, and the first error is the one to tell.
        let _ = fs::remove_dir(dir);
    }
}

fn make_all(tree: &Tree, name: &GuestName, made: &mut Vec<PathBuf>) -> Result<(), Error> {
    for level in tree.levels() {
        if files::make_dir(&level)? {
            made.push(level.clone());
            mark(tree, Mark::Made, &level)?;
        } else if !tree.base.is_ours() {
            claim(&level)?;
        }
    }
    let top = tree.top(name);
    if files::make_dir(&top)? {
        made.push(top.clone());
    } else if tree.base.is_ours() || has_guest(tree, name) {
        return Ok(());
    } else if !is_empty(&top)? {
        return Err(Error::Foreign {
            path: top,
            reason: "it is there already and vserver has not made it for a guest",
        });
    }
    mark(tree, Mark::Guest, &top)
}

/// Nobody uses it.
fn is_empty(dir: &Path) -> Result<bool, Error> {
    Ok(processes::pids_in(dir)?.is_empty() && files::children(dir)?.is_empty())
}

fn mark(tree: &Tree, mark: Mark, dir: &Path) -> Result<(), Error> {
    if tree.base.is_ours() { Ok(()) } else { mark.put(dir, XattrFlags::empty()) }
}

/// Takes a directory that is there for a part of the base.
fn claim(dir: &Path) -> Result<(), Error> {
    let refuse = |reason| Err(Error::Foreign { path: dir.to_owned(), reason });
    match Mark::of(dir)? {
        Some(Mark::Made | Mark::Given) => Ok(()),
        Some(Mark::Guest) => refuse("it is the cgroup of a guest"),
        None if !dir.is_dir() => refuse("it is a file"),
        None if !is_empty(dir)? => refuse("it is somebody else's, with processes or cgroups in it"),
        // Another start may have made it just now and be about to say so.
        None => match Mark::Given.put(dir, XattrFlags::CREATE) {
            Err(Error::Create { source, .. }) if source.raw_os_error() == Some(Errno::EXIST.raw_os_error()) => Ok(()),
            done => done,
        },
    }
}
