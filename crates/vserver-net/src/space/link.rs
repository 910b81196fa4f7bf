//! Links of a network namespace: pairs, children of the host's devices, and devices that move in. ip-link(8),
//! `Documentation/networking/rtnetlink`.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoIpVlan, InfoKind, InfoMacVlan, InfoVeth, InfoVlan,
    IpVlanMode, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};
use nix::errno::Errno;

use crate::Error;
use crate::device::{index_of, is, netlink};

/// A device inside.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// Its name.
    pub name: &'a str,
    /// Largest packet, bytes; `None` is the kernel's choice.
    pub mtu: Option<u32>,
    /// Ethernet address; `None` is one by chance.
    pub mac: Option<[u8; 6]>,
}

/// What hangs on a device of the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child {
    /// With an Ethernet address of its own.
    Macvlan(Mode),
    /// With the parent's; Linux module ipvlan.
    Ipvlan(Mode),
    /// One tag's packets; Linux module 8021q.
    Vlan(u16),
}

/// How siblings meet, the kernel's numbers. `include/uapi/linux/if_link.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// macvlan: not at all.
    Private,
    /// macvlan: through the switch beyond the parent.
    Vepa,
    /// macvlan: directly.
    Bridge,
    /// ipvlan: as on a switch.
    L2,
    /// ipvlan: as behind a router.
    L3,
    /// ipvlan: the same through the host's packet filter.
    L3s,
}

/// Makes a pair, one end of which is `host` here and the other `link` in `space`; that one never has a name here that
/// could be taken. The host's end has the same MTU.
///
/// # Errors
/// [`Error::DeviceExists`], [`Error::NoSuchKind`] or [`Error::Netlink`].
pub fn give_pair(host: &str, link: Link<'_>, space: BorrowedFd<'_>) -> Result<(), Error> {
    let mut own = LinkMessage::default();
    own.attributes = vec![LinkAttribute::IfName(host.to_owned())];
    own.attributes.extend(link.mtu.map(LinkAttribute::Mtu));
    own.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(inside(link, space)))),
    ]));
    make(own, host, "veth")
}

/// Makes a child of the device `parent` in `space`.
///
/// # Errors
/// [`Error::NoSuchDevice`], [`Error::NoSuchKind`] or [`Error::Netlink`].
pub fn put_child(child: Child, parent: &str, link: Link<'_>, space: BorrowedFd<'_>) -> Result<(), Error> {
    let mut message = inside(link, space);
    message.attributes.push(LinkAttribute::Link(index_of(parent)?));
    let (kind, data) = match child {
        Child::Macvlan(mode) => (InfoKind::MacVlan, InfoData::MacVlan(vec![InfoMacVlan::Mode(macvlan_mode(mode))])),
        Child::Ipvlan(mode) => (InfoKind::IpVlan, InfoData::IpVlan(vec![InfoIpVlan::Mode(ipvlan_mode(mode))])),
        Child::Vlan(id) => (InfoKind::Vlan, InfoData::Vlan(vec![InfoVlan::Id(id)])),
    };
    message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind), LinkInfo::Data(data)]));
    make(message, link.name, word(child))
}

/// Moves a device to `space`, where it is called `name`. The kernel sets it down and takes its addresses away.
///
/// # Errors
/// [`Error::NoSuchDevice`] or [`Error::Netlink`], for instance `EINVAL` for a device that cannot move.
pub fn move_to(dev: &str, name: &str, space: BorrowedFd<'_>) -> Result<(), Error> {
    let mut message = LinkMessage::default();
    message.header.index = index_of(dev)?;
    message.attributes = vec![LinkAttribute::NetNsFd(space.as_raw_fd()), LinkAttribute::IfName(name.to_owned())];
    netlink::change(RouteNetlinkMessage::SetLink(message), 0)
        .map_err(|source| Error::Netlink { request: format!("moving the device {dev}"), source })
}

/// Whether the kernel makes links of this kind, after loading its module if there is one. Nothing is made: without a parent
/// each of them is refused in another way.
///
/// # Errors
/// [`Error::Netlink`].
pub fn can_make(child: Child) -> Result<bool, Error> {
    let kind = match child {
        Child::Macvlan(_) => InfoKind::MacVlan,
        Child::Ipvlan(_) => InfoKind::IpVlan,
        Child::Vlan(_) => InfoKind::Vlan,
    };
    let mut message = LinkMessage::default();
    message.attributes = vec![LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)])];
    match netlink::change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL) {
        Err(error) if is(&error, Errno::EOPNOTSUPP) => Ok(false),
        _ => Ok(true),
    }
}

/// Whether the device `dev` is of a kind, as `bridge`.
///
/// # Errors
/// [`Error::Netlink`].
pub fn has_kind(dev: &str, kind: &str) -> Result<bool, Error> {
    let failed = |source| Error::Netlink { request: "listing the devices".to_owned(), source };
    let all = netlink::dump(RouteNetlinkMessage::GetLink(LinkMessage::default())).map_err(failed)?;
    let of = |message: &LinkMessage| {
        let mut attributes = message.attributes.iter();
        let named = message.attributes.iter().any(|one| matches!(one, LinkAttribute::IfName(name) if name == dev));
        named
            && attributes.any(|one| match one {
                LinkAttribute::LinkInfo(infos) => {
                    infos.iter().any(|info| matches!(info, LinkInfo::Kind(found) if found.to_string() == kind))
                }
                _ => false,
            })
    };
    Ok(all.iter().any(|answer| matches!(answer, RouteNetlinkMessage::NewLink(message) if of(message))))
}

/// Ethernet address of a device of the calling thread's namespace.
///
/// # Errors
/// [`Error::NoSuchDevice`] or [`Error::Netlink`].
pub fn mac_of(dev: &str) -> Result<[u8; 6], Error> {
    let address = |one| if let LinkAttribute::Address(bytes) = one { <[u8; 6]>::try_from(bytes).ok() } else { None };
    about(dev, address)?.ok_or_else(|| looking_at(dev)(std::io::Error::other("it has no Ethernet address")))
}

fn looking_at(dev: &str) -> impl Fn(std::io::Error) -> Error {
    let request = format!("looking at the device {dev}");
    move |source| Error::Netlink { request: request.clone(), source }
}

/// The first thing that the kernel says of a device and `wanted` takes.
fn about<T>(dev: &str, wanted: impl Fn(LinkAttribute) -> Option<T>) -> Result<Option<T>, Error> {
    let index = index_of(dev)?;
    let all = netlink::dump(RouteNetlinkMessage::GetLink(LinkMessage::default())).map_err(looking_at(dev))?;
    Ok(all.into_iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(message) if message.header.index == index => {
            message.attributes.into_iter().find_map(&wanted)
        }
        _ => None,
    }))
}

/// Largest packet of a device of the calling thread's namespace, bytes.
///
/// # Errors
/// [`Error::NoSuchDevice`] or [`Error::Netlink`].
pub fn mtu_of(dev: &str) -> Result<u32, Error> {
    let found = about(dev, |one| if let LinkAttribute::Mtu(mtu) = one { Some(mtu) } else { None })?;
    found.ok_or_else(|| looking_at(dev)(std::io::Error::other("it has no MTU")))
}

/// Sets a device up that is part of a wire: it hears all groups, and the host gives itself no address on it.
///
/// # Errors
/// [`Error::NoSuchDevice`] or [`Error::Netlink`].
pub fn set_up_as_a_wire(dev: &str) -> Result<(), Error> {
    let failed = |source| Error::Netlink { request: format!("setting {dev} up"), source };
    let mut message = LinkMessage::default();
    message.header.index = index_of(dev)?;
    let none = vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)];
    message.attributes = vec![LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(none)])];
    match netlink::change(RouteNetlinkMessage::SetLink(message), 0) {
        // A host without IPv6 gives no such addresses.
        Err(error) if !is(&error, Errno::EAFNOSUPPORT) => return Err(failed(error)),
        _ => {}
    }
    let mut message = LinkMessage::default();
    message.header.index = index_of(dev)?;
    message.header.flags = LinkFlags::Up | LinkFlags::Allmulti;
    message.header.change_mask = message.header.flags;
    netlink::change(RouteNetlinkMessage::SetLink(message), 0).map_err(failed)
}

/// Makes `dev` a port of the bridge and sets it up.
///
/// # Errors
/// [`Error::NoSuchDevice`] or [`Error::Netlink`].
pub fn plug(dev: &str, bridge: &str) -> Result<(), Error> {
    let mut message = LinkMessage::default();
    message.header.index = index_of(dev)?;
    message.attributes = vec![LinkAttribute::Controller(index_of(bridge)?)];
    netlink::change(RouteNetlinkMessage::SetLink(message), 0)
        .map_err(|source| Error::Netlink { request: format!("making {dev} a port of the bridge {bridge}"), source })
}

/// Sets MTU and Ethernet address of a device that is there, and sets it up.
///
/// # Errors
/// [`Error::NoSuchDevice`] or [`Error::Netlink`].
pub fn set_up(link: Link<'_>) -> Result<(), Error> {
    let mut message = LinkMessage::default();
    message.header.index = index_of(link.name)?;
    message.attributes.extend(link.mtu.map(LinkAttribute::Mtu));
    message.attributes.extend(link.mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    netlink::change(RouteNetlinkMessage::SetLink(message), 0)
        .map_err(|source| Error::Netlink { request: format!("setting {} up", link.name), source })
}

fn inside(link: Link<'_>, space: BorrowedFd<'_>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes = vec![LinkAttribute::IfName(link.name.to_owned()), LinkAttribute::NetNsFd(space.as_raw_fd())];
    message.attributes.extend(link.mtu.map(LinkAttribute::Mtu));
    message.attributes.extend(link.mac.map(|mac| LinkAttribute::Address(mac.to_vec())));
    message
}

fn make(message: LinkMessage, dev: &str, kind: &'static str) -> Result<(), Error> {
    match netlink::change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL) {
        Err(error) if is(&error, Errno::EEXIST) => Err(Error::DeviceExists { dev: dev.to_owned() }),
        Err(error) if is(&error, Errno::EOPNOTSUPP) => Err(Error::NoSuchKind { kind }),
        result => {
            result.map_err(|source| Error::Netlink { request: format!("making the {kind} device {dev}"), source })
        }
    }
}

fn word(child: Child) -> &'static str {
    match child {
        Child::Macvlan(_) => "macvlan",
        Child::Ipvlan(_) => "ipvlan",
        Child::Vlan(_) => "vlan",
    }
}

fn macvlan_mode(mode: Mode) -> MacVlanMode {
    match mode {
        Mode::Private => MacVlanMode::Private,
        Mode::Vepa => MacVlanMode::Vepa,
        _ => MacVlanMode::Bridge,
    }
}

fn ipvlan_mode(mode: Mode) -> IpVlanMode {
    match mode {
        Mode::L3 => IpVlanMode::L3,
        Mode::L3s => IpVlanMode::L3S,
        _ => IpVlanMode::L2,
    }
}
