//! Netlink sockets for a guest that is to see only what is its own of the host's network stack (`hide_netif`). They are made in
//! a network namespace that shows that; which one, the supervisor knows.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use caps::{CapSet, CapsHashSet};
use nix::sys::socket::{AddressFamily, SockProtocol, SockType, socket};
use nix::unistd::{Uid, setfsuid};
use vserver_sys::seccomp::Asked;

use super::caller::{TYPE, socket_flags};
use crate::confine::to_io;

/// Whether such a socket is asked for.
pub fn is_asked(asked: &Asked) -> bool {
    asked.number == libc::SYS_socket && asked.arguments[0] as i32 == libc::AF_NETLINK
}

/// The number of the network namespace that a process, or this one, is in.
pub fn network_of(pid: Option<i32>) -> io::Result<u64> {
    let who = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    fs::metadata(format!("/proc/{who}/ns/net")).map(|namespace| namespace.ino())
}

/// Makes it in the namespace that the caller of this is in, as somebody without rights: the kernel judges what is asked on a
/// socket by who made it, too. `base` is the first host uid of the guest's.
pub fn make(base: u32, asked: &Asked) -> io::Result<OwnedFd> {
    let kind = asked.arguments[1] as i32;
    let kind = if kind & TYPE == libc::SOCK_RAW { SockType::Raw } else { SockType::Datagram };
    let all = caps::read(None, CapSet::Effective).map_err(to_io)?;
    setfsuid(Uid::from_raw(base));
    let made = caps::set(None, CapSet::Effective, &CapsHashSet::new())
        .map_err(to_io)
        .and_then(|()| Ok(socket(AddressFamily::Netlink, kind, socket_flags(asked), SockProtocol::NetlinkRoute)?));
    caps::set(None, CapSet::Effective, &all).map_err(to_io)?;
    setfsuid(Uid::from_raw(0));
    made
}
