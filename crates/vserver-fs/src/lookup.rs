//! The two ways to resolve a name: openat2(2), Linux 5.6.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;

use crate::Error;

/// The kernel answers `EAGAIN` when a rename elsewhere made its check of `..` uncertain; it asks to try again.
const RETRIES: u32 = 128;

/// Resolves as a process inside the guest would: links count from the root, `..` ends at the root.
pub(crate) fn inside(root: impl AsFd, rel: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
    let rel = if rel.as_os_str().is_empty() { Path::new(".") } else { rel };
    resolve(root, rel, flags, Mode::empty(), ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS)
}

/// openat2(2) below `dir` without any link, mount or way out: for changes. The empty name is `dir` itself; `mode` counts
/// only with `O_CREAT`. `ELOOP` says that there is a link, `EXDEV` that there is a mount.
pub fn beneath(dir: impl AsFd, rel: &Path, flags: OFlag, mode: u32) -> nix::Result<OwnedFd> {
    let rel = if rel.as_os_str().is_empty() { Path::new(".") } else { rel };
    let rules = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS
        | ResolveFlag::RESOLVE_NO_XDEV;
    resolve(dir, rel, flags, Mode::from_bits_truncate(mode), rules)
}

fn resolve(dir: impl AsFd, rel: &Path, flags: OFlag, mode: Mode, rules: ResolveFlag) -> nix::Result<OwnedFd> {
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).mode(mode).resolve(rules);
    let mut tries = 0;
    loop {
        match openat2(&dir, rel, how) {
            Err(Errno::EAGAIN | Errno::EINTR) if tries < RETRIES => tries += 1,
            result => return result,
        }
    }
}

/// A name as it can be used for a change: leading `/` and `.` components dropped, `..` refused.
pub fn relative(name: &Path) -> Result<PathBuf, Error> {
    let mut clean = PathBuf::new();
    for component in name.components() {
        match component {
            Component::Normal(part) if !part.as_bytes().contains(&0) => clean.push(part),
            Component::RootDir | Component::CurDir => {}
            _ => return Err(Error::BadName { name: name.to_owned() }),
        }
    }
    Ok(clean)
}

/// The directory part and the last component of a name below a root. Refuses `..` and the root itself.
pub fn split(name: &Path) -> Result<(PathBuf, OsString), Error> {
    let clean = relative(name)?;
    match (clean.parent(), clean.file_name()) {
        (Some(parent), Some(last)) => Ok((parent.to_owned(), last.to_owned())),
        _ => Err(Error::BadName { name: name.to_owned() }),
    }
}

/// The path through which the object behind a descriptor can be named again, whatever happens to its names.
/// It needs the host's `/proc`, which is under nobody's control but the host's.
pub(crate) fn by_descriptor(fd: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

/// Whether a directory entry is `.` or `..`.
pub(crate) fn is_dot(name: &OsStr) -> bool {
    name == "." || name == ".."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_their_slash_and_may_not_climb() {
        assert_eq!(relative(Path::new("/etc/./hosts")).unwrap(), Path::new("etc/hosts"));
        assert!(relative(Path::new("etc/../../x")).is_err());
        assert_eq!(split(Path::new("/etc/hosts")).unwrap(), (PathBuf::from("etc"), OsString::from("hosts")));
        assert_eq!(split(Path::new("hosts")).unwrap(), (PathBuf::new(), OsString::from("hosts")));
        assert!(split(Path::new("/")).is_err());
    }
}
