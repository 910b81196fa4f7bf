//! sethostname(2) and setdomainname(2) of a guest that does not govern its UTS namespace (ccapability `set_utsname`).

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;
use nix::unistd::sethostname;
use vserver_sys::process;
use vserver_sys::seccomp::{self, Answer, Asked};

use super::caller::effective_user;
use super::memory::read;

/// Longest name, bytes: `__NEW_UTS_LEN` of `linux/utsname.h`.
const LONGEST: usize = 64;

/// Of a system's two names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// uname's node name.
    Host,
    /// The NIS domain.
    Domain,
}

/// Sets it in the caller's UTS namespace.
pub(super) fn set(which: Which, base: u32, listener: BorrowedFd<'_>, asked: &Asked) -> Answer {
    match try_set(which, base, listener, asked) {
        Ok(()) => Answer::Done,
        Err(errno) => Answer::Failed(errno as i32),
    }
}

fn try_set(which: Which, base: u32, listener: BorrowedFd<'_>, asked: &Asked) -> nix::Result<()> {
    // VServer asked for CAP_SYS_ADMIN in the process's own set, which the bounding set did not take from the guest's root.
    if effective_user(asked.pid) != Some(base) {
        return Err(Errno::EPERM);
    }
    let length = usize::try_from(asked.arguments[1] as i32).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(Errno::EINVAL);
    }
    let mut name = [0; LONGEST];
    let name = &mut name[..length];
    read(asked.pid, asked.arguments[0], name)?;
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let namespace = open(format!("/proc/{}/ns/uts", asked.pid).as_str(), flags, Mode::empty())?;
    // The pid was its own all the time if it still waits.
    if !seccomp::still_waits(listener, asked.id) {
        return Err(Errno::ESRCH);
    }
    setns(namespace, CloneFlags::CLONE_NEWUTS)?;
    match which {
        Which::Host => sethostname(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name)),
        Which::Domain => {
            process::set_domain_name(name).map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
        }
    }
}
