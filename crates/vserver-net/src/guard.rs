//! Puts a filter on what leaves a guest's device. It lives as long as the device.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcMessage, TcOption,
};
use nix::errno::Errno;
use vserver_sys::bpf::{AssembleError, AttachType, Insn, prog_load};

use crate::Error;
use crate::device::{index_of, is, netlink};
use crate::policy::{word, words};
use crate::program::guard;

/// `ETH_P_ALL` on the wire.
const ALL: u32 = 0x0003_u16.to_be() as u32;
/// Before filters without a priority of their own, which begin at 49152.
const PRIORITY: u32 = 1;

/// Who a guest is on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Its addresses there; the link-local one that follows from `mac` need not be among them. `None`: any.
    pub addresses: Option<Vec<IpAddr>>,
}

/// On which side of a device the guest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Behind it: the host's end of a pair. What comes from the device is the guest's.
    Behind,
    /// At it: the device is inside. What goes to the device is the guest's.
    At,
}

/// An [`Identity`] in the form in which the program compares.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub mac: [u8; 6],
    pub own4: Option<Vec<u32>>,
    pub own6: Option<Vec<[u32; 4]>>,
    /// The device to which goes what passes; `None`: on its way.
    pub onward: Option<u32>,
}

/// Drops every frame of the device `dev` of the calling thread's network namespace in which the guest says to be somebody
/// else than `identity`, or plays the router or DHCP server. Nobody who cannot change the device can take it off. Needs
/// `CAP_BPF` and `CAP_NET_ADMIN` in the initial user namespace.
///
/// # Errors
/// [`Error::NoSuchDevice`], [`Error::Load`], [`Error::NoFilters`] or [`Error::Netlink`]. The device is then without a filter.
pub fn hold(dev: &str, side: Side, identity: &Identity) -> Result<(), Error> {
    attach(dev, side, "vs_guard", guard::frames(&Table::new(identity)))
}

/// Joins two devices of the calling thread's network namespace, so that what comes from one leaves by the other: `end`, behind
/// which the guest is, held to `identity` as by [`hold`], and `outer`. The host itself has no part in either.
///
/// # Errors
/// As [`hold`].
pub fn wire(end: &str, outer: &str, identity: &Identity) -> Result<(), Error> {
    let table = Table { onward: Some(index_of(outer)?), ..Table::new(identity) };
    attach(outer, Side::Behind, "vs_wire", guard::onward(index_of(end)?))?;
    attach(end, Side::Behind, "vs_guard", guard::frames(&table))
}

/// Drops everything that comes from the device `dev` and everything that goes to it: the host has no part in a private
/// switch.
///
/// # Errors
/// As [`hold`].
pub fn seal(dev: &str) -> Result<(), Error> {
    attach(dev, Side::Behind, "vs_seal", guard::nothing())?;
    attach(dev, Side::At, "vs_seal", guard::nothing())
}

/// The link-local address that a device gives itself. RFC 4291, appendix A.
pub fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    let [ab, c_, d_, ef] = [[a ^ 2, b], [c, 0xff], [0xfe, d], [e, f]].map(u16::from_be_bytes);
    Ipv6Addr::new(0xfe80, 0, 0, 0, ab, c_, d_, ef)
}

impl Table {
    pub fn new(identity: &Identity) -> Self {
        let all = identity.addresses.as_ref();
        let own4 = all.map(|all| {
            all.iter().filter_map(|ip| if let IpAddr::V4(ip) = ip { Some(word(*ip)) } else { None }).collect()
        });
        let own6 = all.map(|all| {
            let given = all.iter().filter_map(|ip| if let IpAddr::V6(ip) = ip { Some(*ip) } else { None });
            given.chain([link_local(identity.mac)]).map(words).collect()
        });
        Self { mac: identity.mac, own4, own6, onward: None }
    }
}

fn attach(dev: &str, side: Side, name: &str, program: Result<Vec<Insn>, AssembleError>) -> Result<(), Error> {
    let (place, parent) = match side {
        Side::Behind => (AttachType::TcIngress, TcHandle::MIN_INGRESS),
        Side::At => (AttachType::TcEgress, TcHandle::MIN_EGRESS),
    };
    let program = program.map_err(|source| Error::Generate { place, source })?;
    let program =
        prog_load(place.prog_type(), place, &program, name).map_err(|source| Error::Load { place, source })?;
    make_room(dev)?;
    let mut filter = message(dev, TcFilterBpf::KIND)?;
    filter.header.parent = TcHandle { major: u16::MAX, minor: parent };
    filter.header.info = PRIORITY << 16 | ALL;
    filter.attributes.push(TcAttribute::Options(vec![
        // A descriptor is never negative.
        TcOption::Bpf(TcFilterBpfOption::ProgFd(program.as_fd().as_raw_fd().cast_unsigned())),
        TcOption::Bpf(TcFilterBpfOption::ProgName(name.to_owned())),
        TcOption::Bpf(TcFilterBpfOption::Flags(TcBpfFlags::DirectAction)),
    ]));
    let made = netlink::change(RouteNetlinkMessage::NewTrafficFilter(filter), NLM_F_CREATE | NLM_F_EXCL);
    made.map_err(|source| refused(dev, source))
}

/// The queueing discipline clsact, which holds filters and queues nothing. tc-bpf(8), kernel 4.5.
fn make_room(dev: &str) -> Result<(), Error> {
    let mut room = message(dev, "clsact")?;
    room.header.parent = TcHandle::CLSACT;
    room.header.handle = TcHandle { major: u16::MAX, minor: 0 };
    match netlink::change(RouteNetlinkMessage::NewQueueDiscipline(room), NLM_F_CREATE | NLM_F_EXCL) {
        Err(error) if !is(&error, Errno::EEXIST) => Err(refused(dev, error)),
        _ => Ok(()),
    }
}

fn message(dev: &str, kind: &str) -> Result<TcMessage, Error> {
    let mut message = TcMessage::default();
    message.header.index = index_of(dev)?.cast_signed();
    message.attributes = vec![TcAttribute::Kind(kind.to_owned())];
    Ok(message)
}

/// A kernel without them does not know the words.
fn refused(dev: &str, source: std::io::Error) -> Error {
    if is(&source, Errno::ENOENT) || is(&source, Errno::EOPNOTSUPP) {
        return Error::NoFilters { dev: dev.to_owned() };
    }
    Error::Netlink { request: format!("putting a filter on {dev}"), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_names_itself_by_its_ethernet_address() {
        let expected: Ipv6Addr = "fe80::5eff:fe10:1".parse().unwrap();
        assert_eq!(link_local([0x02, 0, 0x5e, 0x10, 0, 1]), expected);
    }
}
