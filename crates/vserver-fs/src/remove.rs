//! Removing trees: by descriptor, no link followed, no mount entered, any depth with few descriptors.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, RenameFlags, renameat2};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::{Error, GuestRoot, lookup, mounts_below};

/// How many directories deep we go before the next one is first moved up: it bounds the open descriptors.
const DEPTH: usize = 64;
/// Names read at once from a directory.
const BATCH: usize = 1024;
/// How often a directory is emptied again because somebody still writes into it.
const RETRIES: u32 = 64;

/// Deletes the whole tree of a guest, its root directory included.
///
/// Refuses with [`Error::Mounted`], before anything is deleted, when something is mounted at or below `path`: it is
/// somebody else's data. A symbolic link in place of the root is refused too.
pub fn remove_guest_tree(path: &Path) -> Result<(), Error> {
    let root = GuestRoot::open(path)?;
    let failed = |action| move |e| Error::call(action, path.display().to_string(), e);
    let real = std::fs::read_link(lookup::by_descriptor(&root)).map_err(failed("find the path of"))?;
    let mounts = mounts_below(&real)?;
    if !mounts.is_empty() {
        return Err(Error::Mounted { path: path.to_owned(), mounts });
    }
    root.empty_dir("")?;
    std::fs::remove_dir(path).map_err(failed("remove"))
}

impl GuestRoot {
    /// Removes whatever `rel` names, with all that is below it; it is no error if there is nothing.
    pub fn remove_tree(&self, rel: impl AsRef<Path>) -> Result<(), Error> {
        let rel = rel.as_ref();
        let (dir, last) = match self.parent(rel) {
            Err(e) if e.is_not_found() => return Ok(()),
            found => found?,
        };
        match unlinkat(&dir, last.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::EISDIR) => {}
            Err(e) => return Err(Error::call("remove", self.name(rel), e)),
        }
        self.empty_dir(rel)?;
        unlinkat(&dir, last.as_os_str(), UnlinkatFlags::RemoveDir)
            .map_err(|e| Error::call("remove", self.name(rel), e))
    }

    /// Removes everything in a directory and keeps the directory.
    pub fn empty_dir(&self, rel: impl AsRef<Path>) -> Result<(), Error> {
        let rel = rel.as_ref();
        let base = self.open_dir_for_change(rel)?;
        let mut sweep = Sweep { stack: vec![Frame::new(base, CString::default()).map_err(|e| self.failed(rel, e))?] };
        sweep.run().map_err(|(below, errno)| self.failed(&rel.join(below), errno))
    }

    fn failed(&self, rel: &Path, errno: Errno) -> Error {
        if matches!(errno, Errno::EXDEV | Errno::EBUSY) {
            return Error::Mounted { path: self.path().to_owned(), mounts: vec![rel.to_owned()] };
        }
        Error::call("remove", self.name(rel), errno)
    }
}

/// A directory that is being emptied.
struct Frame {
    dir: Dir,
    name: CString,
    pending: Vec<CString>,
    refills: u32,
}

impl Frame {
    fn new(fd: OwnedFd, name: CString) -> nix::Result<Self> {
        Ok(Self { dir: Dir::from_fd(fd)?, name, pending: Vec::new(), refills: 0 })
    }

    /// The next batch of names, from the beginning: what was read before is gone by now. False: it is empty.
    fn refill(&mut self) -> nix::Result<bool> {
        for entry in self.dir.iter() {
            let name = entry?.file_name().to_owned();
            if !lookup::is_dot(OsStr::from_bytes(name.to_bytes())) {
                self.pending.push(name);
            }
            if self.pending.len() == BATCH {
                break;
            }
        }
        Ok(!self.pending.is_empty())
    }
}

/// The directories from the base down to where we are.
struct Sweep {
    stack: Vec<Frame>,
}

type Fault = (PathBuf, Errno);

impl Sweep {
    fn run(&mut self) -> Result<(), Fault> {
        loop {
            let Some(top) = self.stack.last_mut() else {
                return Ok(());
            };
            let Some(name) = top.pending.pop() else {
                match top.refill() {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(e) => return Err(self.fault(None, e)),
                }
                if self.stack.len() == 1 {
                    return Ok(());
                }
                self.leave()?;
                continue;
            };
            match unlinkat(&top.dir, name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(Errno::EISDIR) => self.descend(name)?,
                Err(e) => return Err(self.fault(Some(&name), e)),
            }
        }
    }

    /// Goes into a directory, or, where that would be too deep, moves it up to the base, to be met again there.
    fn descend(&mut self, name: CString) -> Result<(), Fault> {
        let (Some(base), Some(top)) = (self.stack.first(), self.stack.last()) else {
            return Ok(());
        };
        if self.stack.len() >= DEPTH {
            return move_up(&top.dir, &name, &base.dir).map_err(|e| self.fault(Some(&name), e));
        }
        let rel = Path::new(OsStr::from_bytes(name.to_bytes()));
        let opened = lookup::beneath(&top.dir, rel, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW, 0);
        match opened.and_then(|fd| Frame::new(fd, name.clone())) {
            Ok(frame) => self.stack.push(frame),
            // It became something else meanwhile; the next batch finds out what.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
            Err(e) => return Err(self.fault(Some(&name), e)),
        }
        Ok(())
    }

    /// Removes the emptied directory on top; one that was filled again meanwhile stays on top, for a while.
    fn leave(&mut self) -> Result<(), Fault> {
        let Some((top, rest)) = self.stack.split_last_mut() else {
            return Ok(());
        };
        let Some(above) = rest.last() else { return Ok(()) };
        match unlinkat(&above.dir, top.name.as_c_str(), UnlinkatFlags::RemoveDir) {
            Err(Errno::ENOTEMPTY) if top.refills < RETRIES => top.refills += 1,
            Ok(()) | Err(Errno::ENOENT | Errno::ENOTDIR) => drop(self.stack.pop()),
            Err(e) => return Err(self.fault(None, e)),
        }
        Ok(())
    }

    fn fault(&self, name: Option<&CString>, errno: Errno) -> Fault {
        let parts = self.stack.iter().skip(1).map(|f| &f.name).chain(name);
        (parts.map(|n| OsStr::from_bytes(n.to_bytes())).collect(), errno)
    }
}

fn move_up(from: impl AsFd, name: &CString, base: impl AsFd) -> nix::Result<()> {
    let mut number = 0u32;
    loop {
        let free = format!(".vs-removed-{number}");
        match renameat2(&from, name.as_c_str(), &base, free.as_str(), RenameFlags::RENAME_NOREPLACE) {
            Err(Errno::EEXIST) => number += 1,
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn thousands_of_nested_directories_and_wide_ones_go() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("root");
        std::fs::create_dir(&path).unwrap();
        let mut here = OwnedFd::from(std::fs::File::open(&path).unwrap());
        for _ in 0..4000 {
            nix::sys::stat::mkdirat(&here, "d", nix::sys::stat::Mode::S_IRWXU).unwrap();
            std::fs::write(lookup::by_descriptor(&here).join("f"), "x").unwrap();
            here = lookup::beneath(&here, Path::new("d"), OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0).unwrap();
        }
        for n in 0..3000 {
            std::fs::create_dir(path.join(format!("w{n}"))).unwrap();
        }
        remove_guest_tree(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let base = tempfile::tempdir().unwrap();
        let (path, canary) = (base.path().join("root"), base.path().join("canary"));
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        std::fs::create_dir(&canary).unwrap();
        std::fs::write(canary.join("file"), "host").unwrap();
        symlink(&canary, path.join("a/b/link")).unwrap();
        symlink(&canary, path.join("top")).unwrap();
        let root = GuestRoot::open(&path).unwrap();
        assert!(root.remove_tree("a/b/link/file").is_err());
        root.remove_tree("a").unwrap();
        root.remove_tree("a").unwrap();
        remove_guest_tree(&path).unwrap();
        assert!(canary.join("file").exists());
        symlink(&canary, &path).unwrap();
        assert!(remove_guest_tree(&path).is_err());
        assert!(canary.join("file").exists());
    }
}
