//! Places to mount on in a guest's tree. Unlike other changes they may lie on what is mounted already, and links are
//! followed as in the guest, which `..` and an absolute link do not lead out of.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, mkdirat};

use super::GuestRoot;
use crate::Error;

/// Most links on the way. Source: path_resolution(7).
const MAX_LINKS: usize = 40;

impl GuestRoot {
    /// `target` without links, relative to the root.
    ///
    /// # Errors
    /// [`Error::Escape`] if it climbs above the root, or goes through a link that leads to nothing in this tree.
    pub fn place(&self, target: impl AsRef<Path>) -> Result<PathBuf, Error> {
        let escape = || Error::Escape { object: self.name(target.as_ref()) };
        let mut todo = VecDeque::new();
        push(&mut todo, target.as_ref());
        let (mut here, mut links) = (PathBuf::new(), 0);
        while let Some(part) = todo.pop_front() {
            if part == ".." {
                here.pop().then_some(()).ok_or_else(escape)?;
                continue;
            }
            let next = here.join(&part);
            match self.readlink(&next) {
                Ok(text) if links < MAX_LINKS && self.kind(&next)?.is_some() => {
                    links += 1;
                    if text.is_absolute() {
                        here.clear();
                    }
                    push(&mut todo, &text);
                }
                Ok(_) => return Err(escape()),
                Err(_) => here = next,
            }
        }
        Ok(here)
    }

    /// An `O_PATH` descriptor of a place that [`Self::place`] gave; what is missing is made, its last part a directory
    /// or, with `file`, an empty file.
    pub fn mount_point(&self, place: &Path, file: bool) -> Result<OwnedFd, Error> {
        let failed = |errno| Error::call("make the mount point", self.name(place), errno);
        let mut here = across(self, Path::new("."), OFlag::O_PATH | OFlag::O_DIRECTORY, 0).map_err(failed)?;
        let mut parts = place.components().peekable();
        while let Some(part) = parts.next() {
            let part = Path::new(part.as_os_str());
            let last_is_file = file && parts.peek().is_none();
            here = match across(&here, part, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0) {
                Err(Errno::ENOENT) if last_is_file => {
                    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
                    across(&here, part, flags, 0o644).map_err(failed)?
                }
                Err(Errno::ENOENT) => {
                    mkdirat(&here, part, Mode::from_bits_truncate(0o755)).map_err(failed)?;
                    across(&here, part, OFlag::O_PATH | OFlag::O_DIRECTORY, 0).map_err(failed)?
                }
                found => found.map_err(failed)?,
            };
        }
        Ok(here)
    }
}

fn push(todo: &mut VecDeque<OsString>, path: &Path) {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    });
    for part in parts.collect::<Vec<_>>().into_iter().rev() {
        todo.push_front(part);
    }
}

/// openat2(2) through no link, but onto what is mounted.
fn across(dir: impl AsFd, rel: &Path, flags: OFlag, mode: u32) -> nix::Result<OwnedFd> {
    let rules = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).mode(Mode::from_bits_truncate(mode)).resolve(rules);
    openat2(dir, rel, how)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_as_inside_and_may_not_lead_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root");
        std::fs::create_dir_all(path.join("run/lock")).unwrap();
        std::fs::create_dir_all(path.join("var")).unwrap();
        for (text, link) in [
            ("/run", "var/run"),
            ("../run/lock", "var/lock"),
            ("../../..", "var/up"),
            ("/outside", "var/out"),
            ("b", "a"),
            ("a", "b"),
        ] {
            symlink(text, path.join(link)).unwrap();
        }
        let root = GuestRoot::open(&path).unwrap();
        assert_eq!(root.place("/var/run").unwrap(), Path::new("run"));
        assert_eq!(root.place("/var/lock").unwrap(), Path::new("run/lock"));
        assert_eq!(root.place("/srv/new").unwrap(), Path::new("srv/new"));
        assert_eq!(root.place("/var/run/new").unwrap(), Path::new("run/new"));
        for bad in ["/var/up", "/var/out", "/a", "/../x"] {
            assert!(matches!(root.place(bad), Err(Error::Escape { .. })), "{bad}");
        }
        root.mount_point(Path::new("srv/new"), false).unwrap();
        root.mount_point(Path::new("etc/app.conf"), true).unwrap();
        assert!(path.join("srv/new").is_dir() && path.join("etc/app.conf").is_file());
        assert!(root.mount_point(Path::new("var/run/x"), false).is_err(), "a link is not followed any more");
    }
}
