//! The end of sharing: each file of a guest that has further names somewhere becomes a copy of its own, by a rename, so that
//! a crash leaves every file with its content. Only when all are done does the tree lose its mark.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{OFlag, renameat};
use nix::sys::stat::{FileStat, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use vserver_fs::{GuestRoot, copy_file, open_beneath};

use crate::mark::{is_shared, unmark};
use crate::scan::{Wish, scan};
use crate::unify::{Event, Skip, Tree};
use crate::{Error, Rules};

/// As long as the copy is not whole. A run that was killed leaves one, which the next removes.
const TEMPORARY: &str = ".vserver-flatten";

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Makes all files of the tree its own; its guest must not run. Two names of one file in the guest become two files.
pub fn flatten(root: &GuestRoot) -> Result<Copied, Error> {
    let mut copied = Copied::default();
    if !is_shared(root)? {
        return Ok(copied);
    }
    let trees = [Tree { root: root.try_clone()?, rules: Rules::default() }];
    let lost = std::sync::Mutex::new(None);
    let listener = |event: Event<'_>| {
        if let Event::Skipped { path, why: Skip::Failed(why), .. } = event
            && let Ok(mut lost) = lost.lock()
        {
            lost.get_or_insert_with(|| format!("{path}: {why}"));
        }
    };
    let wish = Wish {
        trees: &trees,
        min_size: 0,
        ignore_mtime: true,
        known: &[],
        threads: 1,
        tidy: true,
        listener: &listener,
    };
    let files = scan(&wish).files;
    // A directory that could not be listed may hold shared files: the mark stays then.
    if let Some(why) = lost.into_inner().ok().flatten() {
        return Err(Error::io("list all of", root.path())(std::io::Error::other(why)));
    }
    for found in files {
        let path = Path::new(&*found.path);
        let dir = root.open_dir_for_change(path.parent().unwrap_or(Path::new("")))?;
        let name = path.file_name().unwrap_or_default();
        copied += one(&dir, name).map_err(Error::io("make the guest's own", root.path().join(path)))?;
    }
    unmark(root)?;
    Ok(copied)
}

/// The same for one name, if its file has others.
pub(crate) fn one(dir: &OwnedFd, name: &OsStr) -> std::io::Result<Copied> {
    let object = open_beneath(dir, Path::new(name), OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)?;
    let stat = fstat(&object)?;
    if stat.st_nlink < 2 {
        return Ok(Copied::default());
    }
    remove_left(dir)?;
    let done = copy_file(&object, &stat, dir, OsStr::new(TEMPORARY)).and_then(|()| {
        File::from(open_beneath(dir, Path::new(TEMPORARY), OFlag::O_RDONLY | OFlag::O_NOFOLLOW, 0)?).sync_data()?;
        Ok(renameat(dir, TEMPORARY, dir, name)?)
    });
    if done.is_err() {
        remove_left(dir).ok();
    }
    done.map(|()| Copied { files: 1, bytes: size(&stat) })
}

fn size(stat: &FileStat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

fn remove_left(dir: &OwnedFd) -> nix::Result<()> {
    match unlinkat(dir, TEMPORARY, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(nix::errno::Errno::ENOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

impl std::ops::AddAssign for Copied {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}
