//! Routes of the main table. `struct rtmsg` and `RTA_*` of `include/uapi/linux/rtnetlink.h`.

use std::io;
use std::net::IpAddr;

use super::wire::{DEL_ROUTE, GET_ROUTE, Message, NEW_ROUTE, Talk, parse, word};

const DESTINATION: u16 = 1;
const DEVICE: u16 = 4;
const GATEWAY: u16 = 5;
const PRIORITY: u16 = 6;
const SOURCE: u16 = 7;
const SEVERAL: u16 = 9;
const TABLE: u16 = 15;
const VIA: u16 = 18;
const FAMILIES: [u8; 2] = [2, 10];
const MAIN: u8 = 254;
const BY_KERNEL: u8 = 2;
const UNICAST: u8 = 1;
const CLONED: u32 = 0x200;
const ONLINK: u32 = 0x4;
/// Bytes of `struct rtnexthop`.
const HOP: usize = 8;
/// Most of them that are told: a host that has all routes of the internet is not copied.
const MOST: usize = 256;

/// Those of the namespace of `talk` through `devices` that the kernel did not make along with an address, with what is told
/// of them. Of several ways to one place it is the first through these devices; the source only if it is one of `sources`.
pub(super) fn list(talk: &Talk, devices: &[u32], sources: &[IpAddr]) -> Vec<Message> {
    let mut found = Vec::new();
    for device in devices {
        for family in FAMILIES {
            let mut head = vec![0; 12];
            head[0] = family;
            let filter =
                Message::new(head).with(DEVICE, &device.to_ne_bytes()).with(TABLE, &u32::from(MAIN).to_ne_bytes());
            // Without a family, a table or the device there are none.
            let all = talk.list(GET_ROUTE, &filter).unwrap_or_default();
            let told = all.iter().filter_map(|route| told(route, *device, sources));
            found.extend(told.take(MOST));
        }
    }
    found
}

fn told(route: &Message, device: u32, sources: &[IpAddr]) -> Option<Message> {
    let flags = word(&route.head, 8)?;
    let [family, length, 0, service, MAIN, protocol, scope, UNICAST, ..] = *route.head.as_slice() else {
        return None;
    };
    if protocol == BY_KERNEL || flags & CLONED != 0 {
        return None;
    }
    let mut one = route.clone();
    if let Some(hops) = route.get(SEVERAL) {
        one.attributes.retain(|(kind, _)| ![DEVICE, GATEWAY, VIA].contains(kind));
        one.attributes.extend(first_through(hops, device)?);
    }
    if one.number(DEVICE) != Some(device) {
        return None;
    }
    one.attributes.retain(|(kind, value)| *kind != SOURCE || is_one_of(value, sources));
    let gateway = one.get(GATEWAY).or_else(|| one.get(VIA)).is_some();
    let flags = if gateway { ONLINK } else { 0 };
    let head = [&[family, length, 0, service, MAIN, protocol, scope, UNICAST], &flags.to_ne_bytes()[..]].concat();
    Some(one.only(head, &[DESTINATION, DEVICE, GATEWAY, PRIORITY, SOURCE, VIA]))
}

/// The way through `device` out of several.
fn first_through(mut hops: &[u8], device: u32) -> Option<Vec<(u16, Vec<u8>)>> {
    while let Some(length) = super::wire::half(hops, 0).map(usize::from).filter(|length| *length >= HOP) {
        if word(hops, 4) == Some(device) {
            let mut found = parse(hops.get(HOP..length)?);
            found.push((DEVICE, device.to_ne_bytes().to_vec()));
            return Some(found);
        }
        hops = hops.get(length.next_multiple_of(4)..)?;
    }
    None
}

fn is_one_of(value: &[u8], sources: &[IpAddr]) -> bool {
    sources.iter().any(|source| match source.to_canonical() {
        IpAddr::V4(ip) => ip.octets() == value,
        IpAddr::V6(ip) => ip.octets() == value,
    })
}

/// Makes the namespace of `talk` have `wanted` and no others through these devices. What the kernel refuses is missing.
pub(super) fn follow(talk: &Talk, wanted: &[Message], devices: &[u32], sources: &[IpAddr]) -> io::Result<()> {
    let found = list(talk, devices, sources);
    for gone in found.iter().filter(|own| !wanted.contains(own)) {
        talk.change(DEL_ROUTE, gone).ok();
    }
    for new in wanted.iter().filter(|new| !found.contains(new)) {
        talk.make(NEW_ROUTE, new).ok();
    }
    Ok(())
}
