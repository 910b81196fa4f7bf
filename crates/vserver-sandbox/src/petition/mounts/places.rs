//! Where a caller is, and what its words mean there. They are looked up by a child that has become the guest's root in the
//! caller's namespaces, root and working directory: it reaches what the guest reaches, links lead where they lead in the guest,
//! and what is mounted is opened as the guest opens it, a device by the mode of its node and the guest's device policy.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{Mode, SFlag, fstat, stat};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Gid, Pid, Uid, chroot, fchdir, setgroups, setresgid, setresuid};
use vserver_sys::process::{self, Forked, SingleThreaded};

use super::super::caller::number_of;
use super::super::{Guest, channel, hear, place_of, tell};
use super::Wish;
use crate::birth::enter_v1;

/// Where a caller is.
#[derive(Debug)]
pub(in super::super) struct Caller {
    pub users: OwnedFd,
    mounts: OwnedFd,
    root: OwnedFd,
    directory: OwnedFd,
}

/// What a call speaks of.
#[derive(Debug)]
pub(super) struct Places {
    /// Open: a file or a device.
    pub source: OwnedFd,
    /// For writing, too.
    pub writable: bool,
    /// A directory, by its path only.
    pub target: OwnedFd,
}

impl Caller {
    /// Of the thread `pid`, which may have ended.
    pub fn of(pid: i32) -> nix::Result<Self> {
        Ok(Self {
            users: open_of(pid, "ns/user", OFlag::O_RDONLY)?,
            mounts: open_of(pid, "ns/mnt", OFlag::O_RDONLY)?,
            // By their paths only: they may be of a file system that a process of the guest's serves.
            root: open_of(pid, "root", OFlag::O_PATH)?,
            directory: open_of(pid, "cwd", OFlag::O_PATH)?,
        })
    }

    /// Whether it is in the user namespace of process `init`, not in one that somebody in the guest made.
    pub fn is_in_namespace_of(&self, init: i32) -> nix::Result<bool> {
        let (own, guests) = (fstat(&self.users)?, fstat(open_of(init, "ns/user", OFlag::O_RDONLY)?)?);
        Ok((own.st_dev, own.st_ino) == (guests.st_dev, guests.st_ino))
    }

    /// This process sees what the caller sees, by the same names.
    pub fn go_there(&self) -> nix::Result<()> {
        setns(&self.mounts, CloneFlags::CLONE_NEWNS)?;
        fchdir(&self.root)?;
        chroot(".")?;
        fchdir(&self.directory)
    }

    /// For good: of the host's rights nothing is left.
    pub fn become_its_root(&self) -> nix::Result<()> {
        setns(&self.users, CloneFlags::CLONE_NEWUSER)?;
        self.go_there()?;
        let (user, group) = (Uid::from_raw(0), Gid::from_raw(0));
        setgroups(&[])?;
        setresgid(group, group, group)?;
        setresuid(user, user, user)
    }
}

/// Something of a process's in `/proc`.
fn open_of(pid: i32, what: &str, way: OFlag) -> nix::Result<OwnedFd> {
    open(format!("/proc/{pid}/{what}").as_str(), way | OFlag::O_CLOEXEC, Mode::empty())
}

/// What `wish` speaks of, for the caller `pid`.
pub(super) fn find(
    token: SingleThreaded,
    guest: &Guest<'_>,
    caller: &Caller,
    wish: &Wish,
    pid: i32,
) -> nix::Result<Places> {
    let (hears, tells) = channel().map_err(number_of)?;
    let place = place_of(guest, pid).map_err(|_| Errno::EPERM)?;
    let Forked::Parent(child) = process::fork_into(token, place.as_ref().map(AsFd::as_fd), 0).map_err(number_of)?
    else {
        let told = look(guest, caller, wish).and_then(|(source, target)| {
            tell(tells.as_fd(), source.as_fd())?;
            tell(tells.as_fd(), target.as_fd())
        });
        process::exit_now(told.err().map_or(0, |errno| errno as i32))
    };
    match waitpid(Pid::from_raw(child), None)? {
        WaitStatus::Exited(_, 0) => {}
        WaitStatus::Exited(_, errno) => return Err(Errno::from_raw(errno)),
        _ => return Err(Errno::EIO),
    }
    let source = hear(hears.as_fd()).ok_or(Errno::EIO)?;
    let target = hear(hears.as_fd()).ok_or(Errno::EIO)?;
    let way = fcntl(&source, FcntlArg::F_GETFL)? & OFlag::O_ACCMODE.bits();
    Ok(Places { source, writable: way == OFlag::O_RDWR.bits(), target })
}

fn look(guest: &Guest<'_>, caller: &Caller, wish: &Wish) -> nix::Result<(OwnedFd, OwnedFd)> {
    enter_v1(guest.doors).map_err(|_| Errno::EPERM)?;
    caller.become_its_root()?;
    let source = wish.source.as_c_str();
    let access = |way| open(source, way | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC, Mode::empty());
    let opened = match SFlag::from_bits_truncate(stat(source)?.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFBLK if !guest.disks => Err(Errno::EPERM),
        SFlag::S_IFBLK => match access(OFlag::O_RDWR) {
            Err(Errno::EPERM | Errno::EACCES | Errno::EROFS) if wish.read_only => access(OFlag::O_RDONLY),
            opened => opened,
        },
        SFlag::S_IFREG if guest.images => access(if wish.read_only { OFlag::O_RDONLY } else { OFlag::O_RDWR }),
        _ => Err(Errno::ENOTBLK),
    }?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok((opened, open(wish.target.as_c_str(), flags, Mode::empty())?))
}
