//! Settings of the host that keep packets from guests.

use std::collections::BTreeSet;
use std::path::Path;

use vserver_config::{GuestConfig, LinkKind, NetworkSpace, Uplink};

use super::{Finding, Severity};

/// Those that concern one of `guests`.
pub fn pitfalls(guests: &[GuestConfig]) -> Vec<Finding> {
    let mut found = forwarding(guests);
    found.extend(reverse_path(guests));
    found.extend(bridge_filter(guests));
    found.extend(modules(guests));
    found
}

fn links(guests: &[GuestConfig]) -> impl Iterator<Item = (&GuestConfig, &LinkKind)> {
    guests.iter().flat_map(|guest| {
        let links = match &guest.network_space {
            NetworkSpace::Named(space) => &space.links[..],
            _ => &[],
        };
        links.iter().map(move |link| (guest, &link.kind))
    })
}

fn setting(path: &str) -> Option<String> {
    std::fs::read_to_string(Path::new("/proc/sys/net").join(path)).ok().map(|text| text.trim().to_owned())
}

fn names<'a>(guests: impl Iterator<Item = &'a GuestConfig>) -> String {
    guests.map(|guest| guest.name.to_string()).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

/// A routed guest is reached through the host only.
fn forwarding(guests: &[GuestConfig]) -> Vec<Finding> {
    let routed = || links(guests).filter(|(_, kind)| matches!(kind, LinkKind::Veth { uplink: Uplink::Routed, .. }));
    let whom = names(routed().map(|(guest, _)| guest));
    let wants =
        |six: bool| routed().any(|(guest, _)| guest.interfaces.iter().any(|one| one.address.ip.is_ipv6() == six));
    [("ipv4/ip_forward", false), ("ipv6/conf/all/forwarding", true)]
        .into_iter()
        .filter(|(path, six)| wants(*six) && setting(path).is_some_and(|value| value == "0"))
        .map(|(path, _)| Finding {
            severity: Severity::Error,
            what: format!("the host does not forward, so guests behind routed pairs reach nobody: {whom}"),
            remedy: format!("sysctl net.{}=1, and in /etc/sysctl.d", path.replace('/', ".")),
        })
        .collect()
}

/// With addresses of one network on several devices, answers may leave by another device than questions come in: strict
/// filters drop them. The kernel takes the larger of a device's value and that of `all`.
fn reverse_path(guests: &[GuestConfig]) -> Vec<Finding> {
    let devices: BTreeSet<&str> = guests
        .iter()
        .flat_map(|guest| &guest.interfaces)
        .filter(|one| one.address.ip.is_ipv4())
        .filter_map(|one| one.dev.as_deref().filter(|dev| *dev != "lo"))
        .collect();
    if devices.len() < 2 {
        return Vec::new();
    }
    let value = |name: &str| setting(&format!("ipv4/conf/{name}/rp_filter")).and_then(|text| text.parse::<u8>().ok());
    let all = value("all").unwrap_or(0);
    let strict: Vec<&str> =
        devices.into_iter().filter(|device| value(device).is_some_and(|own| own.max(all) == 1)).collect();
    if strict.is_empty() {
        return Vec::new();
    }
    vec![Finding {
        severity: Severity::Warning,
        what: format!(
            "guests have addresses on several devices, and these drop what does not come the way of their routes: {}",
            strict.join(", ")
        ),
        remedy: "sysctl net.ipv4.conf.DEVICE.rp_filter=2, or a route of its own for each device's source addresses"
            .to_owned(),
    }]
}

/// Packets between ports of a bridge are none of the host's firewall, unless this is on.
fn bridge_filter(guests: &[GuestConfig]) -> Vec<Finding> {
    let bridged = links(guests).filter(|(_, kind)| matches!(kind, LinkKind::Veth { uplink: Uplink::Bridge(_), .. }));
    let whom = names(bridged.map(|(guest, _)| guest));
    let on = setting("bridge/bridge-nf-call-iptables").is_some_and(|value| value == "1");
    if whom.is_empty() || !on {
        return Vec::new();
    }
    vec![Finding {
        severity: Severity::Warning,
        what: format!("packets of bridged guests pass the host's firewall, which may drop them: {whom}"),
        remedy: "sysctl net.bridge.bridge-nf-call-iptables=0, or rules that let them pass".to_owned(),
    }]
}

/// Kernel modules of the links that guests have, and of SCTP. What is loaded or built in is there; the rest is looked for on disk.
fn modules(guests: &[GuestConfig]) -> Vec<Finding> {
    let mut wanted: BTreeSet<(&str, String)> = BTreeSet::new();
    for (guest, kind) in links(guests) {
        let module = match kind {
            LinkKind::Veth { .. } => "veth",
            LinkKind::Macvlan { .. } => "macvlan",
            LinkKind::Ipvlan { .. } => "ipvlan",
            LinkKind::Vlan { .. } => "8021q",
            _ => continue,
        };
        wanted.insert((module, guest.name.to_string()));
    }
    for guest in guests.iter().filter(|guest| guest.interfaces.iter().any(|one| one.vlan.is_some())) {
        wanted.insert(("8021q", guest.name.to_string()));
    }
    for guest in guests.iter().filter(|guest| guest.network_space.is_own() && guest.network_space.wants_sctp()) {
        wanted.insert(("sctp", guest.name.to_string()));
    }
    wanted
        .into_iter()
        .filter(|(module, _)| !has_module(module))
        .map(|(module, guest)| Finding {
            severity: Severity::Error,
            what: format!("guest {guest} needs the kernel module {module}, which this kernel does not have"),
            remedy: format!("install the package with the kernel's modules, or modprobe {module}"),
        })
        .collect()
}

fn has_module(name: &str) -> bool {
    if Path::new("/sys/module").join(name).is_dir() {
        return true;
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let directory = Path::new("/lib/modules").join(release.trim());
    let lists = ["modules.dep", "modules.builtin"].map(|list| std::fs::read_to_string(directory.join(list)));
    lists.into_iter().flatten().any(|list| {
        let file = |line: &str| line.split(':').next().and_then(|path| path.rsplit('/').next().map(str::to_owned));
        list.lines().filter_map(file).any(|file| file.split('.').next().is_some_and(|stem| stem == name))
    })
}
