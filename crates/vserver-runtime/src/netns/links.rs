//! Links of a guest's own network namespace, its addresses and routes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use ipnetwork::IpNetwork;
use vserver_config::{IpvlanMode, LinkKind, MacvlanMode, NetLink, Uplink, bridge_of};
use vserver_net::space::{self, Child, Link, Mode};
use vserver_net::{AddressPlan, Broadcast};
use vserver_sandbox::blueprint::Rooms;
use vserver_types::GuestAddress;

use super::guarding;
use super::nat::{self, Translated};
use super::{mac, wire};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::Plan;
use crate::record::RunRecord;
use crate::switch;

/// What a routed guest knows as its gateway: the host's end of the pair, whatever addresses the host has. The same on
/// every pair, and valid on it alone.
const GATEWAY4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// `RT_SCOPE_LINK`, `include/uapi/linux/rtnetlink.h`.
const SCOPE_LINK: u8 = 253;

/// Makes the links, from the host.
pub fn make(host: &Host, plan: &Plan, record: &mut RunRecord, rooms: &Rooms) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for link in plan.space.links() {
        let dev = link.kind.parent().map_or_else(String::new, |parent| format!(" on {parent}"));
        let action = format!("make the {} link '{}'{dev}", link.kind.word(), link.guest);
        one(host, plan, record, rooms, link)?.map_err(Error::layer(action, &plan.name))?;
        warnings.extend(does_not_forward(plan, link));
    }
    translate(host, plan, record)?;
    Ok(warnings)
}

pub(super) type Made = std::result::Result<(), vserver_net::Error>;

/// The guest's own table of rules, if it asks for any.
fn translate(host: &Host, plan: &Plan, record: &mut RunRecord) -> Result<()> {
    let asked = plan.space.links().iter().filter(|link| nat::is_asked(link));
    let parts: Vec<_> =
        asked.map(|link| Translated { link, addresses: addresses_of(plan, link).collect() }).collect();
    if parts.is_empty() {
        return Ok(());
    }
    let forwards: Vec<_> = parts.iter().flat_map(|part| part.link.forwards.clone()).collect();
    remember(host, record, |space| (space.table, space.forwards) = (Some(nat::table(&plan.name)), forwards))?;
    let script = nat::script(&plan.name, &parts);
    nat::run(&script, false).map_err(|what| Error::Taken { name: plan.name.clone(), what })
}

/// What is recorded is removed whatever happens, so a name that is taken must not be.
fn one(host: &Host, plan: &Plan, record: &mut RunRecord, rooms: &Rooms, link: &NetLink) -> Result<Made> {
    let inside = Link { name: &link.guest, mtu: link.mtu, mac: mac::of(plan, link) };
    let network = rooms.network.as_fd();
    let held = || guarding::inside(plan, link, rooms);
    let mut child = |child, parent: &str| {
        if wire::is_needed(plan, link) {
            let devices = wire::names(plan, link);
            remember(host, record, |space| space.links.extend(devices.clone()))?;
            return Ok(wire::make(plan, link, (child, parent), &devices, network));
        }
        remember(host, record, |space| space.children.push(link.guest.clone()))?;
        Ok(space::put_child(child, parent, inside, network).and_then(|()| held()))
    };
    match &link.kind {
        LinkKind::Veth { host: end, uplink } => {
            if vserver_net::has_device(end) {
                return Ok(Err(vserver_net::Error::DeviceExists { dev: end.clone() }));
            }
            if let Uplink::Switch { name, .. } = uplink {
                switch::ensure(host, name)?;
            }
            remember(host, record, |space| space.links.push(end.clone()))?;
            let made = space::give_pair(end, inside, network);
            let held = made.and_then(|()| guarding::behind(plan, link, end, rooms));
            Ok(held.and_then(|()| connect(plan, link, end, uplink)))
        }
        LinkKind::Macvlan { parent, mode } => child(Child::Macvlan(macvlan(*mode)), parent),
        LinkKind::Ipvlan { parent, mode } => child(Child::Ipvlan(ipvlan(*mode)), parent),
        LinkKind::Vlan { parent, id } => child(Child::Vlan(*id), parent),
        LinkKind::Physical { parent } => {
            if !vserver_net::has_device(parent) {
                return Ok(Err(vserver_net::Error::NoSuchDevice { dev: parent.clone() }));
            }
            remember(host, record, |space| space.moved.push((parent.clone(), link.guest.clone())))?;
            Ok(space::move_to(parent, &link.guest, network).and_then(|()| held()))
        }
    }
}

fn remember(host: &Host, record: &mut RunRecord, note: impl FnOnce(&mut crate::record::SpaceRecord)) -> Result<()> {
    record.space.as_mut().map(note);
    record.save(host)
}

fn macvlan(mode: MacvlanMode) -> Mode {
    match mode {
        MacvlanMode::Bridge => Mode::Bridge,
        MacvlanMode::Private => Mode::Private,
        MacvlanMode::Vepa => Mode::Vepa,
    }
}

fn ipvlan(mode: IpvlanMode) -> Mode {
    match mode {
        IpvlanMode::L2 => Mode::L2,
        IpvlanMode::L3 => Mode::L3,
        IpvlanMode::L3s => Mode::L3s,
    }
}

/// The host's end of a pair.
fn connect(plan: &Plan, link: &NetLink, end: &str, uplink: &Uplink) -> Made {
    let up = || space::set_up(Link { name: end, mtu: None, mac: None });
    match uplink {
        Uplink::Bare => Ok(()),
        Uplink::Bridge(bridge) => {
            space::plug(end, bridge)?;
            vlans(link, end, None)?;
            up()
        }
        Uplink::Switch { name, vlan } => {
            space::plug(end, &bridge_of(name))?;
            vlans(link, end, *vlan)?;
            up()
        }
        Uplink::Routed => up().and_then(|()| route_to(plan, link, end)),
    }
}

/// Of a port that is in none by the configuration the kernel's choice stays: the first.
fn vlans(link: &NetLink, end: &str, bare: Option<u16>) -> Made {
    if bare.is_none() && link.trunk.is_empty() {
        return Ok(());
    }
    let tagged: Vec<_> = link.trunk.iter().map(|range| (range.first, range.last)).collect();
    space::put_in_vlans(end, bare, &tagged)
}

/// The host is the gateway, and reaches each address of the guest through the pair.
fn route_to(plan: &Plan, link: &NetLink, end: &str) -> Made {
    for address in addresses_of(plan, link) {
        let gateway = gateway_for(address.ip);
        vserver_net::add_address(&AddressPlan {
            dev: end.to_owned(),
            address: GuestAddress { ip: gateway, prefix: Some(if gateway.is_ipv4() { 32 } else { 64 }) },
            label: None,
            broadcast: Broadcast::No,
            peer: None,
            scope: Some(SCOPE_LINK),
            up: false,
        })?;
        space::add_route(IpNetwork::from(address.ip), None, end)?;
    }
    Ok(())
}

fn gateway_for(ip: IpAddr) -> IpAddr {
    if ip.is_ipv4() { GATEWAY4.into() } else { GATEWAY6.into() }
}

pub(super) fn addresses_of(plan: &Plan, link: &NetLink) -> impl Iterator<Item = GuestAddress> {
    plan.addresses.iter().filter(move |wish| wish.device == link.guest).map(|wish| wish.address)
}

/// A routed guest on a host that does not forward reaches the host alone. It is the administrator's to decide.
fn does_not_forward(plan: &Plan, link: &NetLink) -> Vec<String> {
    if !is_routed(link) && !nat::is_asked(link) {
        return Vec::new();
    }
    let off = |file: &str| std::fs::read_to_string(file).is_ok_and(|text| text.trim() == "0");
    let families = [(true, "net.ipv4.ip_forward"), (false, "net.ipv6.conf.all.forwarding")];
    let closed = families.into_iter().filter(|(four, setting)| {
        let wanted = addresses_of(plan, link).any(|address| address.ip.is_ipv4() == *four);
        wanted && off(&format!("/proc/sys/{}", setting.replace('.', "/")))
    });
    closed
        .map(|(_, setting)| {
            format!("the host does not forward ({setting} is 0): '{}' reaches the host alone", link.guest)
        })
        .collect()
}

fn is_routed(link: &NetLink) -> bool {
    matches!(link.kind, LinkKind::Veth { uplink: Uplink::Routed, .. })
}

/// What is done inside: `lo` up, then the links, the addresses, and the routes, which need both. A link that the
/// configuration says nothing of is left to scripts, as in the original.
pub fn furnish<T: Send>(rooms: &Rooms, plan: &Plan, addresses: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let work = || {
        let failed = |action: &str| Error::layer(action.to_owned(), &plan.name);
        if plan.space.is_own() {
            space::set_up(Link { name: "lo", mtu: None, mac: None }).map_err(failed("set lo up"))?;
        }
        for link in plan.space.links().iter().filter(|link| is_meant(plan, link)) {
            let wish = Link { name: &link.guest, mtu: link.mtu, mac: link.mac };
            space::set_up(wish).map_err(failed(&format!("set {} up", link.guest)))?;
        }
        let found = addresses()?;
        for link in plan.space.links() {
            routes(plan, link).map_err(failed(&format!("make the routes of {}", link.guest)))?;
        }
        Ok(found)
    };
    space::within(rooms.network.as_fd(), work).map_err(Error::layer("enter its network namespace", &plan.name))?
}

fn is_meant(plan: &Plan, link: &NetLink) -> bool {
    let bare = matches!(link.kind, LinkKind::Veth { uplink: Uplink::Bare, .. });
    !bare && plan.addresses.iter().all(|wish| wish.device != link.guest || wish.up)
}

fn routes(plan: &Plan, link: &NetLink) -> Made {
    let mut gateways = link.gateways.clone();
    if is_routed(link) {
        for gateway in addresses_of(plan, link).map(|address| gateway_for(address.ip)) {
            if !gateways.contains(&gateway) {
                gateways.push(gateway);
            }
        }
    }
    for gateway in gateways {
        let unspecified =
            if gateway.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
        let everywhere = IpNetwork::new(unspecified, 0).unwrap_or_else(|_| IpNetwork::from(unspecified));
        space::add_route(everywhere, Some(gateway), &link.guest)?;
    }
    Ok(())
}
