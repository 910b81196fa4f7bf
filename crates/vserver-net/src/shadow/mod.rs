//! What a guest on the host's network stack is shown of it (`hide_netif`): a *shadow*, a network namespace without processes,
//! that has the devices which carry the guest's addresses, under their names and numbers, those addresses, and the routes through
//! those devices. rtnetlink(7) tells of the namespace that a socket was made in, whoever asks; so the supervisor makes the guest's
//! sockets there. Nothing is sent or heard through a shadow.
//!
//! ```text
//!  host    eth0 192.0.2.1, 192.0.2.5, 192.0.2.6   eth1 10.0.0.1   default via 192.0.2.254
//!  shadow  eth0 192.0.2.5                         lo 127.0.0.1    default via 192.0.2.254
//! ```
//!
//! It belongs to the host's user namespace: the guest can change nothing there. It is changed in place, so that sockets which
//! are there hear of it.

mod addresses;
mod links;
mod routes;
mod wire;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, setsockopt, socket, sockopt,
};

use crate::space::own_space;
use wire::Talk;

/// A new namespace. The calling thread is in `own`, and stays there.
///
/// # Errors
/// What unshare(2) says.
pub fn make(own: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    unshare(CloneFlags::CLONE_NEWNET)?;
    let made = own_space();
    go_back(own);
    made
}

/// Does `work` in the namespace `shadow`. The calling thread is in `own`, and is there again afterwards.
///
/// # Errors
/// What setns(2) says, or the work's own.
pub fn within<T>(shadow: BorrowedFd<'_>, own: BorrowedFd<'_>, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    setns(shadow, CloneFlags::CLONE_NEWNET)?;
    let done = work();
    go_back(own);
    done
}

/// It can fail for want of memory only, which passes; elsewhere the process must not go on.
fn go_back(own: BorrowedFd<'_>) {
    while setns(own, CloneFlags::CLONE_NEWNET).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A socket that has something to say as soon as devices, addresses or routes of the calling thread's namespace change. It holds
/// little, and nobody has to read it: who wants to hear again makes a new one.
///
/// # Errors
/// What socket(2) and bind(2) say.
pub fn changes() -> io::Result<OwnedFd> {
    /// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV4_ROUTE`, `RTMGRP_IPV6_IFADDR`, `RTMGRP_IPV6_ROUTE`.
    const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let hears = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    // The least that the kernel gives.
    setsockopt(&hears, sockopt::RcvBuf, &0)?;
    bind(hears.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    Ok(hears)
}

/// Makes `shadow` show what belongs to `addresses` in the calling thread's namespace, and `localhost` on the loopback device.
/// Afterwards the thread is in the shadow.
///
/// # Errors
/// What the kernel said. Then the shadow shows a part.
pub fn follow(shadow: BorrowedFd<'_>, addresses: &[IpAddr], localhost: Ipv4Addr) -> io::Result<()> {
    let host = Talk::begin()?;
    let is_own = |ip: IpAddr| addresses.iter().any(|own| own.to_canonical() == ip);
    let mut own = addresses::list(&host)?;
    own.retain(|message| addresses::ip(message).is_some_and(is_own));
    own.insert(0, addresses::localhost(localhost));
    let mut devices = links::list(&host)?;
    let carries = |index| index == links::LO || own.iter().any(|one| addresses::device(one) == Some(index));
    devices.retain(|device| carries(device.index));
    // A device may have gone away in between.
    let indexes: Vec<u32> = devices.iter().map(|device| device.index).collect();
    own.retain(|one| addresses::device(one).is_some_and(|index| indexes.contains(&index)));
    let routes = routes::list(&host, &indexes, addresses);
    setns(shadow, CloneFlags::CLONE_NEWNET)?;
    let talk = Talk::begin()?;
    links::follow(&talk, &devices)?;
    addresses::follow(&talk, &own)?;
    routes::follow(&talk, &routes, &indexes, addresses)
}
