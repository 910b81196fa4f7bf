//! Ethernet addresses of devices inside. One that nobody chose is the same at every start, or neighbours would send to the
//! last one until they forget it, and a DHCP server would give another address each time.

use std::path::Path;

use vserver_config::{LinkKind, NetLink};

use crate::plan::Plan;

/// `machine-id(5)`: what tells this host from others. A host without it is told apart by nothing.
const HOST: &str = "/etc/machine-id";

/// The chosen one, or one made from the host, the guest's name and the device's; `None` for kinds that have their parent's.
pub fn of(plan: &Plan, link: &NetLink) -> Option<[u8; 6]> {
    let own = matches!(link.kind, LinkKind::Veth { .. } | LinkKind::Macvlan { .. });
    link.mac.or_else(|| {
        let host = std::fs::read(Path::new(HOST)).unwrap_or_default();
        own.then(|| made_from(&[host.trim_ascii(), plan.name.as_str().as_bytes(), link.guest.as_bytes()]))
    })
}

/// Locally administered, of one device: the two lowest bits of the first byte. IEEE 802. The rest is an FNV-1a hash of 64
/// bits (RFC draft eastlake-fnv), folded: 46 bits are enough to tell the guests of a network apart.
fn made_from(parts: &[&[u8]]) -> [u8; 6] {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let bytes = parts.iter().flat_map(|part| part.iter().copied().chain([0]));
    let hash = bytes.fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    let [a, b, c, d, e, f, ..] = (hash ^ hash >> 48).to_le_bytes();
    [a & 0xfc | 0x02, b, c, d, e, f]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_is_the_same_for_the_same_and_of_one_local_device() {
        let mac = made_from(&[b"host", b"web1", b"eth0"]);
        assert_eq!(mac, made_from(&[b"host", b"web1", b"eth0"]));
        assert_eq!(mac[0] & 3, 2);
        for other in [[b"hosT", b"web1", b"eth0"], [b"host", b"web2", b"eth0"], [b"host", b"web1", b"eth1"]] {
            assert_ne!(mac, made_from(&other.map(|part| &part[..])));
        }
        assert_ne!(made_from(&[b"a", b"bc"]), made_from(&[b"ab", b"c"]));
    }

    #[test]
    fn thousands_of_guests_do_not_meet() {
        let all: BTreeSet<_> =
            (0..20_000).map(|n| made_from(&[b"host", format!("web{n}").as_bytes(), b"eth0"])).collect();
        assert_eq!(all.len(), 20_000);
    }
}
