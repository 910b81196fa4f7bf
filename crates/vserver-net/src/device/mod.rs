//! Addresses on the host's devices: added when a guest starts, removed when it stops.

pub(crate) mod netlink;
mod standing;
mod tun;
mod vlan;

pub use standing::{Standing, settle};
pub use tun::{TUN_NODE, TunPlan, add_tun, change_tun, tuns_of_nobody};
pub use vlan::{add_vlan, has_device, remove_device};

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::IpNetwork;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use nix::net::if_::{if_indextoname, if_nametoindex};
use vserver_types::GuestAddress;

use crate::Error;

/// The broadcast address that goes with an address (`interfaces/N/bcast`). IPv6 has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Broadcast {
    /// The last address of the network (`+`); none for a network of one or two.
    #[default]
    Computed,
    /// This one.
    Is(Ipv4Addr),
    /// None.
    No,
}

/// One address to put on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressPlan {
    /// Name of the device.
    pub dev: String,
    /// The address; without prefix length it is a host route (32, 128).
    pub address: GuestAddress,
    /// Label for old tools, as in `eth0:web`: at most 15 bytes, IPv4 only.
    pub label: Option<String>,
    /// Broadcast address.
    pub broadcast: Broadcast,
    /// The other end of a point-to-point link; the prefix length is then that of the peer's network.
    pub peer: Option<IpAddr>,
    /// The kernel's number of the scope, IPv4 only: the kernel finds that of IPv6 by itself. `None` is that of the address.
    pub scope: Option<u8>,
    /// Set the link up afterwards. It is never set down.
    pub up: bool,
}

/// What [`add_address`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It was not there: remove it when the guest stops.
    Now,
    /// The same, with another scope: the kernel wants one for all IPv4 addresses of a network on a device.
    WithScopeOfOthers,
    /// It was there before: it is not ours to remove.
    WasThere,
}

/// Puts an address on a device, as `ip address add`. Needs `CAP_NET_ADMIN`. IPv6 addresses skip duplicate detection:
/// the guest's servers bind them at once, and a tentative address cannot be bound.
///
/// # Errors
/// [`Error::NoSuchDevice`], or [`Error::Netlink`] with what the kernel said. If only setting the link up failed the
/// address is removed again.
pub fn add_address(plan: &AddressPlan) -> Result<Added, Error> {
    let index = index_of(&plan.dev)?;
    let turn = turn()?;
    let request = format!("adding the address {} to {}", plan.address, plan.dev);
    let add = |scope| {
        let message = RouteNetlinkMessage::NewAddress(message_for(&AddressPlan { scope, ..plan.clone() }, index));
        netlink::change(message, NLM_F_CREATE | NLM_F_EXCL)
    };
    let mut added = add(plan.scope).map(|()| Added::Now);
    if added.as_ref().is_err_and(|error| is(error, Errno::EINVAL))
        && let Some(scope) = scope_of_others(plan, index)
    {
        added = add(Some(scope)).map(|()| Added::WithScopeOfOthers);
    }
    let added = match added {
        Err(error) if is(&error, Errno::EEXIST) => Added::WasThere,
        done => done.map_err(|source| Error::Netlink { request, source })?,
    };
    drop(turn);
    if plan.up {
        set_up(&plan.dev, index).inspect_err(|_| {
            if added != Added::WasThere {
                let _ = remove_address(&plan.dev, plan.address);
            }
        })?;
    }
    Ok(added)
}

/// That of an IPv4 address of the same network, if the device has one. Source: `__inet_insert_ifa` in `net/ipv4/devinet.c`.
fn scope_of_others(plan: &AddressPlan, index: u32) -> Option<u8> {
    let wanted = plan.address.network();
    let is_beside = |other: IpNetwork| {
        other.is_ipv4() && other.prefix() == wanted.prefix() && other.network() == wanted.network()
    };
    let all = messages(Some(index)).ok()?;
    all.iter().find(|message| network_of(message).is_some_and(is_beside)).map(|message| message.header.scope.into())
}

/// Takes an address off a device; that it, or the device, is gone already is no error. Addresses of the same network
/// that the kernel drops along with it (`promote_secondaries` is off by default) are put back: they may belong to
/// other guests.
///
/// # Errors
/// [`Error::Netlink`].
pub fn remove_address(dev: &str, address: GuestAddress) -> Result<(), Error> {
    let Ok(index) = index_of(dev) else { return Ok(()) };
    let failed = |source| Error::Netlink { request: format!("removing the address {address} from {dev}"), source };
    let _turn = turn()?;
    let before = messages(Some(index)).map_err(failed)?;
    let network = address.network();
    let Some(target) = before.iter().find(|message| network_of(message) == Some(network)) else {
        return Ok(());
    };
    match netlink::change(RouteNetlinkMessage::DelAddress(target.clone()), 0) {
        Ok(()) => {}
        Err(error) if is(&error, Errno::EADDRNOTAVAIL) => {}
        Err(source) => return Err(failed(source)),
    }
    let after = messages(Some(index)).map_err(failed)?;
    for lost in before.iter().filter(|message| *message != target && !contains(&after, message)) {
        netlink::change(RouteNetlinkMessage::NewAddress(lost.clone()), NLM_F_CREATE).map_err(failed)?;
    }
    Ok(())
}

/// All addresses of the host with their devices, in the order of the kernel.
///
/// # Errors
/// [`Error::Netlink`].
pub fn addresses_on_host() -> Result<Vec<(String, IpNetwork)>, Error> {
    let failed = |source| Error::Netlink { request: "listing the addresses of the host".to_owned(), source };
    let mut found = Vec::new();
    for message in messages(None).map_err(failed)? {
        // A device that went away in between has no name, and no address either.
        let (Ok(dev), Some(network)) = (if_indextoname(message.header.index), network_of(&message)) else {
            continue;
        };
        found.push((dev.to_string_lossy().into_owned(), network));
    }
    Ok(found)
}

/// One after the other: what another guest's stop takes away meanwhile must not be taken for a loss, and put back. The
/// lock is the network namespace itself, so that all who change its addresses have the same.
fn turn() -> Result<File, Error> {
    let failed = |source| Error::Netlink { request: "waiting for others to change addresses".to_owned(), source };
    let netns = File::open("/proc/thread-self/ns/net").map_err(failed)?;
    netns.lock().map_err(failed)?;
    Ok(netns)
}

pub(crate) fn index_of(dev: &str) -> Result<u32, Error> {
    if_nametoindex(dev).map_err(|_| Error::NoSuchDevice { dev: dev.to_owned() })
}

pub(crate) fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

fn message_for(plan: &AddressPlan, index: u32) -> AddressMessage {
    let network = plan.address.network();
    let ip = plan.address.ip;
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.prefix_len = network.prefix();
    message.header.family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.attributes.push(AddressAttribute::Local(ip));
    message.attributes.push(AddressAttribute::Address(plan.peer.unwrap_or(ip)));
    match network {
        IpNetwork::V4(network) => {
            let usual = if ip.is_loopback() { AddressScope::Host } else { AddressScope::Universe };
            message.header.scope = plan.scope.map_or(usual, AddressScope::from);
            let broadcast = match plan.broadcast {
                Broadcast::Is(address) => Some(address),
                Broadcast::Computed if network.prefix() <= 30 && plan.peer.is_none() => Some(network.broadcast()),
                Broadcast::Computed | Broadcast::No => None,
            };
            message.attributes.extend(broadcast.map(AddressAttribute::Broadcast));
            message.attributes.extend(plan.label.clone().map(AddressAttribute::Label));
        }
        IpNetwork::V6(_) => {
            message.header.flags = AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
    }
    message
}

fn set_up(dev: &str, index: u32) -> Result<(), Error> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    netlink::change(RouteNetlinkMessage::SetLink(message), 0)
        .map_err(|source| Error::Netlink { request: format!("setting {dev} up"), source })
}

/// All addresses, or those of one device.
fn messages(index: Option<u32>) -> io::Result<Vec<AddressMessage>> {
    let answers = netlink::dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
    let wanted = |message: &AddressMessage| index.is_none_or(|index| message.header.index == index);
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewAddress(message) if wanted(&message) => Some(message),
            _ => None,
        })
        .collect())
}

/// The address of a message: IPv4 has it in `IFA_LOCAL` (`IFA_ADDRESS` is the peer), IPv6 often only in `IFA_ADDRESS`.
fn network_of(message: &AddressMessage) -> Option<IpNetwork> {
    let mut ip = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(local) => ip = Some(*local),
            AddressAttribute::Address(address) => ip = ip.or(Some(*address)),
            _ => {}
        }
    }
    IpNetwork::new(ip?, message.header.prefix_len).ok()
}

fn contains(messages: &[AddressMessage], wanted: &AddressMessage) -> bool {
    messages.iter().any(|message| network_of(message) == network_of(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(address: &str) -> AddressPlan {
        AddressPlan {
            dev: "eth0".to_owned(),
            address: address.parse().unwrap(),
            label: Some("eth0:web".to_owned()),
            broadcast: Broadcast::Computed,
            peer: None,
            scope: None,
            up: true,
        }
    }

    fn broadcast_of(plan: &AddressPlan) -> Option<Ipv4Addr> {
        message_for(plan, 2).attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Broadcast(address) => Some(*address),
            _ => None,
        })
    }

    #[test]
    fn the_broadcast_address_is_the_last_of_the_network() {
        assert_eq!(broadcast_of(&plan("192.0.2.7/24")), Some(Ipv4Addr::new(192, 0, 2, 255)));
        assert_eq!(broadcast_of(&plan("192.0.2.7/31")), None);
        assert_eq!(broadcast_of(&plan("192.0.2.7")), None);
        assert_eq!(broadcast_of(&plan("2001:db8::7/64")), None);
        let given = AddressPlan { broadcast: Broadcast::Is(Ipv4Addr::BROADCAST), ..plan("192.0.2.7/24") };
        assert_eq!(broadcast_of(&given), Some(Ipv4Addr::BROADCAST));
    }

    #[test]
    fn a_loopback_address_stays_on_the_host_and_ipv6_is_usable_at_once() {
        assert_eq!(message_for(&plan("127.0.5.1/32"), 1).header.scope, AddressScope::Host);
        let message = message_for(&plan("2001:db8::7/64"), 2);
        assert!(message.attributes.contains(&AddressAttribute::Flags(AddressFlags::Nodad)));
        assert!(!message.attributes.contains(&AddressAttribute::Label("eth0:web".to_owned())));
    }

    #[test]
    fn the_loopback_device_lists_its_address() {
        let found = addresses_on_host().unwrap();
        assert!(found.contains(&("lo".to_owned(), "127.0.0.1/8".parse().unwrap())), "{found:?}");
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let error = add_address(&AddressPlan { dev: "nosuch0".to_owned(), ..plan("192.0.2.7/24") }).unwrap_err();
        assert_eq!(error.to_string(), "no network device \"nosuch0\"");
        remove_address("nosuch0", "192.0.2.7/24".parse().unwrap()).unwrap();
    }
}
