//! The network's part of a plan: devices, addresses, and what sockets are held to.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};
use vserver_config::{GuestConfig, Userns};
use vserver_net::{AddressPolicy, Localhost};
use vserver_types::{ContextCaps, GuestAddress, NetCaps, NetFlags, Nid, Xid};

use crate::error::{Error, Result};
use crate::settings::Shown;

/// An address to put on a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressPlan {
    /// The device.
    pub device: String,
    /// Address and prefix length.
    pub address: GuestAddress,
    /// Label, `device:name`.
    pub label: Option<String>,
    /// Broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// Other end of a point-to-point link.
    pub peer: Option<IpAddr>,
    /// Scope; `None` leaves it to the kind of address.
    #[serde(default)]
    pub scope: Option<u8>,
    /// Set the device up.
    pub up: bool,
}

/// A VLAN device to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VlanPlan {
    /// Its name.
    pub device: String,
    /// The device that carries it.
    pub parent: String,
    /// Its number.
    pub id: u16,
}

/// A tun or tap device to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunPlan {
    /// Its name.
    pub device: String,
    /// It carries Ethernet frames, not packets.
    pub tap: bool,
    /// The host's uid that may use it; `None`: everybody who fits the group.
    pub owner: Option<u32>,
    /// The host's group that may use it.
    pub group: Option<u32>,
    /// Type of the link, `ARPHRD_*`.
    pub link_type: Option<u16>,
}

/// What the guest's sockets are held to; `None` leaves them alone (`noncontext`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPlan {
    /// Its addresses, the default source first.
    pub addresses: Vec<IpAddr>,
    /// Its private loopback address.
    pub loopback: Ipv4Addr,
    /// Broadcast address that it may use.
    pub broadcast: Option<Ipv4Addr>,
    /// Raw ICMP sockets for ping.
    pub raw_icmp: bool,
    /// 127.0.0.1 is its private loopback address.
    pub lback_remap: bool,
    /// Without that: 127.0.0.1 is the host's.
    pub lback_allow: bool,
    /// Its private loopback address is shown as 127.0.0.1.
    pub hide_lback: bool,
    /// Multicast addresses may be bound.
    pub multicast: bool,
    /// Every user of it may bind ports below 1024.
    pub low_ports: bool,
    /// What is not its own of the host's network stack is not shown to it.
    #[serde(default)]
    pub hide_netif: bool,
}

impl NetworkPlan {
    /// The same for those who make the programs.
    pub fn policy(&self) -> AddressPolicy {
        AddressPolicy {
            addresses: self.addresses.clone(),
            loopback: self.loopback,
            broadcast: self.broadcast,
            low_ports: self.low_ports,
            raw_icmp: self.raw_icmp,
            localhost: match (self.lback_remap, self.lback_allow) {
                (true, _) => Localhost::Private,
                (false, true) => Localhost::Shared,
                (false, false) => Localhost::Refused,
            },
            hide_loopback: self.hide_lback,
            multicast: self.multicast,
        }
    }

    /// Takes what the words of the network context say.
    pub fn follow(&mut self, ncaps: NetCaps, ccaps: ContextCaps, nflags: NetFlags) {
        self.raw_icmp = ncaps.contains(NetCaps::RAW_ICMP) || ccaps.contains(ContextCaps::RAW_ICMP);
        self.multicast = ncaps.contains(NetCaps::MULTICAST);
        self.lback_remap = nflags.contains(NetFlags::LBACK_REMAP);
        self.lback_allow = nflags.contains(NetFlags::LBACK_ALLOW);
        self.hide_lback = nflags.contains(NetFlags::HIDE_LBACK);
        self.hide_netif = nflags.contains(NetFlags::HIDE_NETIF);
    }

    /// What is shown to it, unless that is everything.
    pub fn shown(&self) -> Option<Shown> {
        let named = self.lback_remap || self.lback_allow;
        let localhost = if named { Ipv4Addr::LOCALHOST } else { self.loopback };
        let loopback = Some(self.loopback);
        let Self { addresses, hide_lback, .. } = self;
        self.hide_netif.then(|| Shown { addresses: addresses.clone(), localhost, loopback, hide_lback: *hide_lback })
    }
}

pub(super) fn addresses(config: &GuestConfig) -> Result<Vec<AddressPlan>> {
    let on_device = config.interfaces.iter().filter(|interface| !interface.nodev);
    on_device
        .filter_map(|interface| interface.dev.as_ref().map(|device| (interface, device)))
        .map(|(interface, device)| {
            let peer = interface.peer.as_ref().map(|peer| peer.parse::<GuestAddress>()).transpose();
            let peer = peer.map_err(Error::layer("read a peer address", &config.name))?;
            Ok(AddressPlan {
                device: device.clone(),
                address: interface.address,
                label: interface.label.clone(),
                broadcast: interface.broadcast,
                peer: peer.map(|peer| peer.ip),
                scope: interface.scope.as_deref().and_then(vserver_config::scope_number),
                up: interface.up,
            })
        })
        .collect()
}

/// Several addresses may be on one.
pub(super) fn vlans(config: &GuestConfig) -> Vec<VlanPlan> {
    let mut all: Vec<VlanPlan> = Vec::new();
    for (device, vlan) in config.interfaces.iter().filter_map(|one| one.dev.as_ref().zip(one.vlan.as_ref())) {
        if !all.iter().any(|known| known.device == *device) {
            all.push(VlanPlan { device: device.clone(), parent: vlan.parent.clone(), id: vlan.id });
        }
    }
    all
}

pub(super) fn nid(config: &GuestConfig, xid: Xid) -> Nid {
    config.ncontext.unwrap_or(Nid(xid.0))
}

/// What the sockets of `config`, as context `xid`, are held to. On a stack of its own a guest has what is there.
pub(crate) fn network(config: &GuestConfig, xid: Xid) -> Option<NetworkPlan> {
    config.shares_the_stack().then(|| own_network(config, nid(config, xid)))
}

fn own_network(config: &GuestConfig, nid: Nid) -> NetworkPlan {
    let mut network = NetworkPlan {
        addresses: config.interfaces.iter().map(|interface| interface.address.ip).collect(),
        loopback: config.lback.unwrap_or_else(|| vserver_net::private_loopback(nid)),
        broadcast: config.bcast,
        raw_icmp: false,
        lback_remap: true,
        lback_allow: false,
        hide_lback: true,
        hide_netif: true,
        multicast: false,
        // Nobody in a user namespace has the host's CAP_NET_BIND_SERVICE.
        low_ports: config.userns != Userns::Off,
    };
    network.follow(config.ncaps, config.ccaps, config.nflags);
    network
}
