//! Mount targets inside a guest: found without following a symbolic link and without leaving the root.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use crate::error::{Result, Step};

/// The object at `path` below `root`, as an `O_PATH` descriptor. A symbolic link anywhere on the way is an error.
/// openat2(2), Linux 5.6.
pub fn target(root: impl AsFd, path: &str) -> Result<OwnedFd> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW).resolve(
        ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS,
    );
    let relative = path.trim_start_matches('/');
    openat2(root, if relative.is_empty() { "." } else { relative }, how)
        .step(|| format!("reach /{relative} in the guest's tree without following a symbolic link"))
}

/// The root directory of this process, as an `O_PATH` descriptor.
pub fn own_root() -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open("/", flags, Mode::empty()).step(|| "open the root directory".to_owned())
}
