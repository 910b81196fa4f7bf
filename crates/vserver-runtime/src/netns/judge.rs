//! What keeps the links of a guest from being made, found before anything is.

use std::path::{Path, PathBuf};

use vserver_config::{Diagnostic, GuestConfig, LinkKind, NetLink, NetworkSpace, Severity, Switch, Uplink};
use vserver_net::space::{self, Child, Mode};

use super::name;
use super::nat::{self, Translated};
use crate::record::RunRecord;
use crate::switch;

/// Every one of them.
pub fn faults(config: &GuestConfig) -> Vec<Diagnostic> {
    let NetworkSpace::Named(named) = &config.network_space else {
        return devices(config, &[]);
    };
    if named.shared {
        return Vec::new();
    }
    let mut found = devices(config, &named.links);
    let dir = match config.dir.parent() {
        Some(confdir) if named.inherited => confdir.join(".defaults/netns"),
        _ => config.dir.join("netns"),
    };
    found.extend(name::is_free(&name::path_of(&named.name), &config.name).err().map(|error| {
        // The sentence without "guest … cannot be started".
        let text = error.to_string();
        let what = text.split_once("cannot be started: ").map_or(text.as_str(), |(_, what)| what);
        fault(dir.join("name"), what.to_owned(), "")
    }));
    for link in &named.links {
        found.extend(of_link(config, &dir.join("interfaces").join(&link.dir), link));
    }
    found.extend(translation(config, &dir, &named.links));
    found
}

/// Addresses are put on devices inside.
fn devices(config: &GuestConfig, links: &[NetLink]) -> Vec<Diagnostic> {
    if !config.network_space.is_own() {
        return Vec::new();
    }
    let there = |dev: &str| dev == "lo" || links.iter().any(|link| link.guest == dev);
    let on_device = config.interfaces.iter().filter(|interface| !interface.nodev && interface.tun.is_none());
    let missing = on_device.filter_map(|interface| {
        let dev = interface.dev.as_deref()?;
        let needed = interface.vlan.as_ref().map_or(dev, |vlan| vlan.parent.as_str());
        (!there(needed)).then(|| (interface.dir.clone(), needed.to_owned()))
    });
    let of = |(dir, dev): (String, String)| {
        let hint = "name a device of netns/interfaces/<x>/guest";
        let path = config.dir.join("interfaces").join(dir);
        fault(path, format!("there is no device '{dev}' in its network namespace"), hint)
    };
    missing.map(of).chain(hosts(config, links)).collect()
}

/// Two stacks on one wire do not have one address. A tun device's other end is a wire of its own.
fn hosts(config: &GuestConfig, links: &[NetLink]) -> Vec<Diagnostic> {
    // What cannot be asked is not known to be wrong.
    let hosts = vserver_net::addresses_on_host().unwrap_or_default();
    let on_link = config.interfaces.iter().filter(|own| !own.nodev && own.tun.is_none());
    let outside = on_link.filter(|own| {
        let dev = own.vlan.as_ref().map_or(own.dev.as_deref(), |vlan| Some(vlan.parent.as_str()));
        links.iter().any(|link| dev == Some(&link.guest))
    });
    let of = |own: &vserver_config::Interface| {
        let (dev, _) = hosts.iter().find(|(_, network)| network.ip() == own.address.ip)?;
        let message = format!("the host itself has the address {} (on {dev})", own.address.ip);
        let path = config.dir.join("interfaces").join(&own.dir).join("ip");
        Some(fault(path, message, "give the guest another one"))
    };
    outside.filter_map(of).collect()
}

fn of_link(config: &GuestConfig, dir: &Path, link: &NetLink) -> Option<Diagnostic> {
    match &link.kind {
        LinkKind::Veth { host, uplink } => {
            let taken = vserver_net::has_device(host).then(|| {
                let hint = "choose another name, or remove that device";
                fault(dir.join("host"), format!("there is a network device '{host}' already"), hint)
            });
            taken.or_else(|| bridge(dir, uplink, link)).or_else(|| plug(config, dir, uplink, link))
        }
        LinkKind::Macvlan { parent, .. } => on(dir, parent, Child::Macvlan(Mode::Bridge), "macvlan"),
        LinkKind::Ipvlan { parent, .. } => on(dir, parent, Child::Ipvlan(Mode::L2), "ipvlan"),
        LinkKind::Vlan { parent, id } => on(dir, parent, Child::Vlan(*id), "vlan"),
        LinkKind::Physical { parent } if parent == "lo" => Some(fault(
            dir.join("parent"),
            "'lo' cannot leave the host".to_owned(),
            "every namespace has one of its own",
        )),
        LinkKind::Physical { parent } => missing(&dir.join("parent"), parent),
    }
}

fn bridge(dir: &Path, uplink: &Uplink, link: &NetLink) -> Option<Diagnostic> {
    let Uplink::Bridge(bridge) = uplink else { return None };
    let path = dir.join("bridge");
    missing(&path, bridge).or_else(|| {
        // What cannot be asked is not known to be wrong.
        let is_one = space::has_kind(bridge, "bridge").unwrap_or(true);
        let hint = "name a bridge; `ip link add NAME type bridge` makes one";
        if !is_one {
            return Some(fault(path, format!("the device '{bridge}' is no bridge"), hint));
        }
        let mixes = !link.trunk.is_empty() && space::filters_vlans(bridge).is_ok_and(|filters| !filters);
        let hint = format!("`ip link set {bridge} type bridge vlan_filtering 1` lets it, or use a switch");
        mixes.then(|| fault(dir.join("trunk"), format!("the bridge '{bridge}' does not keep VLANs apart"), &hint))
    })
}

/// The switch is there, or can be made.
fn plug(config: &GuestConfig, dir: &Path, uplink: &Uplink, link: &NetLink) -> Option<Diagnostic> {
    let Uplink::Switch { name, vlan } = uplink else { return None };
    let (path, confdir) = (dir.join("switch"), config.dir.parent()?);
    let switch = match Switch::read(confdir, name) {
        Ok(Some(switch)) => switch,
        Ok(None) => {
            let hint = format!("make it with `vserver-switch create {name}`");
            return Some(fault(path, format!("there is no switch '{name}'"), &hint));
        }
        Err(vserver_config::Error::Invalid { diagnostics }) => return diagnostics.into_iter().next(),
        Err(error) => return Some(fault(path, error.to_string(), "")),
    };
    let made = vserver_net::has_device(&switch.bridge());
    let obstacle = if made { None } else { switch::obstacle(&switch).ok().flatten() };
    if let Some(what) = obstacle {
        return Some(fault(path, format!("the switch '{name}' cannot be made: {what}"), ""));
    }
    let filters = if made { space::filters_vlans(&switch.bridge()).ok() } else { space::can_filter_vlans().ok() };
    let hint = "remove it, use a switch for each VLAN, or a kernel with CONFIG_BRIDGE_VLAN_FILTERING";
    let file = if vlan.is_some() { "vlan" } else { "trunk" };
    let wanted = vlan.is_some() || !link.trunk.is_empty();
    (wanted && filters == Some(false))
        .then(|| fault(dir.join(file), "this kernel's bridges do not keep VLANs apart".to_owned(), hint))
}

/// The kernel is asked whether it would take the table.
fn translation(config: &GuestConfig, dir: &Path, links: &[NetLink]) -> Option<Diagnostic> {
    let parts: Vec<_> = links
        .iter()
        .filter(|link| nat::is_asked(link))
        .map(|link| {
            let own = config.interfaces.iter().filter(|interface| interface.dev.as_deref() == Some(&link.guest));
            Translated { link, addresses: own.map(|interface| interface.address).collect() }
        })
        .collect();
    let first = parts.first()?;
    let file = if first.link.masquerade { "masquerade" } else { "forward" };
    let path = dir.join("interfaces").join(&first.link.dir).join(file);
    nat::run(&nat::script(&config.name, &parts), true).err().map(|what| fault(path, what, ""))
}

/// A guest that runs and has one of these ports of the host already, in one sentence.
pub fn port_in_use(config: &GuestConfig, others: &[RunRecord]) -> Option<String> {
    let own = || config.network_space.links().iter().flat_map(|link| &link.forwards);
    others.iter().find_map(|other| {
        let theirs = &other.space.as_ref()?.forwards;
        let port = own().find(|port| theirs.iter().any(|their| their.clashes(port)))?;
        Some(format!(
            "port {} of the host leads to guest '{}' already; choose another in netns/interfaces/<x>/forward",
            port.port, other.name
        ))
    })
}

fn on(dir: &Path, parent: &str, child: Child, kind: &str) -> Option<Diagnostic> {
    missing(&dir.join("parent"), parent).or_else(|| {
        let able = space::can_make(child).unwrap_or(true);
        let hint = format!("load the kernel module {}", vserver_net::module(kind));
        (!able).then(|| fault(dir.join("type"), format!("this kernel makes no {kind} devices"), &hint))
    })
}

fn missing(path: &Path, dev: &str) -> Option<Diagnostic> {
    let hint = "correct the name, or make the device first";
    (!vserver_net::has_device(dev)).then(|| fault(path, format!("there is no network device '{dev}'"), hint))
}

fn fault(path: impl Into<PathBuf>, message: String, hint: &str) -> Diagnostic {
    let hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
    Diagnostic { path: path.into(), line: None, severity: Severity::Error, message, hint }
}
