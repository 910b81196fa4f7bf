//! `netns/interfaces/<x>/type` and what belongs to each type. Beyond veth all are ours.

use std::path::Path;

use super::interfaces::device_name;
use crate::network_space::{AntiSpoof, IpvlanMode, LinkKind, MacvlanMode, Uplink};
use crate::reader::Reader;
use crate::switch::is_name as is_switch_name;

/// What not every type of link has.
const LINK_FILES: [&str; 6] = ["host", "bridge", "switch", "parent", "mode", "vlan"];

/// What belongs to another type of link.
pub(super) fn without_effect(reader: &mut Reader, own: &Path, word: &str) {
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

pub(super) fn kind(reader: &mut Reader, own: &Path, word: &str) -> Option<LinkKind> {
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

pub(super) fn antispoof(reader: &mut Reader, own: &Path) -> Option<AntiSpoof> {
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

pub(super) fn device(reader: &mut Reader, own: &Path, file: &str) -> Option<String> {
    let path = own.join(file);
    let dev = reader.scalar(&path).filter(|dev| !dev.is_empty())?;
    device_name(reader, &path, &dev);
    Some(dev)
}
