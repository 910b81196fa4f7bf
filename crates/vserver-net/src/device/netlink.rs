//! One question to the kernel's rtnetlink, and all of its answers. See rtnetlink(7).
//!
//! Each question has its own socket, made and closed within the call: nothing is left for a fork to inherit.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recvfrom, sendto, socket,
};

/// Larger than any datagram of the kernel (`NLMSG_GOODSIZE` is at most 8 KiB, dumps are cut to the reader's buffer,
/// 32 KiB at most).
const BUFFER: usize = 64 * 1024;

/// Asks for something to be done; `flags` are `NLM_F_*` besides `REQUEST` and `ACK`.
pub fn change(message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
    converse(message, NLM_F_ACK | flags).map(drop)
}

/// Asks for all objects of a kind.
pub fn dump(message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
    const TRIES: usize = 50;
    let mut tries = 1..TRIES;
    loop {
        match converse(message.clone(), NLM_F_DUMP) {
            // Something changed in the middle: an object may be missing, or be there twice.
            Err(error) if error.kind() == io::ErrorKind::Interrupted && tries.next().is_some() => {}
            answer => return answer,
        }
    }
}

fn converse(message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
    message.finalize();
    let mut request = vec![0; message.buffer_len()];
    message.serialize(&mut request);
    let kernel = NetlinkAddr::new(0, 0);
    sendto(socket.as_raw_fd(), &request, &kernel, MsgFlags::empty())?;
    answers(&socket)
}

/// Reads up to the end of a dump or an acknowledgement.
fn answers(socket: &OwnedFd) -> io::Result<Vec<RouteNetlinkMessage>> {
    let (mut found, mut whole) = (Vec::new(), true);
    let mut buffer = vec![0; BUFFER];
    loop {
        let (length, sender) = recvfrom::<NetlinkAddr>(socket.as_raw_fd(), &mut buffer)?;
        // Any process may send to a netlink socket; only the kernel has port 0.
        if sender.is_none_or(|sender| sender.pid() != 0) {
            continue;
        }
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest).map_err(io::Error::other)?;
            // Messages are aligned to four bytes.
            let taken = (answer.header.length as usize).next_multiple_of(4).max(4);
            rest = rest.get(taken..).unwrap_or_default();
            whole &= answer.header.flags & NLM_F_DUMP_INTR == 0;
            match answer.payload {
                NetlinkPayload::Done(_) if whole => return Ok(found),
                NetlinkPayload::Done(_) => return Err(io::ErrorKind::Interrupted.into()),
                NetlinkPayload::Error(error) if error.code.is_none() => return Ok(found),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(message) => found.push(message),
                _ => {}
            }
        }
    }
}
