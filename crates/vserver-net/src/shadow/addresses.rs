//! Addresses. `include/uapi/linux/if_addr.h`.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use super::links::LO;
use super::wire::{DEL_ADDRESS, GET_ADDRESS, Message, NEW_ADDRESS, Talk, word};

const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
const LABEL: u16 = 3;
const BROADCAST: u16 = 4;
const INET: u8 = 2;
const INET6: u8 = 10;
/// Nobody is asked whether he has it.
const NODAD: u8 = 0x2;
const SCOPE_HOST: u8 = 254;

/// All of the namespace of `talk`, with what is told of them: device, length, scope, the other end, label and broadcast
/// address.
pub(super) fn list(talk: &Talk) -> io::Result<Vec<Message>> {
    let all = talk.list(GET_ADDRESS, &Message::new(vec![0; 8]))?;
    let told = |message: &Message| {
        let mut head = message.head.clone();
        // Flags are the kernel's to say.
        head[2] = 0;
        message.only(head, &[ADDRESS, LOCAL, LABEL, BROADCAST])
    };
    Ok(all.iter().map(told).collect())
}

pub(super) fn ip(message: &Message) -> Option<IpAddr> {
    let bytes = message.get(LOCAL).or_else(|| message.get(ADDRESS))?;
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

pub(super) fn device(message: &Message) -> Option<u32> {
    word(&message.head, 4)
}

/// What the loopback device has.
pub(super) fn localhost(ip: Ipv4Addr) -> Message {
    let head = [[INET, 8, 0, SCOPE_HOST], LO.to_ne_bytes()].concat();
    Message::new(head).with(ADDRESS, &ip.octets()).with(LOCAL, &ip.octets()).with(LABEL, b"lo\0")
}

/// Makes the namespace of `talk` have `wanted` and no others, in that order where they are new.
pub(super) fn follow(talk: &Talk, wanted: &[Message]) -> io::Result<()> {
    // Of this namespace; without it the others of a network go with its first, and come back below.
    fs::write("/proc/sys/net/ipv4/conf/all/promote_secondaries", "1").ok();
    for gone in list(talk)?.iter().filter(|own| !wanted.contains(own)) {
        // With the first of a network the kernel may have dropped this one already.
        talk.change(DEL_ADDRESS, gone).ok();
    }
    let left = list(talk)?;
    for new in wanted.iter().filter(|new| !left.contains(new)) {
        let mut new = new.clone();
        if new.head[0] == INET6 {
            new.head[2] = NODAD;
        }
        talk.make(NEW_ADDRESS, &new)?;
    }
    Ok(())
}
