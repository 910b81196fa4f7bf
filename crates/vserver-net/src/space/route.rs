//! Routes. ip-route(8), rtnetlink(7).

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::Error;
use crate::device::{index_of, netlink};

/// A route of the main table through `dev`. Without `via` its hosts are neighbours; `via` need not be in a network of
/// `dev`'s. A destination of length 0 is the default route.
///
/// # Errors
/// [`Error::NoSuchDevice`], or [`Error::Netlink`] with what the kernel said: `EEXIST` if there is one.
pub fn add_route(destination: IpNetwork, via: Option<IpAddr>, dev: &str) -> Result<(), Error> {
    let mut message = RouteMessage::default();
    let four = destination.is_ipv4();
    message.header.address_family = if four { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.destination_prefix_length = destination.prefix();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.kind = RouteType::Unicast;
    message.header.scope = if via.is_none() && four { RouteScope::Link } else { RouteScope::Universe };
    if destination.prefix() > 0 {
        message.attributes.push(RouteAttribute::Destination(address(destination.network())));
    }
    if let Some(via) = via {
        message.header.flags = RouteFlags::Onlink;
        message.attributes.push(RouteAttribute::Gateway(address(via)));
    }
    message.attributes.push(RouteAttribute::Oif(index_of(dev)?));
    netlink::change(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_EXCL).map_err(|source| {
        Error::Netlink { request: format!("adding a route to {destination} through {dev}"), source }
    })
}

fn address(ip: IpAddr) -> RouteAddress {
    match ip {
        IpAddr::V4(ip) => RouteAddress::Inet(ip),
        IpAddr::V6(ip) => RouteAddress::Inet6(ip),
    }
}
