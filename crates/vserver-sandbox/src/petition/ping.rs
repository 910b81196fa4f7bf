//! Sockets for ping of a guest that shares the host's network stack (`raw_icmp`). icmp(7), raw(7).
//!
//! The kernel asks no program about the source of an unbound ping socket, and takes the host's address, which the guest may
//! not use; for a raw one it wants a capability over the host's stack. So these sockets are born with a source: bound to the
//! guest's first address, a ping socket then let go of its number again, so that the guest can still bind it to another one
//! of its addresses. A raw socket carries echo requests only (`vserver-net`, egress), and belongs to the guest's root only.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use caps::CapSet;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, bind, getsockname, setsockopt, socket,
    sockopt,
};
use nix::unistd::{Gid, Uid, setfsuid, setgroups, setresgid, setresuid};
use vserver_sys::seccomp::{self, Asked};
use vserver_sys::socket::disconnect;

use super::caller::{TYPE, effective_user, hand_over, socket_flags};

/// Makes it and hands it over. Called in the caller's cgroup, whose programs decide whether there may be one.
pub(super) fn make(base: u32, listener: BorrowedFd<'_>, asked: &Asked) -> io::Result<()> {
    let (family, kind) = (asked.arguments[0] as i32, asked.arguments[1] as i32);
    let flags = socket_flags(asked);
    let raw = kind & TYPE == libc::SOCK_RAW;
    if raw && (effective_user(asked.pid) != Some(base) || !seccomp::still_waits(listener, asked.id)) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let kind = if raw { SockType::Raw } else { SockType::Datagram };
    let given = if family == libc::AF_INET {
        let source = first4()?;
        let given = create(base, AddressFamily::Inet, kind, flags, SockProtocol::Icmp)?;
        bind(given.as_raw_fd(), &source)?;
        given
    } else {
        let source = first6()?;
        let given = create(base, AddressFamily::Inet6, kind, flags, SockProtocol::IcmpV6)?;
        bind(given.as_raw_fd(), &source)?;
        given
    };
    if !raw {
        disconnect(given.as_fd())?;
    }
    hand_over(listener, asked, &given)
}

/// As a socket of the guest's root. A ping socket is made by somebody in a group that the host lets ping; for a raw one the
/// capability over the host's stack is used here, and nowhere else.
fn create(
    base: u32,
    family: AddressFamily,
    kind: SockType,
    flags: SockFlag,
    protocol: SockProtocol,
) -> io::Result<OwnedFd> {
    setfsuid(Uid::from_raw(base));
    if kind == SockType::Raw {
        let given = socket(family, kind, flags, protocol)?;
        become_a_user(base, 0)?;
        return Ok(given);
    }
    let range = fs::read_to_string("/proc/sys/net/ipv4/ping_group_range")?;
    let lowest = range.split_whitespace().next().and_then(|number| number.parse().ok());
    become_a_user(base, lowest.ok_or(io::ErrorKind::InvalidData)?)?;
    Ok(socket(family, kind, flags, protocol)?)
}

/// Gives up every right.
pub(super) fn become_a_user(user: u32, group: u32) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    setgroups(&[])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)?;
    caps::clear(None, CapSet::Effective)
        .and_then(|()| caps::clear(None, CapSet::Permitted))
        .map_err(|error| io::Error::other(error.to_string()))
}

/// What a wildcard becomes in this cgroup.
fn first4() -> io::Result<SockaddrIn> {
    let probe = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    bind(probe.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)))?;
    let found = getsockname::<SockaddrIn>(probe.as_raw_fd())?.ip();
    // Without an address the guest has its private loopback, which is shown as this.
    if found.is_unspecified() || found == Ipv4Addr::LOCALHOST {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    Ok(SocketAddrV4::new(found, 0).into())
}

/// The same for IPv6.
fn first6() -> io::Result<SockaddrIn6> {
    let probe = socket(AddressFamily::Inet6, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&probe, sockopt::Ipv6V6Only, &true)?;
    bind(probe.as_raw_fd(), &SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0)))?;
    let found = getsockname::<SockaddrIn6>(probe.as_raw_fd())?.ip();
    if found.is_unspecified() {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    Ok(SocketAddrV6::new(found, 0, 0, 0).into())
}
