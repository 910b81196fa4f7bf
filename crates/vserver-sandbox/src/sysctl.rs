//! `/proc/sys` of the guest's own namespaces. The file that is opened belongs to the namespaces of whoever opens it.

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{Uid, seteuid, write};

use crate::error::{Result, Step};

/// Writes each value, as a process of the guest's namespaces that has the host's procfs. Kernels differ in whom they let
/// do it: the host's root, or (since Linux 6.9) the root of the namespace's user namespace.
pub fn write_all(settings: &[(String, String)], host_proc: BorrowedFd<'_>) -> Result<()> {
    for (name, value) in settings {
        let path = format!("sys/{name}");
        let open = || openat(host_proc, path.as_str(), OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty());
        let file = match open() {
            // There is no way back to an id that is not mapped, and none is needed: this is who the guest begins as.
            Err(Errno::EACCES | Errno::EPERM) => seteuid(Uid::from_raw(0)).and_then(|()| open()),
            found => found,
        };
        let file = file.step(|| format!("open /proc/{path} (sysctl/)"))?;
        write(&file, value.as_bytes()).step(|| format!("write '{}' to /proc/{path} (sysctl/)", value.trim_end()))?;
    }
    Ok(())
}
