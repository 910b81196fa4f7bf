//! Bridges of our own: ip-link(8), bridge(8), `net/bridge/br_netlink.c`.

use std::ops::RangeInclusive;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::link::{
    AfSpecBridge, BridgeVlanInfo, BridgeVlanInfoFlags, InfoBridge, InfoData, InfoKind, LinkAttribute, LinkInfo,
    LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;

use super::{new_space, within};
use crate::Error;
use crate::device::{index_of, is, netlink};

/// Numbers of VLANs that a port can be put into; 0 is no VLAN, 4095 reserved. IEEE 802.1Q.
pub const VLANS: RangeInclusive<u16> = 1..=4094;
/// What a port of a bridge that filters is in at first, untagged.
const FIRST: u16 = 1;

/// Makes the bridge `dev`. Where the kernel has it (`CONFIG_BRIDGE_VLAN_FILTERING`, 3.9) it keeps VLANs apart.
///
/// # Errors
/// [`Error::DeviceExists`], [`Error::NoSuchKind`] or [`Error::Netlink`].
pub fn make_bridge(dev: &str) -> Result<(), Error> {
    match create(dev, true).or_else(|_| create(dev, false)) {
        Err(error) if is(&error, Errno::EEXIST) => Err(Error::DeviceExists { dev: dev.to_owned() }),
        Err(error) if is(&error, Errno::EOPNOTSUPP) => Err(Error::NoSuchKind { kind: "bridge" }),
        result => result.map_err(|source| Error::Netlink { request: format!("making the bridge {dev}"), source }),
    }
}

/// Whether this kernel's bridges can keep VLANs apart, found by making one where nobody sees it.
///
/// # Errors
/// There is no room to try.
pub fn can_filter_vlans() -> std::io::Result<bool> {
    let elsewhere = new_space()?;
    within(std::os::fd::AsFd::as_fd(&elsewhere), || create("try", true).is_ok())
}

/// Lets the port `dev` send and get the frames of one VLAN without a tag, of none if there is none, and those of `tagged`, each
/// a first and a last number, with their tags.
///
/// # Errors
/// [`Error::NoSuchDevice`] or [`Error::Netlink`], for instance `EOPNOTSUPP` where the kernel does not filter.
pub fn put_in_vlans(dev: &str, bare: Option<u16>, tagged: &[(u16, u16)]) -> Result<(), Error> {
    let info = |flags, vid| AfSpecBridge::VlanInfo(BridgeVlanInfo { flags, vid });
    if bare != Some(FIRST) {
        let first = port(dev, vec![info(BridgeVlanInfoFlags::empty(), FIRST)])?;
        change(dev, RouteNetlinkMessage::DelLink(first))?;
    }
    let untagged = BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged;
    let mut all: Vec<_> = bare.into_iter().map(|vlan| info(untagged, vlan)).collect();
    for &(first, last) in tagged {
        match first == last {
            true => all.push(info(BridgeVlanInfoFlags::empty(), first)),
            false => {
                all.push(info(BridgeVlanInfoFlags::RangeBegin, first));
                all.push(info(BridgeVlanInfoFlags::RangeEnd, last));
            }
        }
    }
    change(dev, RouteNetlinkMessage::SetLink(port(dev, all)?))
}

/// Lets the port `dev` send and get the frames of all VLANs with their tags; those of the first have none.
///
/// # Errors
/// As [`put_in_vlans`].
pub fn let_all_vlans_pass(dev: &str) -> Result<(), Error> {
    let ends = [(BridgeVlanInfoFlags::RangeBegin, FIRST + 1), (BridgeVlanInfoFlags::RangeEnd, *VLANS.end())];
    let all = ends.map(|(flags, vid)| AfSpecBridge::VlanInfo(BridgeVlanInfo { flags, vid }));
    change(dev, RouteNetlinkMessage::SetLink(port(dev, all.to_vec())?))
}

/// Whether the bridge `dev` keeps VLANs apart.
///
/// # Errors
/// [`Error::Netlink`].
pub fn filters_vlans(dev: &str) -> Result<bool, Error> {
    let index = index_of(dev)?;
    let own = links()?.into_iter().find(|link| link.header.index == index);
    let infos = own.into_iter().flat_map(|link| link.attributes).filter_map(|one| match one {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    let mut parts = infos.flatten().filter_map(|info| match info {
        LinkInfo::Data(InfoData::Bridge(parts)) => Some(parts),
        _ => None,
    });
    Ok(parts.any(|parts| parts.contains(&InfoBridge::VlanFiltering(true))))
}

/// Names of the devices that are ports of the bridge `dev`.
///
/// # Errors
/// [`Error::NoSuchDevice`] or [`Error::Netlink`].
pub fn ports_of(dev: &str) -> Result<Vec<String>, Error> {
    let bridge = LinkAttribute::Controller(index_of(dev)?);
    let ports = links()?.into_iter().filter(|link| link.attributes.contains(&bridge));
    let name = |link: LinkMessage| {
        link.attributes.into_iter().find_map(|one| match one {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        })
    };
    Ok(ports.filter_map(name).collect())
}

/// The bridge, or whatever else, that `dev` is a port of.
///
/// # Errors
/// [`Error::NoSuchDevice`] or [`Error::Netlink`].
pub fn is_a_port(dev: &str) -> Result<bool, Error> {
    let index = index_of(dev)?;
    let has = |link: &LinkMessage| link.attributes.iter().any(|one| matches!(one, LinkAttribute::Controller(1..)));
    Ok(links()?.iter().any(|link| link.header.index == index && has(link)))
}

fn links() -> Result<Vec<LinkMessage>, Error> {
    let failed = |source| Error::Netlink { request: "listing the devices".to_owned(), source };
    let all = netlink::dump(RouteNetlinkMessage::GetLink(LinkMessage::default())).map_err(failed)?;
    Ok(all
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(message) => Some(message),
            _ => None,
        })
        .collect())
}

fn create(dev: &str, filter: bool) -> std::io::Result<()> {
    let mut message = LinkMessage::default();
    let mut infos = vec![LinkInfo::Kind(InfoKind::Bridge)];
    infos.extend(filter.then(|| LinkInfo::Data(InfoData::Bridge(vec![InfoBridge::VlanFiltering(true)]))));
    message.attributes = vec![LinkAttribute::IfName(dev.to_owned()), LinkAttribute::LinkInfo(infos)];
    netlink::change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
}

fn port(dev: &str, what: Vec<AfSpecBridge>) -> Result<LinkMessage, Error> {
    let mut message = LinkMessage::default();
    message.header.interface_family = AddressFamily::Bridge;
    message.header.index = index_of(dev)?;
    message.attributes = vec![LinkAttribute::AfSpecBridge(what)];
    Ok(message)
}

fn change(dev: &str, message: RouteNetlinkMessage) -> Result<(), Error> {
    netlink::change(message, 0)
        .map_err(|source| Error::Netlink { request: format!("choosing the VLANs of the port {dev}"), source })
}
