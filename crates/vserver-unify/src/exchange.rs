//! One name gets another inode: a link beside it, then the rename over it, which is atomic. linkat(2), renameat(2).
//!
//! The new link is made from an open descriptor, so it is the very file that was compared. A temporary name that a crash
//! leaves says by itself what it is: it bears the number of its own inode, so that the next run can remove it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, renameat};
use nix::sys::stat::{FileStat, fstatat};
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

use crate::same::{Model, state};

const PREFIX: &str = ".vserver-unify-";

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchanged {
    /// The name means the other inode now; so many bytes are free as soon as nobody has the file open.
    Done { freed: u64 },
    /// Somebody has changed the file or its name meanwhile: it stays as it is.
    Changed,
    /// The inode has as many names as its file system allows, or may not have any here; or somebody has changed it since it was
    /// compared.
    Unfit,
}

/// Gives `name` in `dir` the inode of `model`. It was looked at as `seen` before it was compared, and must have been open ever
/// since, so that no other file can have its number.
pub(crate) fn exchange(dir: &OwnedFd, name: &OsStr, seen: &FileStat, model: &mut Model) -> nix::Result<Exchanged> {
    if !model.is_unchanged()? {
        return Ok(Exchanged::Unfit);
    }
    let temporary = temporary(model.inode());
    match link(model.file(), dir, &temporary) {
        // The link of a run that was killed.
        Err(Errno::EEXIST) => {
            unlinkat(dir, temporary.as_str(), UnlinkatFlags::NoRemoveDir)?;
            link(model.file(), dir, &temporary)?;
        }
        Err(Errno::EMLINK) => return Ok(Exchanged::Unfit),
        done => done?,
    }
    let done = still(dir, name, seen).and_then(|still| match still {
        Some(now) => renameat(dir, temporary.as_str(), dir, name).map(|()| Some(now)),
        None => Ok(None),
    });
    let Ok(Some(was)) = done else {
        unlinkat(dir, temporary.as_str(), UnlinkatFlags::NoRemoveDir).ok();
        return done.map(|_| Exchanged::Changed);
    };
    model.was_linked()?;
    let last = was.st_nlink == 1;
    Ok(Exchanged::Done { freed: if last { u64::try_from(was.st_blocks).unwrap_or(0) * 512 } else { 0 } })
}

/// A further name for an open file.
pub(crate) fn link(file: &File, dir: &OwnedFd, name: &str) -> nix::Result<()> {
    linkat(file, "", dir, name, AtFlags::AT_EMPTY_PATH)
}

/// The file, if the name means it yet, and nobody has written to it since it was looked at.
fn still(dir: &OwnedFd, name: &OsStr, seen: &FileStat) -> nix::Result<Option<FileStat>> {
    let now = match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => return Ok(None),
        found => found?,
    };
    let same = (now.st_dev, now.st_ino) == (seen.st_dev, seen.st_ino) && state(&now) == state(seen);
    Ok(same.then_some(now))
}

fn temporary(inode: u64) -> String {
    format!("{PREFIX}{inode:x}")
}

/// Whether a name is what a crash has left between link and rename.
pub(crate) fn is_left_over(name: &OsStr, inode: u64) -> bool {
    name.as_bytes().starts_with(PREFIX.as_bytes()) && name == OsStr::new(&temporary(inode))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nix::sys::stat::fstat;

    use super::*;

    struct Pair {
        base: tempfile::TempDir,
        dir: OwnedFd,
        other: File,
        seen: FileStat,
        model: Model,
    }

    fn pair() -> Pair {
        let base = tempfile::tempdir().unwrap();
        for name in ["model", "other"] {
            std::fs::write(base.path().join(name), "the very same content").unwrap();
        }
        let open = |name: &str| File::open(base.path().join(name)).unwrap();
        let (dir, model, other) = (open(".").into(), open("model"), open("other"));
        let (seen, its) = (fstat(&other).unwrap(), fstat(&model).unwrap());
        Pair { base, dir, other, seen, model: Model::new(model, its) }
    }

    impl Pair {
        fn exchange(&mut self) -> Exchanged {
            exchange(&self.dir, OsStr::new("other"), &self.seen, &mut self.model).unwrap()
        }
    }

    fn touch(path: &Path) {
        File::options().write(true).open(path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    }

    #[test]
    fn a_name_gets_the_other_inode_again_and_again_and_says_what_is_free() {
        let mut pair = pair();
        assert!(matches!(pair.exchange(), Exchanged::Done { freed: 1.. }));
        assert_eq!(fstat(&pair.other).unwrap().st_nlink, 0);
        std::fs::write(pair.base.path().join("next"), "the very same content").unwrap();
        std::fs::hard_link(pair.base.path().join("next"), pair.base.path().join("kept")).unwrap();
        let next = File::open(pair.base.path().join("next")).unwrap();
        let seen = fstat(&next).unwrap();
        let name = OsStr::new("next");
        assert_eq!(exchange(&pair.dir, name, &seen, &mut pair.model), Ok(Exchanged::Done { freed: 0 }));
        assert_eq!(std::fs::read_dir(pair.base.path()).unwrap().count(), 4);
    }

    #[test]
    fn whoever_of_the_two_was_changed_since_they_were_compared_both_stay() {
        for (changed, wanted) in [("model", Exchanged::Unfit), ("other", Exchanged::Changed)] {
            let mut pair = pair();
            touch(&pair.base.path().join(changed));
            assert_eq!(pair.exchange(), wanted);
            assert_eq!(fstat(&pair.other).unwrap().st_nlink, 1);
            assert_eq!(std::fs::read_dir(pair.base.path()).unwrap().count(), 2, "no link is left");
        }
    }
}
