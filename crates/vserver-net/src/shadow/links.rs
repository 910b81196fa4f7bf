//! Devices. `include/uapi/linux/if_link.h`, `net/core/rtnetlink.c`.

use std::io;

use super::wire::{DEL_LINK, GET_LINK, Message, NEW_LINK, SET_LINK, Talk, attribute, word};

/// The loopback device's number, in every namespace.
pub(super) const LO: u32 = 1;

const ADDRESS: u16 = 1;
const NAME: u16 = 3;
const MTU: u16 = 4;
const OPERSTATE: u16 = 16;
const INFO: u16 = 18;
const FAMILIES: u16 = 26;
const CARRIER: u16 = 33;
const INFO_KIND: u16 = 1;
const INET6: u16 = 10;
const INET6_ADDRESSES: u16 = 8;
/// No link-local address by itself.
const NO_ADDRESSES: u8 = 1;

const UP: u32 = 0x1;
/// What of a device's flags is shown as on the host: up, no ARP, groups.
const FLAGS: u32 = UP | 0x80 | 0x1000;
const OPER_UNKNOWN: u8 = 0;
const OPER_UP: u8 = 6;

/// What stands for a device. The first that the kernel has is taken: the others lack a little, as the kernel's word on the
/// carrier.
const KINDS: [&[u8]; 3] = [b"dummy", b"ifb", b"bridge"];

/// What is told of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub index: u32,
    name: Vec<u8>,
    mtu: Vec<u8>,
    /// Empty unless it is an Ethernet address.
    mac: Vec<u8>,
    flags: u32,
    carrier: Option<u8>,
    operstate: u8,
}

pub(super) fn list(talk: &Talk) -> io::Result<Vec<Device>> {
    Ok(talk.list(GET_LINK, &Message::new(vec![0; 16]))?.iter().filter_map(Device::of).collect())
}

impl Device {
    fn of(message: &Message) -> Option<Self> {
        let bytes = |kind| message.get(kind).unwrap_or_default().to_vec();
        let byte = |kind| message.get(kind).and_then(|value| value.first().copied());
        Some(Self {
            index: word(&message.head, 4)?,
            name: bytes(NAME),
            mtu: bytes(MTU),
            mac: Some(bytes(ADDRESS)).filter(|mac| mac.len() == 6).unwrap_or_default(),
            flags: word(&message.head, 8)? & FLAGS,
            carrier: byte(CARRIER),
            operstate: byte(OPERSTATE).unwrap_or(OPER_UNKNOWN),
        })
    }

    /// Whether `found`, in the shadow, can become this one without being made anew.
    fn is(&self, found: &Self) -> bool {
        let mac = self.mac.is_empty() || self.mac == found.mac;
        let looks = (&self.name, &self.mtu) == (&found.name, &found.mtu) && mac;
        self.index == found.index && (self.index == LO || looks)
    }
}

/// Makes the namespace of `talk` have `wanted` and no others but its loopback device. What one device cannot have, the others
/// still get.
pub(super) fn follow(talk: &Talk, wanted: &[Device]) -> io::Result<()> {
    let found = list(talk)?;
    for gone in found.iter().filter(|own| own.index != LO && !wanted.iter().any(|device| device.is(own))) {
        talk.change(DEL_LINK, &Message::new(head(gone.index, 0, 0)))?;
    }
    for device in wanted {
        if !found.iter().any(|own| device.is(own)) {
            make(talk, device)?;
        }
    }
    for own in list(talk)? {
        if let Some(device) = wanted.iter().find(|device| device.index == own.index) {
            set(talk, device, &own);
        }
    }
    Ok(())
}

fn make(talk: &Talk, device: &Device) -> io::Result<()> {
    let mut message = Message::new(head(device.index, 0, 0)).with(NAME, &device.name).with(MTU, &device.mtu);
    if !device.mac.is_empty() {
        message = message.with(ADDRESS, &device.mac);
    }
    let kinds = KINDS.iter().map(|kind| message.clone().with(INFO, &attribute(INFO_KIND, kind)));
    let mut made = Err(io::ErrorKind::Unsupported.into());
    for of_kind in kinds {
        made = talk.make(NEW_LINK, &of_kind);
        if made.is_ok() {
            break;
        }
    }
    made?;
    let none = attribute(INET6, &attribute(INET6_ADDRESSES, &[NO_ADDRESSES]));
    // A host without IPv6 has no such addresses.
    talk.change(SET_LINK, &Message::new(head(device.index, 0, 0)).with(FAMILIES, &none)).ok();
    Ok(())
}

/// What differs; a kind of device that takes it not is shown as it is.
fn set(talk: &Talk, device: &Device, own: &Device) {
    let changes = if device.index == LO { UP } else { FLAGS };
    if (device.flags ^ own.flags) & changes != 0 {
        talk.change(SET_LINK, &Message::new(head(device.index, device.flags & changes, changes))).ok();
    }
    if let Some(carrier) = device.carrier.filter(|_| device.index != LO && device.carrier != own.carrier) {
        talk.change(SET_LINK, &Message::new(head(device.index, 0, 0)).with(CARRIER, &[carrier])).ok();
    }
    if (device.operstate, own.operstate) == (OPER_UP, OPER_UNKNOWN) {
        talk.change(SET_LINK, &Message::new(head(device.index, 0, 0)).with(OPERSTATE, &[OPER_UP])).ok();
    }
}

/// `struct ifinfomsg`.
fn head(index: u32, flags: u32, changes: u32) -> Vec<u8> {
    [[0; 4], index.to_ne_bytes(), flags.to_ne_bytes(), changes.to_ne_bytes()].concat()
}
