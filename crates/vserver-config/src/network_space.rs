//! Whose network stack a guest uses: the words of `netns/` and `spaces/net`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A guest's network stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkSpace {
    /// The host's; programs hold the guest to its addresses.
    #[default]
    Host,
    /// A new one without a name (`spaces/net` is empty).
    Own,
    /// That of another running guest, by its name or number (`spaces/net`).
    Of(String),
    /// One with a name, as iproute2 knows it (`netns/`).
    Named(NamedSpace),
}

/// `netns/`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct NamedSpace {
    /// The host's `.defaults/netns` says so, not a directory of the guest's own.
    pub inherited: bool,
    /// Name below `/run/netns`.
    pub name: String,
    /// The administrator makes and removes it, and its links.
    pub shared: bool,
    /// The guest may have packet filters of its own inside.
    #[serde(default)]
    pub firewall: bool,
    /// The guest may have SCTP inside.
    #[serde(default)]
    pub sctp: bool,
    /// Its links, in alphabetical order of their directories.
    pub links: Vec<NetLink>,
}

/// One link of a namespace: a directory below `netns/interfaces/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct NetLink {
    /// Name of its directory.
    pub dir: String,
    /// What it is, and what it hangs on.
    pub kind: LinkKind,
    /// Name of the device inside.
    pub guest: String,
    /// Largest packet, bytes.
    pub mtu: Option<u32>,
    /// Ethernet address inside.
    pub mac: Option<[u8; 6]>,
    /// Where the rest of the world is; at most one of each family.
    pub gateways: Vec<IpAddr>,
    /// What it is held to; `None`: what [`NetLink::antispoof`] says.
    #[serde(default)]
    pub antispoof: Option<AntiSpoof>,
    /// What leaves the host from it has the host's address.
    #[serde(default)]
    pub masquerade: bool,
    /// Ports of the host that lead to it.
    #[serde(default)]
    pub forwards: Vec<PortForward>,
    /// VLANs that keep their tags at its port of a switch or bridge, in order; none of them twice. With any, frames without a
    /// tag pass only if the port has a VLAN for them.
    #[serde(default)]
    pub trunk: Vec<VlanRange>,
}

/// VLANs with numbers in a row, 1–4094.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct VlanRange {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl VlanRange {
    /// The lowest number that is in both.
    pub fn meets(&self, other: &Self) -> Option<u16> {
        let first = self.first.max(other.first);
        (first <= self.last.min(other.last)).then_some(first)
    }
}

/// A port of the host that leads to a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct PortForward {
    /// TCP, UDP or SCTP.
    pub transport: Transport,
    /// The host's address; `None`: all that it has.
    pub host: Option<IpAddr>,
    /// The host's port.
    pub port: u16,
    /// The guest's port.
    pub to: u16,
}

/// What has ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl PortForward {
    /// Whether there is a packet that both would take.
    pub fn clashes(&self, other: &Self) -> bool {
        let (own, its) = (self.host, other.host);
        let met = own.is_none() || its.is_none() || own == its;
        self.transport == other.transport && self.port == other.port && met
    }
}

/// What a guest may say of itself on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AntiSpoof {
    /// Its Ethernet address and its addresses in `interfaces/`; it is no router and no DHCP server.
    Full,
    /// The same with any address: for a guest that asks a DHCP server for one, or forwards for others.
    Mac,
    /// Anything.
    Off,
}

/// Kinds of links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// A pair of devices.
    Veth {
        /// The one on the host.
        host: String,
        /// What becomes of that one.
        uplink: Uplink,
    },
    /// A device of its own on one of the host's.
    Macvlan {
        /// The host's.
        parent: String,
        /// How it meets its siblings.
        mode: MacvlanMode,
    },
    /// The same with the parent's Ethernet address; needs the kernel module ipvlan.
    Ipvlan {
        /// The host's.
        parent: String,
        /// How it forwards.
        mode: IpvlanMode,
    },
    /// One tag's packets of a device of the host's; needs the kernel module 8021q.
    Vlan {
        /// The host's.
        parent: String,
        /// Number, 0–4094.
        id: u16,
    },
    /// The device itself, for as long as the guest runs.
    Physical {
        /// Its name on the host.
        parent: String,
    },
}

/// What becomes of the host's end of a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uplink {
    /// Nothing: scripts see to it.
    Bare,
    /// A port of this bridge.
    Bridge(String),
    /// Plugged into a switch of ours.
    Switch {
        /// Its name.
        name: String,
        /// The VLAN that the guest is in there; `None`: the first, as everybody without one.
        vlan: Option<u16>,
    },
    /// The host routes the guest's addresses there.
    Routed,
}

/// How a macvlan device meets its siblings. ip-link(8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MacvlanMode {
    /// They reach each other directly.
    #[default]
    Bridge,
    /// They do not.
    Private,
    /// Through the switch that the parent is plugged into.
    Vepa,
}

/// How an ipvlan device forwards. ip-link(8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IpvlanMode {
    /// As a switch.
    #[default]
    L2,
    /// As a router.
    L3,
    /// As a router, through the host's packet filter.
    L3s,
}

impl NetworkSpace {
    /// The stack is made for this guest and goes with it.
    pub fn is_own(&self) -> bool {
        match self {
            Self::Own => true,
            Self::Named(named) => !named.shared,
            Self::Host | Self::Of(_) => false,
        }
    }

    /// It asks for packet filters of the guest's own (`netns/firewall`).
    pub fn wants_firewall(&self) -> bool {
        matches!(self, Self::Named(named) if named.firewall)
    }

    /// It asks for SCTP (`netns/sctp`).
    pub fn wants_sctp(&self) -> bool {
        matches!(self, Self::Named(named) if named.sctp)
    }

    /// Its links; none of a stack that is not its own.
    pub fn links(&self) -> &[NetLink] {
        match self {
            Self::Named(named) if !named.shared => &named.links,
            _ => &[],
        }
    }
}

impl NetLink {
    /// What it is held to. A device that moves in is the guest's altogether, and a pair that the configuration says nothing
    /// of is left to scripts; all others are held fully unless told otherwise.
    pub fn antispoof(&self, has_addresses: bool) -> AntiSpoof {
        let left_alone = match self.kind {
            LinkKind::Physical { .. } => true,
            LinkKind::Veth { uplink: Uplink::Bare, .. } => !has_addresses,
            _ => false,
        };
        self.antispoof.unwrap_or(if left_alone { AntiSpoof::Off } else { AntiSpoof::Full })
    }
}

impl LinkKind {
    /// The device of the host that it hangs on.
    pub fn parent(&self) -> Option<&str> {
        match self {
            Self::Veth { uplink: Uplink::Bridge(bridge), .. } => Some(bridge),
            Self::Veth { .. } => None,
            Self::Macvlan { parent, .. }
            | Self::Ipvlan { parent, .. }
            | Self::Vlan { parent, .. }
            | Self::Physical { parent } => Some(parent),
        }
    }

    /// The kernel's name of the kind, and the word of `type`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Veth { .. } => "veth",
            Self::Macvlan { .. } => "macvlan",
            Self::Ipvlan { .. } => "ipvlan",
            Self::Vlan { .. } => "vlan",
            Self::Physical { .. } => "phys",
        }
    }
}
