//! Files that tell of the guest itself, laid over those of `/proc` and `/sys` that tell of the host.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use vserver_sys::mount;

use crate::beneath;
use crate::blueprint::View;
use crate::error::{Error, Result, Step};

/// Directories of `/sys` that lead to the lists of processors.
pub(crate) const CPU_DIRECTORIES: [&str; 3] = ["devices", "devices/system", "devices/system/cpu"];
/// Lists of processors there. All that a guest has are there and run.
pub(crate) const CPU_LISTS: [&str; 3] = ["online", "possible", "present"];

impl View {
    /// Mounts the directory where `/proc` is going to be, which hides it: a part of a mount can be copied only once the mount
    /// is attached (before Linux 6.15).
    pub(crate) fn attach(&self) -> Result<()> {
        let root = beneath::own_root()?;
        mount::attach(self.files.as_fd(), beneath::target(&root, "proc")?.as_fd())
            .step(|| "mount the guest's own files".to_owned())
    }

    /// Whether it has a file for `/proc/NAME`.
    pub(crate) fn covers(&self, name: &str) -> bool {
        self.proc.contains(&name)
    }

    /// Lays file `name` over `target`.
    pub(crate) fn cover(&self, name: &str, target: BorrowedFd<'_>, shown: &str) -> Result<()> {
        let path = CString::new(name).unwrap_or_default();
        let copy =
            mount::clone_tree(self.files.as_fd(), &path, false).map_err(|source| match source.raw_os_error() {
                Some(number) if number == Errno::ENOTCONN as i32 => {
                    let what = "the server of the guest's own /proc (vserver-view) has ended at its start";
                    Error::Step { step: format!("mount on {shown}: {what}"), source }
                }
                _ => Error::Step { step: format!("find the guest's own {name}"), source },
            })?;
        mount::attach(copy.as_fd(), target).step(|| format!("mount on {shown}"))
    }
}
