//! VLAN devices: made when a guest starts, removed when it stops. `Documentation/networking/vlan` and
//! `net/8021q/vlan_netlink.c`.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoData, InfoKind, InfoVlan, LinkAttribute, LinkInfo, LinkMessage};
use nix::errno::Errno;

use super::{Added, index_of, is, netlink};
use crate::Error;

/// Makes the device `dev` for the packets of VLAN `id` on `parent`, as `ip link add link`. Needs `CAP_NET_ADMIN`; the
/// kernel loads its module by itself.
///
/// # Errors
/// [`Error::NoSuchDevice`] without the parent, [`Error::NoVlans`], or [`Error::Netlink`] with what the kernel said.
pub fn add_vlan(dev: &str, parent: &str, id: u16) -> Result<Added, Error> {
    let mut message = LinkMessage::default();
    message.attributes = vec![
        LinkAttribute::IfName(dev.to_owned()),
        LinkAttribute::Link(index_of(parent)?),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Vlan),
            LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Id(id)])),
        ]),
    ];
    match netlink::change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL) {
        Ok(()) => Ok(Added::Now),
        Err(error) if is(&error, Errno::EEXIST) => Ok(Added::WasThere),
        Err(error) if is(&error, Errno::EOPNOTSUPP) => Err(Error::NoVlans { dev: dev.to_owned() }),
        Err(source) => Err(Error::Netlink { request: format!("making the VLAN device {dev} on {parent}"), source }),
    }
}

/// Whether there is a device of this name.
pub fn has_device(dev: &str) -> bool {
    index_of(dev).is_ok()
}

/// Removes a device; that it is gone already is no error.
///
/// # Errors
/// [`Error::Netlink`].
pub fn remove_device(dev: &str) -> Result<(), Error> {
    let Ok(index) = index_of(dev) else { return Ok(()) };
    let mut message = LinkMessage::default();
    message.header.index = index;
    match netlink::change(RouteNetlinkMessage::DelLink(message), 0) {
        Err(error) if is(&error, Errno::ENODEV) => Ok(()),
        result => result.map_err(|source| Error::Netlink { request: format!("removing the device {dev}"), source }),
    }
}
