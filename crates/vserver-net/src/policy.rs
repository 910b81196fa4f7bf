//! Which addresses a guest may use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vserver_types::Nid;

use crate::meter::MeterTables;
use crate::steering::Tables;

/// What a guest that shares the host's network stack may do with addresses. Everything that is not named is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressPolicy {
    /// The guest's own addresses, in the order of `interfaces/`: the first of a family is the source of outgoing
    /// traffic and what a wildcard bind becomes. They need not be on the host yet.
    pub addresses: Vec<IpAddr>,
    /// What the guest's 127.0.0.1 really is; see [`private_loopback`].
    pub loopback: Ipv4Addr,
    /// Broadcast address that the guest may bind and hear, besides its own.
    pub broadcast: Option<Ipv4Addr>,
    /// Every user of the guest may bind ports below 1024 (kernel 5.12). Without it the kernel asks for
    /// `CAP_NET_BIND_SERVICE` over the *host's* network namespace, which nobody in a user namespace has.
    pub low_ports: bool,
    /// Raw and datagram ICMP sockets (`ping`) are not refused; the kernel's own conditions for them remain.
    pub raw_icmp: bool,
    /// What 127.0.0.1 is.
    pub localhost: Localhost,
    /// The private loopback is shown as 127.0.0.1 (`hide_lback`).
    pub hide_loopback: bool,
    /// Multicast addresses may be bound, and packets for them are heard (ncapability `^12`).
    pub multicast: bool,
}

/// What a guest's 127.0.0.1 is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Localhost {
    /// The private loopback address (`lback_remap`).
    #[default]
    Private,
    /// The host's, shared with the host and every other guest that may (`lback_allow`).
    Shared,
    /// Nobody's: the guest has to name its private loopback address itself.
    Refused,
}

/// The private loopback address of a network context: 127.(nid / 256).(nid mod 256).1, as VServer derives it.
/// Unique for 1–65 535; larger numbers are taken modulo 65 536.
pub const fn private_loopback(nid: Nid) -> Ipv4Addr {
    let [_, _, high, low] = nid.0.to_be_bytes();
    Ipv4Addr::new(127, high, low, 1)
}

/// An IPv4 address as a program sees it: the four bytes of the wire in one register.
pub(crate) const fn word(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

/// An IPv6 address as a program sees it.
pub(crate) fn words(address: Ipv6Addr) -> [u32; 4] {
    let bytes = address.octets();
    std::array::from_fn(|i| u32::from_ne_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]]))
}

/// A policy in the form in which programs compare.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// Own IPv4 addresses, without the loopback.
    pub own4: Vec<u32>,
    /// Own IPv6 addresses.
    pub own6: Vec<[u32; 4]>,
    pub loopback: u32,
    pub broadcast: Option<u32>,
    pub low_ports: bool,
    pub raw_icmp: bool,
    pub localhost: Localhost,
    pub hide_loopback: bool,
    pub multicast: bool,
    /// Where `bind` notes what was bound to a wildcard; `None`: nowhere.
    pub wildcards: Option<i32>,
    /// How wildcard sockets hear the addresses after the first; `None`: not at all.
    pub steering: Option<Tables>,
    /// Where traffic is counted; `None`: not at all.
    pub meter: Option<MeterTables>,
}

impl Table {
    pub fn new(policy: &AddressPolicy) -> Self {
        let mut table = Self {
            own4: Vec::new(),
            own6: Vec::new(),
            loopback: word(policy.loopback),
            broadcast: policy.broadcast.map(word),
            low_ports: policy.low_ports,
            raw_icmp: policy.raw_icmp,
            localhost: policy.localhost,
            hide_loopback: policy.hide_loopback,
            multicast: policy.multicast,
            wildcards: None,
            steering: None,
            meter: None,
        };
        for address in &policy.addresses {
            match address.to_canonical() {
                IpAddr::V4(ip) => table.own4.push(word(ip)),
                IpAddr::V6(ip) => table.own6.push(words(ip)),
            }
        }
        table
    }

    /// Whether a wildcard stands for more than one address.
    pub fn has_several(&self) -> bool {
        self.own4.len() + self.own6.len() > 1
    }

    /// What 0.0.0.0 becomes: a guest without any address still has its loopback.
    pub fn first4(&self) -> u32 {
        self.own4.first().copied().unwrap_or(self.loopback)
    }

    /// Everything that may stand as a source or a destination of the guest's own.
    pub fn local4(&self) -> Vec<u32> {
        let shared = (self.localhost == Localhost::Shared).then_some(word(Ipv4Addr::LOCALHOST));
        self.own4.iter().copied().chain([self.loopback]).chain(shared).collect()
    }

    /// The same with the broadcast address: what may be bound, and what packets may be for.
    pub fn bindable4(&self) -> Vec<u32> {
        self.local4().into_iter().chain(self.broadcast).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_private_loopback_is_that_of_vserver() {
        assert_eq!(private_loopback(Nid(40_000)), Ipv4Addr::new(127, 156, 64, 1));
        assert_eq!(private_loopback(Nid(2)), Ipv4Addr::new(127, 0, 2, 1));
        assert_eq!(private_loopback(Nid(49_152)), Ipv4Addr::new(127, 192, 0, 1));
    }

    #[test]
    fn a_mapped_address_counts_as_ipv4() {
        let policy = AddressPolicy {
            addresses: vec!["::ffff:192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            loopback: private_loopback(Nid(5)),
            broadcast: None,
            low_ports: false,
            raw_icmp: false,
            localhost: Localhost::Private,
            hide_loopback: true,
            multicast: false,
        };
        let table = Table::new(&policy);
        assert_eq!(table.own4, [word(Ipv4Addr::new(192, 0, 2, 1))]);
        assert_eq!(table.own6.len(), 1);
    }
}
