//! Addresses, where their parts come from, and the commands of iproute2 that would make them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Subject;
use crate::model::{Interface, Tun};
use crate::read::inherited;
use crate::reader::Reader;

pub(super) fn network(subject: &Subject<'_>) -> Value {
    let config = subject.config;
    let (mut start, mut stop) = (Vec::new(), Vec::new());
    for interface in config.interfaces.iter().filter(|interface| !interface.nodev) {
        start.extend(commands(subject, interface, "add"));
    }
    for interface in config.interfaces.iter().rev().filter(|interface| !interface.nodev) {
        stop.extend(commands(subject, interface, "del"));
    }
    let dir = subject.own("interfaces");
    let mut skipped = Reader::default().names(&dir);
    skipped.retain(|name| dir.join(name).join("disabled").exists());
    let allowed = config.interfaces.iter().map(|interface| interface.address.to_string());
    let mut out = json!({
        "isolated": !config.no_ncontext,
        "bcast": config.bcast,
        "lback": config.lback,
        "allowed": allowed.collect::<Vec<_>>(),
        "interfaces": config.interfaces.iter().map(|one| interface(subject, one)).collect::<Vec<_>>(),
        "skipped": skipped,
        "host_commands_start": start,
        "host_commands_stop": stop,
    });
    if config.no_ncontext {
        out["reason"] = json!("noncontext");
    }
    out
}

fn interface(subject: &Subject<'_>, interface: &Interface) -> Value {
    let own = subject.own("interfaces").join(&interface.dir);
    let mut out = json!({
        "dir": interface.dir,
        "ip": interface.address.ip,
        "prefix": interface.address.prefix,
        "prefix_from": prefix_from(subject, &own, interface),
        "dev": interface.dev,
        "label": interface.label,
        "bcast": broadcast(subject, interface),
        "managed": !interface.nodev,
        "up": (!interface.nodev).then_some(interface.up),
    });
    if let Some((path, _)) = value(subject, interface, "dev") {
        out["dev_from"] = json!(if path.starts_with(&own) { "own" } else { "interfaces/dev" });
    }
    if let Some(vlan) = &interface.vlan {
        out["vlan"] = json!({"parent": vlan.parent, "id": vlan.id});
    }
    if let Some(tun) = &interface.tun {
        out["tun"] = json!({
            "mode": mode(tun),
            "nocsum": tun.nocsum,
            "shared": tun.shared,
            "uid": tun.uid,
            "gid": tun.gid,
            "linktype": tun.linktype,
        });
    }
    for (key, value) in [("peer", &interface.peer), ("scope", &interface.scope)] {
        if let Some(value) = value {
            out[key] = json!(value);
        }
    }
    out
}

fn mode(tun: &Tun) -> &'static str {
    if tun.tap { "tap" } else { "tun" }
}

/// The value of one interface and the file that it is in.
fn value(subject: &Subject<'_>, interface: &Interface, name: &str) -> Option<(PathBuf, String)> {
    let (all, mut reader) = (subject.own("interfaces"), Reader::default());
    let path = inherited(&mut reader, &all.join(&interface.dir), &all, name)?;
    let text = reader.scalar(&path).filter(|text| !text.is_empty())?;
    Some((path, text))
}

fn prefix_from(subject: &Subject<'_>, own: &Path, interface: &Interface) -> Option<&'static str> {
    interface.address.prefix?;
    let of = |name: &str| value(subject, interface, name).map(|(path, _)| path.starts_with(own));
    Some(match (of("prefix"), of("mask")) {
        (Some(true), _) => "own",
        (Some(false), _) => "interfaces/prefix",
        (None, Some(true)) => "own mask",
        (None, Some(false)) => "interfaces/mask",
        (None, None) => "ip",
    })
}

fn broadcast(subject: &Subject<'_>, interface: &Interface) -> Option<String> {
    if interface.address.ip.is_ipv6() {
        return None;
    }
    Some(value(subject, interface, "bcast").map_or_else(|| "+".to_owned(), |(_, text)| text))
}

fn commands(subject: &Subject<'_>, interface: &Interface, verb: &str) -> Vec<String> {
    let Some(dev) = &interface.dev else { return Vec::new() };
    let mut address = format!("ip addr {verb} {}", interface.address);
    for (word, value) in [("broadcast", broadcast(subject, interface)), ("label", interface.label.clone())] {
        if let Some(value) = value {
            address.push_str(&format!(" {word} {value}"));
        }
    }
    address.push_str(&format!(" dev {dev}"));
    if let Some(peer) = &interface.peer {
        address.push_str(&format!(" peer {peer}"));
    }
    let (vlan, tun) = (interface.vlan.as_ref(), interface.tun.as_ref());
    if verb == "del" {
        let remove = vlan.map(|_| format!("ip link delete {dev} type vlan"));
        let remove = remove.or_else(|| tun.map(|tun| format!("ip tuntap del dev {dev} mode {}", mode(tun))));
        return std::iter::once(address).chain(remove).collect();
    }
    let make = vlan.map(|vlan| format!("ip link add link {} name {dev} type vlan id {}", vlan.parent, vlan.id));
    let make = make.or_else(|| tun.map(|tun| format!("ip tuntap add dev {dev} mode {}", mode(tun))));
    let up = format!("ip link set {dev}{}", if interface.up { " up" } else { "" });
    make.into_iter().chain([address, up]).collect()
}
