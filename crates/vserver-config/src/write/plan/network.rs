//! `traffic/`, and `interfaces/`: what an interface has in common with the others may stay above it.

use std::net::IpAddr;
use std::path::Path;

use ipnetwork::Ipv4Network;

use super::super::editor::Editor;
use super::super::text;
use crate::model::{GuestConfig, Interface, Tun};
use crate::network_space::NetworkSpace;
use crate::reader::{Reader, shell_read};

pub(super) fn plan(editor: &mut Editor<'_>, defaults: &Path, now: &GuestConfig, wanted: &GuestConfig) {
    for (file, is, shall) in
        [("interfaces/lback", now.lback, wanted.lback), ("interfaces/bcast", now.bcast, wanted.bcast)]
    {
        if is != shall {
            editor.scalar(file, shall.map(|address| address.to_string()).as_deref());
        }
    }
    for (file, is, shall) in [
        ("traffic/egress", now.traffic.egress, wanted.traffic.egress),
        ("traffic/ingress", now.traffic.ingress, wanted.traffic.ingress),
    ] {
        if is != shall {
            editor.scalar(file, shall.map(|shape| shape.to_string()).as_deref());
        }
    }
    if now.network_space != wanted.network_space {
        space(editor, &wanted.network_space);
    }
    // The address of the context is every interface's broadcast address, too, unless its own says otherwise.
    let inherited = now.bcast != wanted.bcast;
    for gone in now.interfaces.iter().filter(|own| wanted.interfaces.iter().all(|shall| shall.dir != own.dir)) {
        editor.flag(&format!("interfaces/{}/disabled", gone.dir), true);
    }
    for shall in &wanted.interfaces {
        if inherited || !now.interfaces.contains(shall) {
            interface(editor, defaults, shall, wanted);
        }
    }
}

/// A namespace with a name is made of files that whoever wants one writes.
fn space(editor: &mut Editor<'_>, wanted: &NetworkSpace) {
    let word = match wanted {
        NetworkSpace::Named(_) => return,
        NetworkSpace::Host => None,
        NetworkSpace::Own => Some(""),
        NetworkSpace::Of(other) => Some(other.as_str()),
    };
    editor.scalar("spaces/net", word);
}

fn interface(editor: &mut Editor<'_>, defaults: &Path, wanted: &Interface, guest: &GuestConfig) {
    let Interface { dir, address, dev, nodev, label, broadcast, peer, scope, up, vlan, tun } = wanted;
    let own = Own { dir: format!("interfaces/{dir}") };
    editor.flag(&own.file("disabled"), false);
    let ip = editor.value(&own.file("ip")).and_then(|text| text.split('/').next().and_then(|ip| ip.parse().ok()));
    let length = editor.value(&own.file("ip")).is_some_and(|text| text.contains('/'));
    if ip != Some(address.ip) || length {
        editor.scalar(&own.file("ip"), Some(&address.ip.to_string()));
    }
    prefix(editor, &own, address.prefix);
    own.value(editor, "dev", dev.as_deref());
    let is = editor.exists(&own.file("nodev")) || editor.exists(&own.file("only_ip"));
    if is != *nodev {
        editor.flag(&own.file("nodev"), *nodev);
        editor.flag(&own.file("only_ip"), false);
    }
    if let Some(dev) = dev {
        let name = label.as_deref().and_then(|label| label.strip_prefix(dev.as_str())?.strip_prefix(':'));
        own.alone(editor, "name", name);
    }
    let computed = match (address.ip, address.prefix) {
        (IpAddr::V4(ip), Some(prefix @ 0..=30)) => {
            Ipv4Network::new(ip, prefix).ok().map(|network| network.broadcast())
        }
        _ => None,
    };
    if address.ip.is_ipv4() {
        let explicit = broadcast.filter(|_| *broadcast != computed).map(|broadcast| broadcast.to_string());
        broadcast_address(editor, &own, explicit, computed.map(|it| it.to_string()), guest);
    }
    own.alone(editor, "peer", peer.as_deref());
    own.value(editor, "scope", scope.as_deref());
    editor.flag(&own.file("down"), !up);
    if !nodev {
        vlan_flags(editor, defaults, &own, vlan.is_some() && tun.is_none());
        tun_device(editor, &own, *tun);
    }
}

/// Without `tun` and `tap` the others would be remarks.
fn tun_device(editor: &mut Editor<'_>, own: &Own, wanted: Option<Tun>) {
    let tun = wanted.unwrap_or_default();
    editor.flag(&own.file("tun"), wanted.is_some() && !tun.tap);
    for (name, is) in [("tap", tun.tap), ("nocsum", tun.nocsum), ("shared", tun.shared)] {
        editor.flag(&own.file(name), is);
    }
    own.alone(editor, "uid", tun.uid.map(|uid| uid.to_string()).as_deref());
    own.alone(editor, "gid", tun.gid.map(|gid| gid.to_string()).as_deref());
    own.alone(editor, "linktype", tun.linktype.map(|kind| kind.to_string()).as_deref());
}

/// A mask and a length in `ip` count only without a prefix; an empty line hides the prefix above.
fn prefix(editor: &mut Editor<'_>, own: &Own, wanted: Option<u8>) {
    let effective = |editor: &Editor<'_>, name: &str| {
        let above = || editor.value(&format!("interfaces/{name}"));
        own.said(editor, name).or_else(above).filter(|text| !text.is_empty())
    };
    let by_prefix = effective(editor, "prefix");
    let by_mask = effective(editor, "mask").and_then(|mask| mask.parse().ok()).map(crate::read::prefix_of);
    let now = by_prefix.as_deref().map_or(by_mask, |prefix| prefix.parse().ok());
    if now == wanted {
        return;
    }
    if wanted.is_some() {
        own.say(editor, "prefix", wanted.map(|prefix| prefix.to_string()).as_deref());
        editor.remove(&own.file("mask"));
        return;
    }
    own.value(editor, "prefix", None);
    own.value(editor, "mask", None);
}

fn broadcast_address(
    editor: &mut Editor<'_>,
    own: &Own,
    explicit: Option<String>,
    computed: Option<String>,
    guest: &GuestConfig,
) {
    // What stands above after this change.
    let above = match guest.bcast {
        Some(address) => Some(address.to_string()),
        None => editor.value("interfaces/bcast").filter(|text| text == "+"),
    };
    let is = own.said_beside(editor, "bcast", above.is_some());
    let effective = is.clone().or_else(|| above.clone()).filter(|text| !text.is_empty() && text != "+");
    if effective == explicit || explicit.is_none() && effective.is_some() && effective == computed {
        return;
    }
    match (&explicit, above) {
        (Some(address), _) => own.say(editor, "bcast", Some(address)),
        (None, Some(_)) => own.say(editor, "bcast", Some("")),
        (None, None) => editor.remove(&own.file("bcast")),
    }
}

/// An own flag wins over one above it, and an own denial over those above.
fn vlan_flags(editor: &mut Editor<'_>, defaults: &Path, own: &Own, wanted: bool) {
    if wanted {
        let host = Reader::exists(&defaults.join("interfaces/vlandev")) && !editor.exists("interfaces/novlandev");
        let above = editor.exists("interfaces/vlandev") || host;
        let denied = editor.exists(&own.file("novlandev"));
        if !above || denied {
            editor.flag(&own.file("vlandev"), true);
        }
        return;
    }
    editor.flag(&own.file("vlandev"), false);
    if editor.exists("interfaces/vlandev") || Reader::exists(&defaults.join("interfaces/vlandev")) {
        editor.flag(&own.file("novlandev"), true);
    }
}

/// One interface's directory.
struct Own {
    dir: String,
}

impl Own {
    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    /// The own value, unless it lacks its newline and has no say beside the one above.
    fn said(&self, editor: &Editor<'_>, name: &str) -> Option<String> {
        self.said_beside(editor, name, editor.text(&format!("interfaces/{name}")).is_some())
    }

    fn said_beside(&self, editor: &Editor<'_>, name: &str, above: bool) -> Option<String> {
        let text = editor.text(&self.file(name))?;
        let (value, rest) = shell_read(&text);
        (rest.is_some() || !above).then_some(value)
    }

    /// Gives the own file a value that counts, whatever is above.
    fn say(&self, editor: &mut Editor<'_>, name: &str, value: Option<&str>) {
        let file = self.file(name);
        match (value, editor.text(&file)) {
            (Some(value), Some(old)) if shell_read(&old).1.is_none() => editor.put(&file, text::scalar("", value)),
            _ => editor.scalar(&file, value),
        }
    }

    /// A value that the directory above may give; an own empty line hides that one.
    fn value(&self, editor: &mut Editor<'_>, name: &str, wanted: Option<&str>) {
        let above = editor.value(&format!("interfaces/{name}")).filter(|text| !text.is_empty());
        let own = self.said(editor, name);
        let now = own.clone().or_else(|| above.clone()).filter(|text| !text.is_empty());
        match (wanted, above) {
            _ if now.as_deref() == wanted => {}
            (None, Some(_)) => self.say(editor, name, Some("")),
            (wanted, _) => self.say(editor, name, wanted),
        }
    }

    /// A value that only the interface itself can have.
    fn alone(&self, editor: &mut Editor<'_>, name: &str, wanted: Option<&str>) {
        if editor.value(&self.file(name)).filter(|text| !text.is_empty()).as_deref() != wanted {
            editor.scalar(&self.file(name), wanted);
        }
    }
}
