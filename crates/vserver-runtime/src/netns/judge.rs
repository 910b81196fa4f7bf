//! What keeps the links of a guest from being made, found before anything is.

use std::path::{Path, PathBuf};

use vserver_config::{Diagnostic, GuestConfig, LinkKind, NetLink, NetworkSpace, Severity, Uplink};
use vserver_net::space::{self, Child, Mode};

use super::name;

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
        found.extend(of_link(&dir.join("interfaces").join(&link.dir), link));
    }
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
    missing.map(of).collect()
}

fn of_link(dir: &Path, link: &NetLink) -> Option<Diagnostic> {
    match &link.kind {
        LinkKind::Veth { host, uplink } => {
            let taken = vserver_net::has_device(host).then(|| {
                let hint = "choose another name, or remove that device";
                fault(dir.join("host"), format!("there is a network device '{host}' already"), hint)
            });
            taken.or_else(|| bridge(dir, uplink))
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

fn bridge(dir: &Path, uplink: &Uplink) -> Option<Diagnostic> {
    let Uplink::Bridge(bridge) = uplink else { return None };
    let path = dir.join("bridge");
    missing(&path, bridge).or_else(|| {
        // What cannot be asked is not known to be wrong.
        let is_one = space::has_kind(bridge, "bridge").unwrap_or(true);
        let hint = "name a bridge; `ip link add NAME type bridge` makes one";
        (!is_one).then(|| fault(path, format!("the device '{bridge}' is no bridge"), hint))
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
