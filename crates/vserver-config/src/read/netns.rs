//! `netns/`, `nonetns`, `spaces/net`. Source: `config-tree.md` §5.7; `interfaces/<x>/` beyond `host`, `guest` and `type` is
//! ours.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use vserver_types::GuestName;

use super::link_kind::{antispoof, device, kind, without_effect};
use super::{nat, trunk};
use crate::model::Interface;
use crate::network_space::{AntiSpoof, LinkKind, NamedSpace, NetLink, NetworkSpace, Uplink};
use crate::reader::Reader;

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
    let [shared, firewall, sctp] = ["shared", "firewall", "sctp"].map(|flag| Reader::exists(&dir.join(flag)));
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
        trunk::judge(reader, &own, &link);
        links.push(link);
    }
    NamedSpace { inherited, name, shared, firewall, sctp, links }
}

fn link(reader: &mut Reader, own: &Path, dir: String, unnamed: &mut u32) -> Option<NetLink> {
    let guest = device(reader, own, "guest").unwrap_or_else(|| {
        *unnamed += 1;
        format!("geth{}", *unnamed - 1)
    });
    let (mtu, mac, gateways) = (mtu(reader, own), mac(reader, own), gateways(reader, own));
    let word = reader.scalar(&own.join("type")).filter(|word| !word.is_empty()).unwrap_or_else(|| "veth".to_owned());
    without_effect(reader, own, &word);
    let (antispoof, masquerade) = (antispoof(reader, own), Reader::exists(&own.join("masquerade")));
    let (forwards, trunk) = (nat::forwards(reader, own), trunk::read(reader, own));
    // Last, so that the faults of all other files are told, too.
    let kind = kind(reader, own, &word)?;
    Some(NetLink { dir, kind, guest, mtu, mac, gateways, antispoof, masquerade, forwards, trunk })
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
    silent(reader, own, link, interfaces);
}

/// Held to no address at all, which whoever gets one by DHCP did not mean.
fn silent(reader: &mut Reader, own: &Path, link: &NetLink, interfaces: &[Interface]) {
    let on_it = |interface: &&Interface| {
        let carried = interface.vlan.as_ref().map(|vlan| vlan.parent.as_str());
        [interface.dev.as_deref(), carried].contains(&Some(link.guest.as_str()))
    };
    let has_one = interfaces.iter().any(|interface| on_it(&interface));
    if !has_one && link.antispoof(has_one) == AntiSpoof::Full {
        let message = format!("no address of interfaces/ is on device '{}', so it can send from none", link.guest);
        let hint = "give it one, or write 'mac' to 'antispoof' if it gets one by DHCP or from a router";
        reader.warn(own, None, message, hint);
    }
}
