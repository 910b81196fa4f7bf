//! Sockets of UDP-Lite for a guest that shares the host's network stack. RFC 3828, udplite(7).
//!
//! The kernel asks programs about their `bind` and about datagrams without `connect`, but not about `connect`: an unbound
//! socket would get the host's source there, and all that it sends would be dropped (`vserver-net`, egress). So these
//! sockets are born with a source: bound to what a wildcard becomes in the guest's cgroup, but to no port, so that the guest can
//! still bind it as it likes. A guest without an address gets an unbound one from the kernel.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::sys::socket::{SockaddrIn, SockaddrIn6, bind, getsockname, setsockopt, sockopt};
use nix::unistd::{Uid, setfsuid};
use vserver_sys::seccomp::{self, Asked};
use vserver_sys::socket::udplite;

use super::caller::{effective_user, hand_over, socket_flags};
use super::ping::become_a_user;

/// Makes it as the caller, who needs no right for it, and hands it over. Called in the caller's cgroup, to which it belongs.
pub(super) fn make(base: u32, listener: BorrowedFd<'_>, asked: &Asked) -> io::Result<()> {
    let (family, flags) = (asked.arguments[0] as i32, socket_flags(asked));
    let user = effective_user(asked.pid).filter(|_| seccomp::still_waits(listener, asked.id));
    let user = user.ok_or(io::ErrorKind::PermissionDenied)?;
    setfsuid(Uid::from_raw(user));
    become_a_user(user, base)?;
    let given = udplite(family, flags.bits())?;
    setsockopt(&given, sockopt::IpBindAddressNoPort, &true)?;
    let number = given.as_raw_fd();
    let found = if family == libc::AF_INET {
        bind(number, &SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)))?;
        getsockname::<SockaddrIn>(number)?.ip()
    } else {
        bind(number, &SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0)))?;
        // Of an IPv6 address only that it is one matters.
        getsockname::<SockaddrIn6>(number)?.ip().to_ipv4_mapped().unwrap_or(Ipv4Addr::BROADCAST)
    };
    // Without an address it is the private loopback, which is shown as this.
    if found == Ipv4Addr::LOCALHOST {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    setsockopt(&given, sockopt::IpBindAddressNoPort, &false)?;
    hand_over(listener, asked, &given)
}
