//! The programs, one file for each kind of question that the kernel asks.
//!
//! | file | asked when | answer |
//! |---|---|---|
//! | `bind.rs` | before and after `bind` | wildcard and loopback replaced, foreign refused, low ports granted |
//! | `connect.rs` | `connect` | source chosen, loopback redirected, foreign loopback refused |
//! | `datagram.rs` | unconnected `sendmsg` | the same for each datagram |
//! | `shown.rs` | `recvmsg`, `getsockname`, `getpeername`, `accept` | the private loopback is shown as 127.0.0.1 |
//! | `socket.rs` | `socket` | only TCP, UDP, UDP-Lite, MPTCP, and ICMP if allowed |
//! | `count.rs` | `socket`, and its end, of a guest with a limit of sockets | at most so many |
//! | `wild.rs` | `bind` of a wildcard | it is noted that it was one |
//! | `steer.rs` | `listen`, and connections to a listener | a wildcard listens on all of the guest's addresses |
//! | `gather.rs` | after `bind` of datagram sockets | the same for these, with the help of the guest's keeper |
//! | `answer.rs` | datagrams of such sockets | they leave from the address that was asked |
//! | `packet.rs` | each packet | nothing leaves with a foreign source, nothing arrives for a foreign destination |
//! | `guard.rs` | each frame that leaves a guest with a stack of its own | only its own addresses, no router, no DHCP server |
//! | `meter.rs` | each packet to or from others | it is counted, and dropped if the guest is too fast |
//!
//! The first five give a guest good manners and exact errors; the packet filters are what holds if they are evaded.
//!
//! Registers by convention: `R6` the context, `R7` the address in question, `R8` the socket or the given source,
//! `R9` the source that we want.

pub(crate) mod answer;
mod bind;
mod connect;
pub(crate) mod count;
mod datagram;
pub(crate) mod gather;
pub(crate) mod guard;
pub(crate) mod meter;
mod packet;
pub(crate) mod parts;
mod shown;
mod socket;
pub(crate) mod steer;
pub(crate) mod wild;

use vserver_sys::bpf::{AssembleError, AttachType, Insn};

use crate::policy::Table;

/// What the verifier of this kernel takes, found by trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    /// `bpf_set_retval`, 5.18: a refusal says why. Without it every refusal is EPERM.
    pub errno: bool,
    /// A bind program may return 3, 5.12: the privilege for low ports is not asked for.
    pub low_ports: bool,
    /// `IPV6_V6ONLY` of a socket can be seen, 5.9 with BTF.
    pub v6only: bool,
}

impl Features {
    /// From the newest kernel to the oldest: the first set that loads is used.
    pub const LADDER: [Self; 6] = [
        Self { errno: true, low_ports: true, v6only: true },
        Self { errno: true, low_ports: true, v6only: false },
        Self { errno: false, low_ports: true, v6only: true },
        Self { errno: false, low_ports: true, v6only: false },
        Self { errno: false, low_ports: false, v6only: true },
        Self { errno: false, low_ports: false, v6only: false },
    ];
}

type Generator = fn(&Table, Features) -> Result<Vec<Insn>, AssembleError>;

/// One place, its program, and what is lost without it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hook {
    pub place: AttachType,
    pub name: &'static str,
    pub generate: Generator,
    /// What the guest sees on a kernel without this place; `None`: the guest must not start.
    pub without: Option<&'static str>,
}

/// All places. Filters of packets come first: what follows refines what they already hold.
pub(crate) const HOOKS: [Hook; 18] = [
    must(AttachType::InetEgress, "vs_egress", packet::egress),
    must(AttachType::InetIngress, "vs_ingress", packet::ingress),
    must(AttachType::InetSockCreate, "vs_socket", socket::create),
    must(AttachType::Inet4Bind, "vs_bind4", bind::bind4),
    must(AttachType::Inet6Bind, "vs_bind6", bind::bind6),
    must(AttachType::Inet4PostBind, "vs_bound4", bind::post_bind4),
    must(AttachType::Inet6PostBind, "vs_bound6", bind::post_bind6),
    must(AttachType::Inet4Connect, "vs_connect4", connect::connect4),
    must(AttachType::Inet6Connect, "vs_connect6", connect::connect6),
    must(AttachType::Udp4Sendmsg, "vs_sendmsg4", datagram::sendmsg4),
    must(AttachType::Udp6Sendmsg, "vs_sendmsg6", datagram::sendmsg6),
    may(AttachType::Udp4Recvmsg, "vs_recvmsg4", shown::shown4),
    may(AttachType::Udp6Recvmsg, "vs_recvmsg6", shown::shown6),
    may(AttachType::Inet4Getsockname, "vs_sockname4", shown::shown4),
    may(AttachType::Inet6Getsockname, "vs_sockname6", shown::shown6),
    may(AttachType::Inet4Getpeername, "vs_peername4", shown::shown4),
    may(AttachType::Inet6Getpeername, "vs_peername6", shown::shown6),
    Hook { place: AttachType::SockOps, name: "vs_listen", generate: steer::listen, without: Some(ONE_ADDRESS) },
];

/// The places of a guest that is held to no addresses.
pub(crate) const METERS: [Hook; 2] = [
    must(AttachType::InetEgress, "vs_sent", meter::only_egress),
    must(AttachType::InetIngress, "vs_received", meter::only_ingress),
];

const ONE_ADDRESS: &str = "a socket bound to 0.0.0.0 or :: hears the guest's first address only";

const fn must(place: AttachType, name: &'static str, generate: Generator) -> Hook {
    Hook { place, name, generate, without: None }
}

const fn may(place: AttachType, name: &'static str, generate: Generator) -> Hook {
    Hook { place, name, generate, without: Some("the guest sees its private loopback address instead of 127.0.0.1") }
}

#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;
