//! Who a guest may say that it is on its links. What holds it to that is on the host's end of a pair, out of its reach; of
//! other links there is no such end.

use std::net::IpAddr;
use std::os::fd::AsFd;

use vserver_config::{AntiSpoof, GuestConfig, LinkKind, NetLink};
use vserver_net::guard::{self, Identity, Side};
use vserver_net::space::{self, Link};
use vserver_sandbox::blueprint::Rooms;
use vserver_types::{CapSet, Capability, Unenforced};

use super::links::{Made, addresses_of};
use crate::plan::Plan;

/// Holds it at the host's end of a pair, before that goes anywhere.
pub fn behind(plan: &Plan, link: &NetLink, end: &str, rooms: &Rooms) -> Made {
    let Some(addresses) = wanted(plan, link) else { return Ok(()) };
    let mac = in_space(rooms, || space::mac_of(&link.guest))?;
    guard::hold(end, Side::Behind, &Identity { mac, addresses })
}

/// Holds it at the device inside, before anything of the guest is there.
pub fn inside(plan: &Plan, link: &NetLink, rooms: &Rooms) -> Made {
    let Some(mut addresses) = wanted(plan, link) else { return Ok(()) };
    in_space(rooms, || {
        let mac = link.mac.map_or_else(|| space::mac_of(&link.guest), Ok)?;
        if let (LinkKind::Ipvlan { .. }, Some(own)) = (&link.kind, &mut addresses) {
            own.extend(own_link_local(&link.guest)?);
        }
        guard::hold(&link.guest, Side::At, &Identity { mac, addresses })
    })
}

/// Several devices share one Ethernet address there, so the kernel mixes a number of each into its link-local address,
/// which it tells when the device is up. `net/ipv6/addrconf.c`, `addrconf_ifid_eui48`.
fn own_link_local(dev: &str) -> Result<Vec<IpAddr>, vserver_net::Error> {
    space::set_up(Link { name: dev, mtu: None, mac: None })?;
    let found = vserver_net::addresses_on_host()?.into_iter().filter(|(on, _)| on == dev);
    let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    Ok(found.map(|(_, network)| network.ip()).filter(link_local).collect())
}

/// What a guest with these capabilities can do about it.
pub fn shortfall(config: &GuestConfig, caps: CapSet) -> Vec<Unenforced> {
    let at_it = |link: &&NetLink| {
        let addresses = config.interfaces.iter().any(|interface| interface.dev.as_deref() == Some(&link.guest));
        // Others are wired to the host (`wire.rs`).
        matches!(link.kind, LinkKind::Ipvlan { .. }) && link.antispoof(addresses) != AntiSpoof::Off
    };
    let links = config.network_space.links().iter().filter(|_| caps.contains(Capability::NET_ADMIN));
    links.filter(at_it).map(without_end).collect()
}

fn without_end(link: &NetLink) -> Unenforced {
    let reason = format!(
        "'{}' has no end on the host, and with NET_ADMIN the guest can take the filter off; give it a pair (veth), or write \
         'off' to netns/interfaces/{}/antispoof",
        link.guest, link.dir
    );
    Unenforced::partial("antispoof", reason)
}

/// Holds it at the host's end of a pair that is joined to the device `outer`.
pub fn wired(plan: &Plan, link: &NetLink, end: &str, outer: &str, mac: [u8; 6]) -> Made {
    let addresses = wanted(plan, link).flatten();
    guard::wire(end, outer, &Identity { mac, addresses })
}

/// Whether it is held to anything on this link.
pub fn is_held(plan: &Plan, link: &NetLink) -> bool {
    wanted(plan, link).is_some()
}

/// `None`: not at all; otherwise the addresses, or any of them.
fn wanted(plan: &Plan, link: &NetLink) -> Option<Option<Vec<IpAddr>>> {
    let on_vlan = |device: &str| plan.vlans.iter().any(|vlan| vlan.device == device && vlan.parent == link.guest);
    let tagged = plan.addresses.iter().filter(|wish| on_vlan(&wish.device)).map(|wish| wish.address);
    let own: Vec<IpAddr> = addresses_of(plan, link).chain(tagged).map(|address| address.ip).collect();
    match link.antispoof(!own.is_empty()) {
        AntiSpoof::Full => Some(Some(own)),
        AntiSpoof::Mac => Some(None),
        AntiSpoof::Off => None,
    }
}

fn in_space<T: Send>(
    rooms: &Rooms,
    work: impl FnOnce() -> Result<T, vserver_net::Error> + Send,
) -> Result<T, vserver_net::Error> {
    let failed =
        |source| vserver_net::Error::Netlink { request: "entering its network namespace".to_owned(), source };
    space::within(rooms.network.as_fd(), work).map_err(failed)?
}
