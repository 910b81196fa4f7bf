//! A guest's root directory as a descriptor.

mod change;
mod inspect;
mod mount_point;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::{SFlag, fstat, stat};

use crate::{Error, lookup};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link (only where the last component is not followed).
    Symlink,
    /// A FIFO, a socket or a device node.
    Special,
}

impl Kind {
    /// The kind in the mode field of `stat(2)`.
    pub(crate) fn of(mode: u32) -> Self {
        match SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFREG => Self::File,
            SFlag::S_IFDIR => Self::Directory,
            SFlag::S_IFLNK => Self::Symlink,
            _ => Self::Special,
        }
    }
}

/// Numeric user and group of a file, as they stand on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Owner {
    /// The guest's root: files on disk keep their natural owners, also for a guest with a user namespace.
    pub const ROOT: Owner = Owner { uid: 0, gid: 0 };
}

/// The root directory of a guest, opened once and held; it stays the same directory whatever becomes of its path.
#[derive(Debug)]
pub struct GuestRoot {
    fd: OwnedFd,
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl GuestRoot {
    /// Opens the guest's root at `path`, an absolute path of the host.
    ///
    /// The directory that holds it belongs to the administrator and is found in the ordinary way; the root itself may
    /// not be a symbolic link, because whoever can exchange it would exchange the guest. The host's own root is refused.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let parent = path.parent().ok_or_else(|| Error::HostRoot { path: path.to_owned() })?;
        let last = path.file_name().ok_or_else(|| Error::BadName { name: path.to_owned() })?;
        let base = File::open(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
            .map_err(|e| Error::call("open", parent.display().to_string(), e))?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = nix::fcntl::openat(&base, last, flags, nix::sys::stat::Mode::empty()).map_err(|e| {
            // With O_DIRECTORY the kernel says "not a directory" of a link, which would mislead.
            let link = std::fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink());
            let errno = if link { nix::errno::Errno::ELOOP } else { e };
            Error::call("open the guest's root", &name, errno)
        })?;
        Self::of(fd, path)
    }

    /// The one behind a descriptor of a directory; `path` is for messages.
    pub fn of(fd: OwnedFd, path: &Path) -> Result<Self, Error> {
        let found = fstat(&fd).map_err(|e| Error::call("look at", path.display().to_string(), e))?;
        let host = stat("/").map_err(|e| Error::call("look at", "/", e))?;
        if (found.st_dev, found.st_ino) == (host.st_dev, host.st_ino) {
            return Err(Error::HostRoot { path: path.to_owned() });
        }
        Ok(Self { fd, path: path.to_owned(), device: found.st_dev, inode: found.st_ino })
    }

    /// Device and inode number of the directory: what to remember, to know it again.
    pub fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// The path that it was opened by, for messages. Never join anything to it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A second handle of the same directory.
    pub fn try_clone(&self) -> Result<Self, Error> {
        let fd = self.fd.try_clone().map_err(|e| Error::call("duplicate", self.path.display().to_string(), e))?;
        Ok(Self { fd, path: self.path.clone(), device: self.device, inode: self.inode })
    }

    /// A directory for changes in it: no link, no mount on the way. The empty name is the root itself.
    pub fn open_dir_for_change(&self, rel: impl AsRef<Path>) -> Result<OwnedFd, Error> {
        let rel = lookup::relative(rel.as_ref())?;
        lookup::beneath(&self.fd, &rel, OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0)
            .map_err(|e| Error::call("open the directory", self.name(&rel), e))
    }

    /// How a name in this tree is called in messages.
    pub(crate) fn name(&self, rel: &Path) -> String {
        format!("{} below {}", rel.display().to_string().escape_debug(), self.path.display())
    }
}

impl AsFd for GuestRoot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_place_of_the_root_is_refused_and_so_is_the_hosts_root() {
        let base = tempfile::tempdir().unwrap();
        let link = base.path().join("t1");
        std::os::unix::fs::symlink("/", &link).unwrap();
        let error = GuestRoot::open(&link).unwrap_err();
        assert!(matches!(error, Error::Symlink { .. }), "{error}");
        assert!(matches!(GuestRoot::open(Path::new("/")).unwrap_err(), Error::HostRoot { .. }));
        assert!(GuestRoot::open(&base.path().join("none")).unwrap_err().is_not_found());
    }

    #[test]
    fn it_stays_the_same_directory_when_its_name_changes() {
        let base = tempfile::tempdir().unwrap();
        let (a, b) = (base.path().join("a"), base.path().join("b"));
        std::fs::create_dir(&a).unwrap();
        let root = GuestRoot::open(&a).unwrap();
        std::fs::rename(&a, &b).unwrap();
        std::fs::create_dir(&a).unwrap();
        root.write_atomic("x", b"1", 0o644, None).unwrap();
        assert!(b.join("x").exists() && !a.join("x").exists());
        assert_ne!(GuestRoot::open(&a).unwrap().identity(), root.identity());
    }
}
