//! Petitions: calls that the kernel would refuse to a guest, or execute in a way that is of no use to it, and that VServer
//! allowed. The second of [`crate::seccomp::filters`] lets them wait, and the guest's supervisor answers.
//!
//! ```text
//!  guest's process ── call ─► kernel ── listener ─► supervisor ── forks ─► helper, in the caller's cgroup
//!        ▲                                                                    │ does it, or nothing
//!        └──────────────────────── answer: done, failed, or "go on" ◄─────────┘
//! ```
//!
//! A helper does one thing for one call and ends. It has the host's rights, no descriptor of the guest's, and reads of the
//! caller a few names or limits at most, whose copy is what counts. Whatever it cannot do, the kernel is left to answer as if nobody
//! had been asked, or it is refused ([`without_help`]). A guest without petitions has neither listener nor descriptors for them.
//!
//! Netlink sockets of a guest that is to see its own addresses only ([`netlink`]) the supervisor makes itself: programs ask for
//! one whenever they look up a name. So it answers whether the guest may have a process more ([`forks`]).

mod caller;
pub mod forks;
mod limits;
mod loops;
mod memory;
mod mounts;
mod names;
pub mod netlink;
mod ping;
mod quotas;
mod sysinfo;
mod udplite;

use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, recvmsg, sendmsg,
    socketpair,
};
use vserver_sys::fd;
use vserver_sys::process::{self, Forked, SingleThreaded};
use vserver_sys::seccomp::{self, Answer, Asked};
use vserver_types::Ulimit;

pub use caller::hand_over;

use crate::beneath;
use crate::blueprint::Doors;
use crate::error::{Result, Step};
use crate::seccomp::Program;

/// Two ends of a way for listeners: the supervisor hears on the first, without waiting, and its children tell on the second.
pub fn channel() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

/// Installs the filter in the calling process, for it and all that it starts, and hands its listener on. Where a filter
/// with a listener holds this process already there is no second one, and the kernel answers.
pub(crate) fn ask(program: &Program, petitions: BorrowedFd<'_>) -> Result<()> {
    let listener = match seccomp::install_with_listener(&program.instructions) {
        Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => return Ok(()),
        installed => installed.step(|| "have calls answered by the supervisor".to_owned())?,
    };
    tell(petitions, listener.as_fd()).step(|| "hand the listener to the supervisor".to_owned())
}

/// Sends a descriptor.
fn tell(way: BorrowedFd<'_>, told: BorrowedFd<'_>) -> nix::Result<()> {
    let fds = [told.as_raw_fd()];
    let control = [ControlMessage::ScmRights(&fds)];
    sendmsg::<UnixAddr>(way.as_raw_fd(), &[IoSlice::new(b"1")], &control, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// The next listener, if there is one.
pub fn hear(petitions: BorrowedFd<'_>) -> Option<OwnedFd> {
    let mut byte = [0; 1];
    let mut space = nix::cmsg_space!([i32; 1]);
    let mut parts = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(petitions.as_raw_fd(), &mut parts, Some(&mut space), flags).ok()?;
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::ScmRights(numbers) => numbers.first().and_then(|number| fd::inherited(*number).ok()),
        _ => None,
    })
}

/// The guest whose calls are answered.
#[derive(Debug)]
pub struct Guest<'a> {
    /// Its name, as of its cgroup.
    pub name: &'a str,
    /// Where its cgroups are, in every hierarchy.
    pub cgroup_base: &'a str,
    /// The way into its cgroups.
    pub doors: &'a Doors,
    /// pid of its first process.
    pub init: i32,
    /// First host uid of its range; 0 in the classic mode.
    pub base: u32,
    /// How far its root may raise the hard limits of its processes.
    pub limits: &'a [Ulimit],
    /// Where the answer to sysinfo(2) is read, if it is answered.
    pub sysinfo: Option<BorrowedFd<'a>>,
    /// The disk whose quotas are its own.
    pub disk: Option<Disk<'a>>,
    /// Block devices that it may use are mounted for it.
    pub disks: bool,
    /// Files of its own are mounted for it.
    pub images: bool,
}

/// A guest's own disk.
#[derive(Clone, Copy, Debug)]
pub struct Disk<'a> {
    /// Its root directory, or the path of it.
    pub root: BorrowedFd<'a>,
    /// The device that the guest's table of mounts names.
    pub device: &'a Path,
}

/// Forks a helper for a call of a process of the guest's, and returns its pid. If it ends without having answered, the caller
/// still waits.
pub fn answer(token: SingleThreaded, guest: &Guest<'_>, listener: BorrowedFd<'_>, asked: &Asked) -> Result<i32> {
    // What mounts a file uses a device that the guest may not.
    let outside = asked.number == libc::SYS_mount && guest.images;
    let place = if outside { None } else { place_of(guest, asked.pid)? };
    match process::fork_into(token, place.as_ref().map(AsFd::as_fd), 0).step(|| "fork a helper".to_owned())? {
        Forked::Parent(pid) => Ok(pid),
        Forked::Child => process::exit_now(i32::from(help(token, guest, listener, asked).is_err())),
    }
}

/// Whether answering it is reading and writing some bytes.
pub fn is_small(asked: &Asked) -> bool {
    matches!(asked.number, libc::SYS_sysinfo | libc::SYS_fsopen) || quotas::is_small(asked)
}

/// What a call gets that cannot be helped: the kernel answers as if nobody had been asked. Not where quotas are the question,
/// which in the classic mode are a matter of capabilities that the guest could have.
pub fn without_help(asked: &Asked) -> Answer {
    match asked.number {
        libc::SYS_quotactl | libc::SYS_quotactl_fd => Answer::Failed(Errno::EPERM as i32),
        _ => Answer::GoOn,
    }
}

fn help(token: SingleThreaded, guest: &Guest<'_>, listener: BorrowedFd<'_>, asked: &Asked) -> io::Result<()> {
    let base = guest.base;
    let answer = match asked.number {
        libc::SYS_sethostname => names::set(names::Which::Host, base, listener, asked),
        libc::SYS_setdomainname => names::set(names::Which::Domain, base, listener, asked),
        libc::SYS_prlimit64 | libc::SYS_setrlimit => limits::raise(guest, listener, asked),
        libc::SYS_sysinfo => sysinfo::tell(guest, asked),
        libc::SYS_quotactl | libc::SYS_quotactl_fd => quotas::control(guest, listener, asked),
        libc::SYS_mount => mounts::mount(token, guest, listener, asked),
        libc::SYS_fsopen => mounts::begin(asked),
        libc::SYS_ioctl => loops::control(guest, listener, asked),
        libc::SYS_socket if socket(base, listener, asked).is_ok() => return Ok(()),
        _ => Answer::GoOn,
    };
    seccomp::answer(listener, asked.id, answer)
}

/// What the kernel would make without a source. It is of our network namespace: a process of the guest's that has gone into
/// one of its own gets from the kernel what it has there.
fn socket(base: u32, listener: BorrowedFd<'_>, asked: &Asked) -> io::Result<()> {
    if netlink::network_of(Some(asked.pid))? != netlink::network_of(None)?
        || !seccomp::still_waits(listener, asked.id)
    {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let udplite = asked.arguments[2] as i32 == libc::IPPROTO_UDPLITE;
    if udplite { udplite::make(base, listener, asked) } else { ping::make(base, listener, asked) }
}

/// The v2 cgroup that the caller is in, below the guest's: what a socket may do, and who pays for the helper, is decided
/// there. An init may have made cgroups of its own, and only those without others below have room.
fn place_of(guest: &Guest<'_>, pid: i32) -> Result<Option<OwnedFd>> {
    place_below(guest.doors, (guest.cgroup_base, guest.name), pid)
}

/// That of process `pid`, below that of the guest `name`.
pub fn place_below(doors: &Doors, (base, name): (&str, &str), pid: i32) -> Result<Option<OwnedFd>> {
    let Some(birthplace) = &doors.birthplace else {
        return Ok(None);
    };
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).step(|| format!("read the cgroup of {pid}"))?;
    beneath::target(birthplace, below(&text, base, name).unwrap_or_default()).map(Some)
}

fn below<'t>(text: &'t str, base: &str, name: &str) -> Option<&'t str> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    path.split_once(&format!("/{base}/{name}/guest")).map(|(_, below)| below)
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn a_caller_is_somewhere_below_the_guests_cgroup() {
        let text = "4:pids:/vserver/web1/guest\n0::/vserver/web1/guest/init.scope\n";
        assert_eq!(below(text, "vserver", "web1"), Some("/init.scope"));
        assert_eq!(below("0::/machine/vserver/web1/guest\n", "vserver", "web1"), Some(""));
        assert_eq!(below("0::/a.slice/b/web1/guest/x\n", "a.slice/b", "web1"), Some("/x"));
        assert_eq!(below(text, "vserver", "web2"), None);
        assert_eq!(below(text, "a.slice", "web1"), None);
    }
}
