//! Looking into a guest's tree: links resolve as inside the guest, and no device, FIFO or socket is ever opened.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::{OFlag, readlinkat};
use nix::sys::stat::{FileStat, fstat};

use super::{GuestRoot, Kind};
use crate::{Error, lookup};

impl GuestRoot {
    /// An `O_PATH` descriptor of whatever `rel` names, links followed: to look at it, or as a mount's target.
    pub fn find(&self, rel: impl AsRef<Path>) -> Result<OwnedFd, Error> {
        let rel = rel.as_ref();
        lookup::inside(self, rel, OFlag::O_PATH).map_err(|e| Error::call("find", self.name(rel), e))
    }

    /// A directory to read, links followed.
    pub fn open_dir(&self, rel: impl AsRef<Path>) -> Result<OwnedFd, Error> {
        let rel = rel.as_ref();
        lookup::inside(self, rel, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
            .map_err(|e| Error::call("open the directory", self.name(rel), e))
    }

    /// A regular file to read, links followed. Nothing else is opened, so it neither blocks nor has a side effect.
    pub fn open_file(&self, rel: impl AsRef<Path>) -> Result<File, Error> {
        self.open_regular(rel.as_ref(), OpenOptions::new().read(true))
    }

    fn open_regular(&self, rel: &Path, options: &mut OpenOptions) -> Result<File, Error> {
        let found = self.find(rel)?;
        if self.stat_of(&found, rel)?.1 != Kind::File {
            return Err(Error::WrongKind { object: self.name(rel), wanted: "regular file" });
        }
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        options
            .custom_flags(flags.bits())
            .open(lookup::by_descriptor(&found))
            .map_err(|e| Error::call("open", self.name(rel), e))
    }

    /// Adds to a regular file that is there, links followed.
    pub fn append(&self, rel: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
        let rel = rel.as_ref();
        let file = self.open_regular(rel, OpenOptions::new().append(true))?;
        (&file).write_all(bytes).map_err(|e| Error::call("write", self.name(rel), e))
    }

    /// The content of a regular file of at most `max` bytes, links followed.
    pub fn read(&self, rel: impl AsRef<Path>, max: u64) -> Result<Vec<u8>, Error> {
        let rel = rel.as_ref();
        let mut bytes = Vec::new();
        let file = self.open_file(rel)?;
        file.take(max + 1).read_to_end(&mut bytes).map_err(|e| Error::call("read", self.name(rel), e))?;
        if bytes.len() as u64 > max {
            return Err(Error::TooLarge { object: self.name(rel), max });
        }
        Ok(bytes)
    }

    /// What `rel` names, links followed; `None` if it leads nowhere (a link may dangle or turn in a circle).
    pub fn kind(&self, rel: impl AsRef<Path>) -> Result<Option<Kind>, Error> {
        let rel = rel.as_ref();
        match self.find(rel) {
            Ok(found) => Ok(Some(self.stat_of(&found, rel)?.1)),
            Err(Error::Symlink { .. }) => Ok(None),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether `rel` leads to anything.
    pub fn exists(&self, rel: impl AsRef<Path>) -> Result<bool, Error> {
        Ok(self.kind(rel)?.is_some())
    }

    /// Whether `rel` leads to a regular file that somebody may execute.
    pub fn is_executable(&self, rel: impl AsRef<Path>) -> Result<bool, Error> {
        let rel = rel.as_ref();
        if self.kind(rel)? != Some(Kind::File) {
            return Ok(false);
        }
        let (stat, kind) = self.stat_of(&self.find(rel)?, rel)?;
        Ok(kind == Kind::File && stat.st_mode & 0o111 != 0)
    }

    /// `stat(2)` of the name itself: a link in the last place is not followed.
    pub fn metadata(&self, rel: impl AsRef<Path>) -> Result<FileStat, Error> {
        let rel = rel.as_ref();
        Ok(self.stat_of(&self.find_itself(rel)?, rel)?.0)
    }

    /// Where a symbolic link points to, as it is written in it.
    pub fn readlink(&self, rel: impl AsRef<Path>) -> Result<PathBuf, Error> {
        let rel = rel.as_ref();
        let link = self.find_itself(rel)?;
        readlinkat(link, "").map(PathBuf::from).map_err(|e| Error::call("read the link", self.name(rel), e))
    }

    /// The names in a directory, sorted, without `.` and `..`.
    pub fn list(&self, rel: impl AsRef<Path>) -> Result<Vec<OsString>, Error> {
        let rel = rel.as_ref();
        let failed = |e: nix::Error| Error::call("list", self.name(rel), e);
        let mut names = Vec::new();
        for entry in Dir::from_fd(self.open_dir(rel)?).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
            if !lookup::is_dot(name) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn find_itself(&self, rel: &Path) -> Result<OwnedFd, Error> {
        lookup::inside(self, rel, OFlag::O_PATH | OFlag::O_NOFOLLOW)
            .map_err(|e| Error::call("find", self.name(rel), e))
    }

    fn stat_of(&self, fd: &OwnedFd, rel: &Path) -> Result<(FileStat, Kind), Error> {
        let stat = fstat(fd).map_err(|e| Error::call("look at", self.name(rel), e))?;
        Ok((stat, Kind::of(stat.st_mode)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> (tempfile::TempDir, GuestRoot) {
        let base = tempfile::tempdir().unwrap();
        let at = |name: &str| base.path().join("root").join(name);
        std::fs::create_dir_all(at("usr/bin")).unwrap();
        std::fs::write(base.path().join("secret"), "host").unwrap();
        std::fs::write(at("usr/bin/init"), "#!").unwrap();
        std::fs::set_permissions(at("usr/bin/init"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        symlink("usr/bin", at("sbin")).unwrap();
        symlink("/usr/bin/init", at("usr/bin/absolute")).unwrap();
        symlink("../../../../../secret", at("up")).unwrap();
        symlink("/proc/self/cwd", at("magic")).unwrap();
        symlink("loop", at("loop")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let root = GuestRoot::open(&base.path().join("root")).unwrap();
        (base, root)
    }

    #[test]
    fn links_resolve_as_inside_the_guest() {
        let (_base, root) = tree();
        assert!(root.is_executable("/sbin/init").unwrap());
        assert!(root.is_executable("sbin/absolute").unwrap());
        assert_eq!(root.read("/sbin/absolute", 10).unwrap(), b"#!");
        assert_eq!(root.readlink("sbin").unwrap(), Path::new("usr/bin"));
        assert_eq!(root.list("sbin").unwrap(), ["absolute", "init"]);
    }

    #[test]
    fn nothing_outside_can_be_seen() {
        let (_base, root) = tree();
        for name in ["up", "magic", "../secret", "/../secret", "loop"] {
            assert_eq!(root.kind(name).unwrap(), None, "{name}");
            assert!(root.read(name, 100).is_err(), "{name}");
        }
    }

    #[test]
    fn only_regular_files_are_opened_and_only_up_to_the_limit() {
        let (_base, root) = tree();
        assert!(matches!(root.read("fifo", 10).unwrap_err(), Error::WrongKind { .. }));
        assert!(matches!(root.read("usr", 10).unwrap_err(), Error::WrongKind { .. }));
        assert!(matches!(root.read("usr/bin/init", 1).unwrap_err(), Error::TooLarge { max: 1, .. }));
    }
}
