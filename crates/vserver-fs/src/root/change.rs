//! Changing a guest's tree: no symbolic link is followed, no mount is crossed, and owner and mode are set through the
//! descriptor of the very object that was made.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, renameat};
use nix::sys::stat::{Mode, SFlag, dev_t, fchmod, mkdirat, mknodat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};

use super::{GuestRoot, Owner};
use crate::{Error, lookup};

impl GuestRoot {
    /// Makes a directory and those above it that are missing, with `mode`. One that exists stays as it is.
    /// Fails where a component is a symbolic link or not a directory.
    pub fn create_dir_all(&self, rel: impl AsRef<Path>, mode: u32) -> Result<OwnedFd, Error> {
        let rel = lookup::relative(rel.as_ref())?;
        let mut here = self.open_dir_for_change("")?;
        let mut so_far = PathBuf::new();
        for part in &rel {
            so_far.push(part);
            here = step(&here, part, mode).map_err(|e| Error::call("make the directory", self.name(&so_far), e))?;
        }
        Ok(here)
    }

    /// Replaces a file by `bytes`, at once or not at all. What was there (also a symbolic link) is not written to, it
    /// loses its name. `owner` as on disk; `None` leaves it to the caller's.
    pub fn write_atomic(
        &self,
        rel: impl AsRef<Path>,
        bytes: &[u8],
        mode: u32,
        owner: Option<Owner>,
    ) -> Result<(), Error> {
        let rel = rel.as_ref();
        let (dir, last) = self.parent(rel)?;
        let (mut file, temporary) = self.temporary(&dir, rel)?;
        let written = (|| {
            file.write_all(bytes)?;
            fchmod(&file, Mode::from_bits_truncate(mode))?;
            chown_fd(&file, owner)?;
            file.sync_data()?;
            renameat(&dir, temporary.as_str(), &dir, last.as_os_str())?;
            Ok(())
        })();
        written.map_err(|e: std::io::Error| {
            // Best effort: the write's own fault is the one to report.
            unlinkat(&dir, temporary.as_str(), UnlinkatFlags::NoRemoveDir).ok();
            Error::call("write", self.name(rel), e)
        })
    }

    /// A new regular file for writing; fails with `EEXIST` if there is anything of that name.
    pub fn create_file(&self, rel: impl AsRef<Path>, mode: u32) -> Result<File, Error> {
        let rel = rel.as_ref();
        let (dir, last) = self.parent(rel)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let file = lookup::beneath(&dir, Path::new(&last), flags, mode & 0o777)
            .map_err(|e| Error::call("create", self.name(rel), e))?;
        fchmod(&file, Mode::from_bits_truncate(mode))
            .map_err(|e| Error::call("set the mode of", self.name(rel), e))?;
        Ok(File::from(file))
    }

    /// Makes a symbolic link with the text `target`. Fails with `EEXIST` if there is anything of that name.
    pub fn symlink(&self, target: impl AsRef<Path>, rel: impl AsRef<Path>) -> Result<(), Error> {
        let rel = rel.as_ref();
        let (dir, last) = self.parent(rel)?;
        symlinkat(target.as_ref(), &dir, last.as_os_str())
            .map_err(|e| Error::call("make the link", self.name(rel), e))
    }

    /// Makes a device node, FIFO or socket. `device` counts only for device nodes.
    pub fn mknod(&self, rel: impl AsRef<Path>, kind: SFlag, mode: u32, device: dev_t) -> Result<(), Error> {
        let rel = rel.as_ref();
        let (dir, last) = self.parent(rel)?;
        mknodat(&dir, last.as_os_str(), kind, Mode::from_bits_truncate(mode), device)
            .map_err(|e| Error::call("make the device node", self.name(rel), e))?;
        self.chmod(rel, mode)
    }

    /// Sets the owner of the name itself; a link is changed, not followed.
    pub fn chown(&self, rel: impl AsRef<Path>, owner: Owner) -> Result<(), Error> {
        let rel = rel.as_ref();
        let object = self.itself(rel)?;
        chown_fd(&object, Some(owner)).map_err(|e| Error::call("set the owner of", self.name(rel), e))
    }

    /// Sets the mode of a file, directory or node. Fails on a symbolic link, which has none.
    pub fn chmod(&self, rel: impl AsRef<Path>, mode: u32) -> Result<(), Error> {
        let rel = rel.as_ref();
        let object = self.itself(rel)?;
        chmod_fd(&object, mode).map_err(|e| Error::call("set the mode of", self.name(rel), e))
    }

    /// Gives an object a new name in the same tree, replacing what has that name.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), Error> {
        let (from, to) = (from.as_ref(), to.as_ref());
        let (from_dir, from_last) = self.parent(from)?;
        let (to_dir, to_last) = self.parent(to)?;
        renameat(&from_dir, from_last.as_os_str(), &to_dir, to_last.as_os_str())
            .map_err(|e| Error::call("rename", self.name(from), e))
    }

    /// Removes a name that is not a directory; it is no error if there is none.
    pub fn remove_file(&self, rel: impl AsRef<Path>) -> Result<(), Error> {
        let rel = rel.as_ref();
        let (dir, last) = match self.parent(rel) {
            Err(e) if e.is_not_found() => return Ok(()),
            found => found?,
        };
        match unlinkat(&dir, last.as_os_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(e) => Err(Error::call("remove", self.name(rel), e)),
        }
    }

    /// The directory that holds `rel`, opened for changes, and the last component.
    pub(crate) fn parent(&self, rel: &Path) -> Result<(OwnedFd, std::ffi::OsString), Error> {
        let (parent, last) = lookup::split(rel)?;
        Ok((self.open_dir_for_change(parent)?, last))
    }

    fn itself(&self, rel: &Path) -> Result<OwnedFd, Error> {
        let (dir, last) = self.parent(rel)?;
        // O_PATH with O_NOFOLLOW yields the link itself, which RESOLVE_NO_SYMLINKS lets through in the last place.
        lookup::beneath(&dir, Path::new(&last), OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)
            .map_err(|e| Error::call("find", self.name(rel), e))
    }

    /// A new file beside the one that it will replace. A guest that guesses the name gains nothing: `O_EXCL`.
    fn temporary(&self, dir: &OwnedFd, rel: &Path) -> Result<(File, String), Error> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        loop {
            let name = format!(".vs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            match lookup::beneath(dir, Path::new(&name), flags, 0o600) {
                Ok(file) => return Ok((File::from(file), name)),
                Err(Errno::EEXIST) => {}
                Err(e) => return Err(Error::call("write", self.name(rel), e)),
            }
        }
    }
}

/// Enters the directory `part` of `dir`, making it if it is missing.
fn step(dir: &OwnedFd, part: &OsStr, mode: u32) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    match lookup::beneath(dir, Path::new(part), flags, 0) {
        Err(Errno::ENOENT) => {}
        found => return found,
    }
    match mkdirat(dir, part, Mode::from_bits_truncate(mode)) {
        Ok(()) => {
            let made = lookup::beneath(dir, Path::new(part), flags, 0)?;
            fchmod(&made, Mode::from_bits_truncate(mode))?;
            Ok(made)
        }
        Err(Errno::EEXIST) => lookup::beneath(dir, Path::new(part), flags, 0),
        Err(e) => Err(e),
    }
}

fn chown_fd(object: impl AsFd, owner: Option<Owner>) -> std::io::Result<()> {
    let Some(Owner { uid, gid }) = owner else { return Ok(()) };
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(fchownat(object, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH | AtFlags::AT_SYMLINK_NOFOLLOW)?)
}

/// chmod(2) of an `O_PATH` descriptor: fchmod(2) refuses those, and fchmodat2(2) came with Linux 6.6.
fn chmod_fd(object: impl AsFd, mode: u32) -> std::io::Result<()> {
    std::fs::set_permissions(lookup::by_descriptor(object), Permissions::from_mode(mode & 0o7777))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn tree() -> (tempfile::TempDir, GuestRoot) {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(base.path().join("root/etc")).unwrap();
        std::fs::create_dir(base.path().join("canary")).unwrap();
        let root = GuestRoot::open(&base.path().join("root")).unwrap();
        (base, root)
    }

    #[test]
    fn a_link_is_replaced_and_its_target_is_left_alone() {
        let (base, root) = tree();
        let canary = base.path().join("canary/hosts");
        std::fs::write(&canary, "host").unwrap();
        symlink(&canary, base.path().join("root/etc/hosts")).unwrap();
        root.write_atomic("/etc/hosts", b"guest", 0o640, Some(Owner { uid: 7, gid: 8 })).unwrap();
        assert_eq!(std::fs::read(&canary).unwrap(), b"host");
        let made = std::fs::symlink_metadata(base.path().join("root/etc/hosts")).unwrap();
        assert_eq!((made.mode() & 0o7777, made.uid(), made.gid(), made.is_file()), (0o640, 7, 8, true));
        assert_eq!(root.list("etc").unwrap(), ["hosts"]);
    }

    #[test]
    fn a_linked_directory_on_the_way_is_refused_by_every_change() {
        let (base, root) = tree();
        symlink(base.path().join("canary"), base.path().join("root/d")).unwrap();
        assert!(matches!(root.write_atomic("d/x", b"", 0o644, None).unwrap_err(), Error::Symlink { .. }));
        assert!(root.create_dir_all("d/e", 0o755).is_err());
        assert!(root.symlink("t", "d/x").is_err());
        assert!(root.create_file("d/x", 0o644).is_err());
        assert!(root.mknod("d/x", SFlag::S_IFIFO, 0o600, 0).is_err());
        assert!(root.chmod("d", 0o777).is_err());
        root.chown("d", Owner { uid: 5, gid: 5 }).unwrap();
        assert_eq!(std::fs::read_dir(base.path().join("canary")).unwrap().count(), 0);
        assert_eq!(std::fs::metadata(base.path().join("canary")).unwrap().uid(), 0);
        assert!(matches!(root.create_dir_all("../x", 0o755).unwrap_err(), Error::BadName { .. }));
    }

    #[test]
    fn directories_and_nodes_get_the_mode_that_was_asked_for() {
        let (base, root) = tree();
        root.create_dir_all("a/b", 0o1777).unwrap();
        root.create_dir_all("a/b/c", 0o700).unwrap();
        root.mknod("a/null", SFlag::S_IFCHR, 0o666, nix::sys::stat::makedev(1, 3)).unwrap();
        let mode = |name: &str| std::fs::metadata(base.path().join("root").join(name)).unwrap().mode() & 0o7777;
        assert_eq!((mode("a/b"), mode("a/b/c"), mode("a/null")), (0o1777, 0o700, 0o666));
    }
}
