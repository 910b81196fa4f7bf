//! `interfaces/`: the addresses of a guest, with what they inherit from the directory above.

mod tun;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ipnetwork::Ipv4Network;
use vserver_types::GuestAddress;

use crate::model::{Interface, Vlan};
use crate::reader::Reader;

/// Longest device name in bytes (`IFNAMSIZ` − 1). Source: `include/uapi/linux/if.h`.
const DEVICE: usize = 15;
const DOTTED: &str = "four numbers from 0 to 255 with dots between them";

/// The addresses in alphabetical order, disabled ones left out. `defaults` is `.defaults/`.
pub(super) fn read(reader: &mut Reader, dir: &Path, defaults: &Path) -> Vec<Interface> {
    let dir = dir.join("interfaces");
    let mut found: Vec<Interface> = Vec::new();
    for name in reader.names(&dir) {
        let own = dir.join(&name);
        if !reader.has_dir(&own) || reader.has(&own.join("disabled")) {
            continue;
        }
        let Some(interface) = Files { own: &own, all: &dir, defaults }.read(reader, name) else {
            continue;
        };
        if found.iter().any(|other| other.address.ip == interface.address.ip) {
            reader.warn(&own, None, format!("{} is in another interface too", interface.address.ip), "remove one");
        }
        found.push(interface);
    }
    found
}

/// `interfaces/lback` or `interfaces/bcast`: an address of the network context itself.
pub(super) fn own_address(reader: &mut Reader, dir: &Path, name: &str) -> Option<Ipv4Addr> {
    let path = dir.join("interfaces").join(name);
    let text = reader.scalar(&path).filter(|text| !text.is_empty() && (name != "bcast" || text != "+"))?;
    let address = text.parse().ok();
    if address.is_none() {
        reader.error(&path, Some(1), format!("'{}' is not an IPv4 address", text.escape_debug()), DOTTED);
    }
    address
}

/// Tells of a name that no device can have. Source: `dev_valid_name` of `net/core/dev.c`.
pub(super) fn device_name(reader: &mut Reader, path: &Path, dev: &str) {
    let odd = |c: char| c.is_whitespace() || matches!(c, '/' | ':');
    if dev.len() > DEVICE || dev.contains(odd) || dev == "." || dev == ".." {
        let message = format!("'{}' cannot be the name of a device", dev.escape_debug());
        reader.error(path, Some(1), message, "at most 15 bytes without blanks, '/' and ':'");
    }
}

/// The file that a value of an interface comes from: its own, unless that one lacks the newline at its end and there is
/// one above. Source: `config-tree.md` §5.6.
pub(crate) fn inherited(reader: &mut Reader, own: &Path, all: &Path, name: &str) -> Option<PathBuf> {
    let (own, above) = (own.join(name), all.join(name));
    let counts = reader.has_file(&own) && (!reader.has_file(&above) || reader.ends(&own));
    if counts { Some(own) } else { reader.has_file(&above).then_some(above) }
}

/// Where the values of one interface come from: its own directory, else `interfaces/`.
struct Files<'a> {
    own: &'a Path,
    all: &'a Path,
    defaults: &'a Path,
}

impl Files<'_> {
    fn read(&self, reader: &mut Reader, dir: String) -> Option<Interface> {
        let only_ip = reader.has(&self.own.join("only_ip"));
        if only_ip {
            reader.warn(&self.own.join("only_ip"), None, "it is an obsolete name of nodev", "rename it");
        }
        let nodev = only_ip || reader.has(&self.own.join("nodev"));
        let dev = self.device(reader);
        if dev.is_none() && !nodev {
            let hint = "name a device in 'dev', or create 'nodev' if the host has the address already";
            reader.error(self.own, None, "no device is given", hint);
        }
        let address = self.address(reader)?;
        let label = self.label(reader, dev.as_deref());
        let tun = if nodev { None } else { tun::read(reader, self.own) };
        let vlan = dev.as_deref().filter(|_| !nodev && tun.is_none()).and_then(|dev| self.vlan(reader, dev));
        let broadcast = self.broadcast(reader, address);
        let peer = self.peer(reader);
        let scope = self.scope(reader);
        let up = !reader.has(&self.own.join("down"));
        Some(Interface { dir, address, dev, nodev, label, broadcast, peer, scope, up, vlan, tun })
    }

    /// Own value, else the one above; an own empty line hides the one above.
    fn inherited(&self, reader: &mut Reader, name: &str) -> Option<(PathBuf, String)> {
        let (path, own) = (inherited(reader, self.own, self.all, name)?, self.own.join(name));
        if path != own && reader.has_file(&own) {
            let message = format!("does not end on newline, so interfaces/{name} counts as it did in the original");
            reader.warn(&own, None, message, "remove it, or end it with a newline to give it a say");
        }
        let text = reader.scalar(&path)?;
        Some((path, text))
    }

    fn device(&self, reader: &mut Reader) -> Option<String> {
        let (path, dev) = self.inherited(reader, "dev").filter(|(_, dev)| !dev.is_empty())?;
        device_name(reader, &path, &dev);
        Some(dev)
    }

    /// The kernel refuses a label that is longer than a device's name.
    fn label(&self, reader: &mut Reader, dev: Option<&str>) -> Option<String> {
        let path = self.own.join("name");
        let name = reader.scalar(&path).filter(|name| !name.is_empty())?;
        let label = format!("{}:{name}", dev?);
        if label.len() > DEVICE {
            let message = format!("the label '{}' has more than 15 bytes", label.escape_debug());
            reader.error(&path, Some(1), message, "choose a shorter name, or remove the file");
        }
        Some(label)
    }

    fn peer(&self, reader: &mut Reader) -> Option<String> {
        let path = self.own.join("peer");
        let peer = reader.scalar(&path).filter(|peer| !peer.is_empty())?;
        if let Err(error) = peer.parse::<GuestAddress>() {
            reader.error(&path, Some(1), error.to_string(), "the IPv4 or IPv6 address of the other end");
        }
        Some(peer)
    }

    fn address(&self, reader: &mut Reader) -> Option<GuestAddress> {
        let path = self.own.join("ip");
        let Some(text) = reader.scalar(&path).filter(|text| !text.is_empty()) else {
            reader.error(self.own, None, "no address is given", "write it to 'ip'");
            return None;
        };
        let mut address: GuestAddress = match text.parse() {
            Ok(address) => address,
            Err(error) => {
                reader.error(
                    &path,
                    Some(1),
                    error.to_string(),
                    "an IPv4 or IPv6 address; its length goes to 'prefix'",
                );
                return None;
            }
        };
        let broadcast = matches!(address.ip, IpAddr::V4(ip) if ip.is_broadcast());
        if address.ip.is_unspecified() || address.ip.is_multicast() || broadcast {
            let message = format!("{} is not the address of one host", address.ip);
            let hint = "name the addresses that the guest may use, or create 'noncontext' if it may use all";
            reader.error(&path, Some(1), message, hint);
        }
        if let Some((from, prefix)) = self.prefix(reader) {
            if address.prefix.is_some_and(|own| own != prefix) {
                reader.error(
                    &path,
                    Some(1),
                    "its length differs from 'prefix' or 'mask'",
                    "give it in 'prefix' only",
                );
            }
            if prefix > if address.ip.is_ipv4() { 32 } else { 128 } {
                let message = format!("prefix length {prefix} is too long for {}", address.ip);
                reader.error(&from, Some(1), message, "IPv4 has 32 bits, IPv6 128");
                return None;
            }
            address.prefix = Some(prefix);
        }
        Some(address)
    }

    /// `prefix` wins over `mask`, even an inherited one over the interface's own.
    fn prefix(&self, reader: &mut Reader) -> Option<(PathBuf, u8)> {
        if let Some((path, text)) = self.inherited(reader, "prefix").filter(|(_, text)| !text.is_empty()) {
            let prefix = text.parse().ok();
            if prefix.is_none() {
                reader.error(
                    &path,
                    Some(1),
                    format!("'{}' is not a prefix length", text.escape_debug()),
                    "a number, like 24",
                );
            }
            return prefix.map(|prefix| (path, prefix));
        }
        let (path, text) = self.inherited(reader, "mask").filter(|(_, text)| !text.is_empty())?;
        let Ok(mask) = Ipv4Addr::from_str(&text) else {
            reader.error(&path, Some(1), format!("'{}' is not a network mask", text.escape_debug()), DOTTED);
            return None;
        };
        let length = prefix_of(mask);
        if mask.to_bits().leading_ones() != u32::from(length) || mask.to_bits().count_ones() != u32::from(length) {
            reader.warn(
                &path,
                Some(1),
                format!("{mask} is no mask; it is taken as /{length}"),
                "write the length to 'prefix'",
            );
        }
        Some((path, length))
    }

    fn broadcast(&self, reader: &mut Reader, address: GuestAddress) -> Option<Ipv4Addr> {
        let IpAddr::V4(ip) = address.ip else { return None };
        let computed = || {
            let prefix = address.prefix.filter(|prefix| *prefix <= 30)?;
            Ipv4Network::new(ip, prefix).ok().map(|network| network.broadcast())
        };
        match self.inherited(reader, "bcast") {
            Some((path, text)) if !text.is_empty() && text != "+" => {
                let given = text.parse().ok();
                if given.is_none() {
                    reader.error(&path, Some(1), format!("'{}' is not an IPv4 address", text.escape_debug()), DOTTED);
                }
                given
            }
            _ => computed(),
        }
    }

    /// The original reads it and does not use it, so nonsense is no fault.
    fn scope(&self, reader: &mut Reader) -> Option<String> {
        let (path, text) = self.inherited(reader, "scope").filter(|(_, text)| !text.is_empty())?;
        if scope_number(&text).is_none() {
            let message = format!("'{}' is no scope of an address, so it is not used", text.escape_debug());
            reader.warn(&path, Some(1), message, "global, site, link, host, nowhere, or a number from 0 to 255");
        }
        Some(text)
    }

    /// A device with a dot is made as a VLAN: by an own flag, else by one above that nothing nearer denies.
    fn vlan(&self, reader: &mut Reader, dev: &str) -> Option<Vlan> {
        let mut flag = |dir: &Path, name: &str| reader.has(&dir.join(name));
        let (own_no, all_no) = (flag(self.own, "novlandev"), flag(self.all, "novlandev"));
        let host = self.defaults.join("interfaces");
        let wanted = flag(self.own, "vlandev")
            || flag(self.all, "vlandev") && !own_no
            || flag(&host, "vlandev") && !own_no && !all_no;
        if !wanted {
            return None;
        }
        let (parent, id) = (dev.split('.').next()?, dev.rsplit_once('.')?.1);
        match id.parse() {
            Ok(id @ 0..=4094) => Some(Vlan { parent: parent.to_owned(), id }),
            _ => {
                reader.error(
                    self.own,
                    None,
                    format!("'{dev}' does not end in a VLAN number"),
                    "0 to 4094, as in eth0.42",
                );
                None
            }
        }
    }
}

/// The kernel's number of an address scope. Source: `include/uapi/linux/rtnetlink.h`, ip-address(8).
pub fn scope_number(text: &str) -> Option<u8> {
    match text {
        "global" | "universe" => Some(0),
        "site" => Some(200),
        "link" => Some(253),
        "host" => Some(254),
        "nowhere" => Some(255),
        number => number.parse().ok(),
    }
}

/// Leading one bits of each octet, added up, as the original does it.
pub(crate) fn prefix_of(mask: Ipv4Addr) -> u8 {
    mask.octets().iter().map(|octet| u8::try_from(octet.leading_ones()).unwrap_or(8)).sum()
}
