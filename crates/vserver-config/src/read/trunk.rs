//! `netns/interfaces/<x>/trunk`: VLANs that keep their tags at a port. Ours.

use std::path::Path;

use crate::network_space::{LinkKind, NetLink, Uplink, VlanRange};
use crate::reader::Reader;

/// Numbers of VLANs: 0 is no VLAN, 4095 reserved. IEEE 802.1Q.
const NUMBERS: std::ops::RangeInclusive<u16> = 1..=4094;

/// Lines of `NUMBER` or `FIRST-LAST`, in the order of their numbers.
pub(super) fn read(reader: &mut Reader, own: &Path) -> Vec<VlanRange> {
    let path = own.join("trunk");
    let mut found: Vec<VlanRange> = Vec::new();
    for line in reader.list(&path) {
        let Some(range) = parse(&line.text) else {
            let message = format!("'{}' is not a VLAN number, and no two of them in order", line.text.escape_debug());
            reader.error(&path, Some(line.number), message, "1 to 4094, as `7` or `100-109`");
            continue;
        };
        if let Some(twice) = found.iter().find_map(|other| other.meets(&range)) {
            let message = format!("VLAN {twice} is named twice");
            reader.error(&path, Some(line.number), message, "remove one of them");
            continue;
        }
        found.push(range);
    }
    found.sort_unstable_by_key(|range| range.first);
    found
}

fn parse(text: &str) -> Option<VlanRange> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |word: &str| word.trim().parse().ok().filter(|number| NUMBERS.contains(number));
    let range = VlanRange { first: number(first)?, last: number(last)? };
    (range.first <= range.last).then_some(range)
}

/// Only a port has VLANs, and one of them cannot be there with tags and without.
pub(super) fn judge(reader: &mut Reader, own: &Path, link: &NetLink) {
    if link.trunk.is_empty() {
        return;
    }
    let path = own.join("trunk");
    let LinkKind::Veth { uplink: Uplink::Switch { .. } | Uplink::Bridge(_), .. } = &link.kind else {
        let hint = "name one in 'switch' or 'bridge', or remove it";
        reader.error(&path, None, "only a port of a switch or bridge carries several VLANs", hint);
        return;
    };
    if let LinkKind::Veth { uplink: Uplink::Switch { vlan: Some(vlan), .. }, .. } = link.kind
        && link.trunk.iter().any(|range| range.meets(&VlanRange { first: vlan, last: vlan }).is_some())
    {
        let message = format!("VLAN {vlan} is the one without tags (file 'vlan') and cannot have tags, too");
        reader.error(&path, None, message, "remove it from one of the two files");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges() {
        let range = |first, last| Some(VlanRange { first, last });
        assert_eq!([parse("7"), parse("1-4094"), parse("100 - 109")], [range(7, 7), range(1, 4094), range(100, 109)]);
        for bad in ["0", "4095", "9-7", "1-4095", "x", "1-2-3", "-7", "7-", "70000"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn ranges_meet_in_their_first_common_number() {
        let range = |first, last| VlanRange { first, last };
        assert_eq!(range(1, 10).meets(&range(5, 20)), Some(5));
        assert_eq!(range(5, 20).meets(&range(1, 5)), Some(5));
        assert_eq!(range(1, 4).meets(&range(5, 20)), None);
    }
}
