//! `netns/`, `nonetns`, `spaces/net`. Source: `config-tree.md` §5.7; `interfaces/<x>/` beyond `host`, `guest` and `type` is
//! ours.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use vserver_types::GuestName;

use super::interfaces::device_name;
use super::nat;
use crate::model::Interface;
use crate::network_space::{AntiSpoof, IpvlanMode, LinkKind, MacvlanMode, NamedSpace, NetLink, NetworkSpace, Uplink};
use crate::reader::Reader;
use crate::switch::is_name as is_switch_name;

/// Smallest packet that IPv4 asks of every link, and the largest that a device may be set to. RFC 791.
const MTU: std::ops::RangeInclusive<u32> = 68..=65_535;

/// The guest's directory hides the host's as a whole; `nonetns` denies both.
pub(super) fn read(
    reader: &mut Reader,
    dir: &Path,
    defaults: &Path,
    name: &GuestName,
    interfaces: &[Interface],
) -> NetworkSpace {
    let found = [dir.join("netns"), defaults.join("netns")].into_iter().find(|netns| netns.is_dir());
    let named = found.filter(|_| !Reader::exists(&dir.join("nonetns")));
    let other = space(reader, &dir.join("spaces/net"));
    match (named, other) {
        (Some(named), other) => {
            if other.is_some() {
                let hint = "remove it, or create nonetns";
                reader.error(&dir.join("spaces/net"), Some(1), "there is a netns/ too", hint);
            }
            let inherited = named.starts_with(defaults);
            NetworkSpace::Named(named_space(reader, named, inherited, name, interfaces))
        }
        (None, Some(word)) if word == name.as_str() => {
            reader.error(&dir.join("spaces/net"), Some(1), "it names the guest itself", "empty it for a new one");
            NetworkSpace::Own
        }
        (None, Some(word)) if word.is_empty() => NetworkSpace::Own,
        (None, Some(word)) => NetworkSpace::Of(word),
        (None, None) => NetworkSpace::Host,
    }
}

/// An empty file, or one without a newline at its end, asks for a new one; `0` for none.
fn space(reader: &mut Reader, path: &Path) -> Option<String> {
    let text = reader.text(path)?;
    let word = if text.contains('\n') { reader.scalar(path)? } else { String::new() };
    (word != "0").then_some(word)
}

fn named_space(
    reader: &mut Reader,
    dir: PathBuf,
    inherited: bool,
    guest: &GuestName,
    interfaces: &[Interface],
) -> NamedSpace {
    let path = dir.join("name");
    let name = reader.scalar(&path).filter(|name| !name.is_empty()).unwrap_or_else(|| guest.to_string());
    if name.contains('/') || name.starts_with('.') || name.len() > 255 {
        let message = format!("'{}' cannot be the name of a namespace", name.escape_debug());
        reader.error(&path, Some(1), message, "a name without '/' that does not begin with a dot");
    }
    let shared = Reader::exists(&dir.join("shared"));
    let mut links: Vec<NetLink> = Vec::new();
    let mut unnamed = 0;
    for entry in reader.names(&dir.join("interfaces")) {
        let own = dir.join("interfaces").join(&entry);
        if !own.is_dir() {
            continue;
        }
        let Some(link) = link(reader, &own, entry, &mut unnamed) else { continue };
        if links.iter().any(|other| other.guest == link.guest) {
            let hint = "give one of them another name in 'guest'";
            reader.error(&own, None, format!("there are two devices '{}' inside", link.guest), hint);
        }
        judge(reader, &own, &link, interfaces);
        nat::judge(reader, &own, &link, interfaces);
        links.push(link);
    }
    NamedSpace { inherited, name, shared, links }
}

fn link(reader: &mut Reader, own: &Path, dir: String, unnamed: &mut u32) -> Option<NetLink> {
    let guest = device(reader, own, "guest").unwrap_or_else(|| {
        *unnamed += 1;
        format!("geth{}", *unnamed - 1)
    });
    let (mtu, mac, gateways) = (mtu(reader, own), mac(reader, own), gateways(reader, own));
    let word = reader.scalar(&own.join("type")).filter(|word| !word.is_empty()).unwrap_or_else(|| "veth".to_owned());
    without_effect(reader, own, &word);
    let (kind, antispoof) = (kind(reader, own, &word)?, antispoof(reader, own));
    let (masquerade, forwards) = (Reader::exists(&own.join("masquerade")), nat::forwards(reader, own));
    Some(NetLink { dir, kind, guest, mtu, mac, gateways, antispoof, masquerade, forwards })
}

/// What not every type of link has.
const LINK_FILES: [&str; 6] = ["host", "bridge", "switch", "parent", "mode", "vlan"];

/// What belongs to another type of link.
fn without_effect(reader: &mut Reader, own: &Path, word: &str) {
    let needed: &[&str] = match word {
        "veth" if Reader::exists(&own.join("switch")) => &["host", "bridge", "switch", "vlan"],
        "veth" => &["host", "bridge"],
        "macvlan" | "ipvlan" => &["parent", "mode"],
        "vlan" => &["parent", "vlan"],
        "phys" => &["parent"],
        _ => &LINK_FILES,
    };
    for file in LINK_FILES {
        let said = reader.scalar(&own.join(file)).is_some_and(|text| !text.is_empty());
        if said && !needed.contains(&file) {
            let message = format!("it has no effect on a link of the type {word}");
            reader.warn(&own.join(file), Some(1), message, "remove it, or choose another type");
        }
    }
}

fn kind(reader: &mut Reader, own: &Path, word: &str) -> Option<LinkKind> {
    let path = own.join("type");
    if word == "veth" {
        return Some(LinkKind::Veth {
            host: required(reader, own, "host", "the host's end of the pair has no name")?,
            uplink: uplink(reader, own),
        });
    }
    if !["macvlan", "ipvlan", "vlan", "phys"].contains(&word) {
        let message = format!("'{}' is no kind of link that can be made", word.escape_debug());
        reader.error(&path, Some(1), message, "veth, macvlan, ipvlan, vlan or phys");
        return None;
    }
    let parent = required(reader, own, "parent", "it is not said on which of the host's devices it is")?;
    Some(match word {
        "macvlan" => LinkKind::Macvlan {
            parent,
            mode: one_of(
                reader,
                own,
                &[("bridge", MacvlanMode::Bridge), ("private", MacvlanMode::Private), ("vepa", MacvlanMode::Vepa)],
            ),
        },
        "ipvlan" => LinkKind::Ipvlan {
            parent,
            mode: one_of(reader, own, &[("l2", IpvlanMode::L2), ("l3", IpvlanMode::L3), ("l3s", IpvlanMode::L3s)]),
        },
        "vlan" => LinkKind::Vlan { parent, id: vlan_id(reader, own)? },
        _ => LinkKind::Physical { parent },
    })
}

fn uplink(reader: &mut Reader, own: &Path) -> Uplink {
    let routed = Reader::exists(&own.join("routed"));
    let bridge = device(reader, own, "bridge");
    if let Some(switch) = reader.scalar(&own.join("switch")).filter(|name| !name.is_empty()) {
        if bridge.is_some() || routed {
            let hint = "keep one of 'switch', 'bridge' and 'routed'";
            reader.error(own, None, "it is plugged into a switch and leads somewhere else, too", hint);
        }
        return plugged(reader, own, switch);
    }
    match bridge {
        Some(_) if routed => {
            reader.error(own, None, "it has a bridge and is routed", "remove one of 'bridge' and 'routed'");
            Uplink::Routed
        }
        Some(bridge) => Uplink::Bridge(bridge),
        None if routed => Uplink::Routed,
        None => Uplink::Bare,
    }
}

fn plugged(reader: &mut Reader, own: &Path, name: String) -> Uplink {
    if !is_switch_name(&name) {
        let message = format!("'{}' cannot be the name of a switch", name.escape_debug());
        reader.error(&own.join("switch"), Some(1), message, "1 to 12 letters, digits, '.', '_' and '-'");
    }
    let numbered = reader.scalar(&own.join("vlan")).is_some_and(|word| !word.is_empty());
    let vlan = if numbered { vlan_id(reader, own) } else { None };
    if vlan == Some(0) {
        reader.error(&own.join("vlan"), Some(1), "a port of a switch is in no VLAN of the number 0", "1 to 4094");
    }
    Uplink::Switch { name, vlan }
}

/// `mode`, one of these words; the first by default.
fn one_of<T: Copy + Default>(reader: &mut Reader, own: &Path, words: &[(&str, T)]) -> T {
    choice(reader, &own.join("mode"), "is no mode of this kind of link", words).unwrap_or_default()
}

fn antispoof(reader: &mut Reader, own: &Path) -> Option<AntiSpoof> {
    let words = [("full", AntiSpoof::Full), ("mac", AntiSpoof::Mac), ("off", AntiSpoof::Off)];
    choice(reader, &own.join("antispoof"), "is not what a guest can be held to", &words)
}

fn choice<T: Copy>(reader: &mut Reader, path: &Path, wrong: &str, words: &[(&str, T)]) -> Option<T> {
    let word = reader.scalar(path).filter(|word| !word.is_empty())?;
    let found = words.iter().find(|(known, _)| *known == word);
    if found.is_none() {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        reader.error(path, Some(1), format!("'{}' {wrong}", word.escape_debug()), &known.join(", "));
    }
    found.map(|(_, chosen)| *chosen)
}

fn vlan_id(reader: &mut Reader, own: &Path) -> Option<u16> {
    let path = own.join("vlan");
    let word = required_text(reader, own, "vlan", "the number of its VLAN is not given")?;
    let id = word.parse().ok().filter(|id| *id <= 4094);
    if id.is_none() {
        let message = format!("'{}' is not a VLAN number", word.escape_debug());
        reader.error(&path, Some(1), message, "0 to 4094");
    }
    id
}

fn required_text(reader: &mut Reader, own: &Path, file: &str, missing: &str) -> Option<String> {
    let found = reader.scalar(&own.join(file)).filter(|word| !word.is_empty());
    if found.is_none() {
        reader.error(own, None, missing, &format!("write it to '{file}'"));
    }
    found
}

fn required(reader: &mut Reader, own: &Path, file: &str, missing: &str) -> Option<String> {
    required_text(reader, own, file, missing)?;
    device(reader, own, file)
}

fn device(reader: &mut Reader, own: &Path, file: &str) -> Option<String> {
    let path = own.join(file);
    let dev = reader.scalar(&path).filter(|dev| !dev.is_empty())?;
    device_name(reader, &path, &dev);
    Some(dev)
}

fn mtu(reader: &mut Reader, own: &Path) -> Option<u32> {
    let path = own.join("mtu");
    let word = reader.scalar(&path).filter(|word| !word.is_empty())?;
    let mtu = word.parse().ok().filter(|mtu| MTU.contains(mtu));
    if mtu.is_none() {
        let message = format!("'{}' is not a size of packets", word.escape_debug());
        reader.error(&path, Some(1), message, "68 to 65535 bytes");
    }
    mtu
}

/// Not a group's, whose lowest bit of the first byte is set. IEEE 802.
fn mac(reader: &mut Reader, own: &Path) -> Option<[u8; 6]> {
    let path = own.join("mac");
    let word = reader.scalar(&path).filter(|word| !word.is_empty())?;
    let byte = |part: &str| u8::from_str_radix(part, 16).ok().filter(|_| part.len() == 2);
    let bytes: Option<Vec<u8>> = word.split(':').map(byte).collect();
    let mac = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
    let mac = mac.filter(|mac| mac[0] & 1 == 0 && *mac != [0; 6]);
    if mac.is_none() {
        let message = format!("'{}' is not the Ethernet address of one device", word.escape_debug());
        reader.error(&path, Some(1), message, "six hexadecimal bytes like 02:00:5e:10:00:01");
    }
    mac
}

fn gateways(reader: &mut Reader, own: &Path) -> Vec<IpAddr> {
    let path = own.join("gateway");
    let mut found: Vec<IpAddr> = Vec::new();
    for line in reader.list(&path) {
        match line.text.parse::<IpAddr>() {
            Ok(ip) if found.iter().any(|other| other.is_ipv4() == ip.is_ipv4()) => {
                reader.error(&path, Some(line.number), "a second gateway of this family", "remove one");
            }
            Ok(ip) => found.push(ip),
            Err(_) => {
                let message = format!("'{}' is not an address", line.text.escape_debug());
                reader.error(&path, Some(line.number), message, "one IPv4 or IPv6 address");
            }
        }
    }
    found
}

/// A gateway must be reached without itself.
fn judge(reader: &mut Reader, own: &Path, link: &NetLink, interfaces: &[Interface]) {
    let path = own.join("gateway");
    let routed = matches!(link.kind, LinkKind::Veth { uplink: Uplink::Routed, .. });
    if routed && !link.gateways.is_empty() {
        reader.error(&path, Some(1), "a routed link's gateway is the host", "remove it");
    }
    let on_it = || interfaces.iter().filter(|interface| interface.dev.as_deref() == Some(&link.guest));
    for gateway in link.gateways.iter().filter(|_| !routed) {
        let link_local = matches!(gateway, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let held = on_it().any(|interface| interface.address.network().contains(*gateway));
        if !held && !link_local {
            let message =
                format!("no address of interfaces/ on device '{}' has {gateway} in its network", link.guest);
            reader.error(&path, Some(1), message, "correct it, or the address's prefix and dev");
        }
    }
}
