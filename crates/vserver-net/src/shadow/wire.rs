//! rtnetlink as bytes. What the kernel says of the host is told to another namespace nearly as it stands, so nothing is
//! understood here that need not be; and the supervisor, who does it, stays small. rtnetlink(7), netlink(7),
//! `include/uapi/linux/rtnetlink.h`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recvfrom, sendto, socket,
};
use vserver_sys::socket::dump_strictly;

pub(super) const NEW_LINK: u16 = 16;
pub(super) const DEL_LINK: u16 = 17;
pub(super) const GET_LINK: u16 = 18;
pub(super) const SET_LINK: u16 = 19;
pub(super) const NEW_ADDRESS: u16 = 20;
pub(super) const DEL_ADDRESS: u16 = 21;
pub(super) const GET_ADDRESS: u16 = 22;
pub(super) const NEW_ROUTE: u16 = 24;
pub(super) const DEL_ROUTE: u16 = 25;
pub(super) const GET_ROUTE: u16 = 26;

const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const INTERRUPTED: u16 = 0x10;
const DUMP: u16 = 0x300;
const ONLY_NEW: u16 = 0x600;
/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;
/// As in `device/netlink.rs`.
const BUFFER: usize = 64 * 1024;
/// How often a list is asked for that changes while it is told.
const TRIES: usize = 20;

/// A message: its fixed part (`struct ifinfomsg`, `ifaddrmsg`, `rtmsg`) and its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub head: Vec<u8>,
    pub attributes: Vec<(u16, Vec<u8>)>,
}

impl Message {
    pub fn new(head: Vec<u8>) -> Self {
        Self { head, attributes: Vec::new() }
    }

    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        self.attributes.push((kind, value.to_vec()));
        self
    }

    pub fn get(&self, kind: u16) -> Option<&[u8]> {
        self.attributes.iter().find(|(own, _)| *own == kind).map(|(_, value)| value.as_slice())
    }

    /// An attribute that is a number of 32 bits.
    pub fn number(&self, kind: u16) -> Option<u32> {
        word(self.get(kind)?, 0)
    }

    /// Only these attributes, in their order.
    pub fn only(&self, head: Vec<u8>, kinds: &[u16]) -> Self {
        let mut attributes: Vec<_> = self.attributes.iter().filter(|(own, _)| kinds.contains(own)).cloned().collect();
        attributes.sort();
        Self { head, attributes }
    }

    fn of_answer(kind: u16, body: &[u8]) -> Option<Self> {
        let length = match kind & !3 {
            NEW_LINK => 16,
            NEW_ADDRESS => 8,
            NEW_ROUTE => 12,
            _ => return None,
        };
        Some(Self { head: body.get(..length)?.to_vec(), attributes: parse(&body[length..]) })
    }

    fn bytes(&self, kind: u16, flags: u16) -> Vec<u8> {
        let mut body = self.head.clone();
        for (kind, value) in &self.attributes {
            body.extend(attribute(*kind, value));
        }
        let length = (HEADER + body.len()) as u32;
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.extend(length.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST | flags).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(body);
        bytes
    }
}

/// An attribute, filled up to four bytes.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len() + 8);
    bytes.extend((value.len() as u16 + 4).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// All attributes of a body or of another attribute; what is cut off is left out.
pub(super) fn parse(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    // The two highest bits say how the value is written.
    const KIND: u16 = 0x3fff;
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (half(bytes, 0), half(bytes, 2)) {
        let length = usize::from(length);
        let Some(value) = bytes.get(4..length) else { break };
        found.push((kind & KIND, value.to_vec()));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

pub(super) fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A conversation with the kernel about the network namespace that the calling thread is in when it begins.
pub(super) struct Talk {
    socket: OwnedFd,
}

impl Talk {
    pub fn begin() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        // An older kernel tells all, and we pick.
        dump_strictly(socket.as_fd()).ok();
        Ok(Self { socket })
    }

    /// Makes a new thing.
    pub fn make(&self, kind: u16, message: &Message) -> io::Result<()> {
        self.converse(&message.bytes(kind, ACK | ONLY_NEW)).map(drop)
    }

    /// Changes or removes one.
    pub fn change(&self, kind: u16, message: &Message) -> io::Result<()> {
        self.converse(&message.bytes(kind, ACK)).map(drop)
    }

    /// All of a kind that fit `filter`, if the kernel looks at that.
    pub fn list(&self, kind: u16, filter: &Message) -> io::Result<Vec<Message>> {
        let mut tries = 1..TRIES;
        loop {
            match self.converse(&filter.bytes(kind, DUMP)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted && tries.next().is_some() => {}
                answer => return answer,
            }
        }
    }

    fn converse(&self, request: &[u8]) -> io::Result<Vec<Message>> {
        sendto(self.socket.as_raw_fd(), request, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let (mut found, mut whole) = (Vec::new(), true);
        let mut buffer = vec![0; BUFFER];
        loop {
            let (length, sender) = recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), &mut buffer)?;
            // Any process may send to a netlink socket; only the kernel has port 0.
            if sender.is_none_or(|sender| sender.pid() != 0) {
                continue;
            }
            let mut rest = &buffer[..length];
            while let (Some(length), Some(kind), Some(flags)) = (word(rest, 0), half(rest, 4), half(rest, 6)) {
                let length = (length as usize).clamp(HEADER, rest.len().max(HEADER));
                let body = rest.get(HEADER..length).unwrap_or_default();
                whole &= flags & INTERRUPTED == 0;
                match (kind, word(body, 0).unwrap_or(0) as i32) {
                    (ERROR, code @ ..0) => return Err(io::Error::from_raw_os_error(-code)),
                    (DONE, code @ ..0) => return Err(io::Error::from_raw_os_error(-code)),
                    (ERROR | DONE, _) if whole => return Ok(found),
                    (ERROR | DONE, _) => return Err(io::ErrorKind::Interrupted.into()),
                    _ => found.extend(Message::of_answer(kind, body)),
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let message = Message::new(vec![2, 24, 0, 0, 7, 0, 0, 0]).with(2, &[192, 0, 2, 1]).with(3, b"eth0\0");
        let bytes = message.bytes(NEW_ADDRESS, ACK);
        assert_eq!((bytes.len(), word(&bytes, 0)), (44, Some(44)));
        assert_eq!(Message::of_answer(NEW_ADDRESS, &bytes[HEADER..]), Some(message));
    }

    #[test]
    fn what_is_cut_off_is_left_out() {
        let mut bytes = attribute(3, b"eth0\0");
        bytes.extend(attribute(4, &[0; 4]));
        for length in 0..bytes.len() {
            assert!(parse(&bytes[..length]).len() <= 1 + usize::from(length >= 20), "{length}");
        }
        assert_eq!(parse(&[0, 0, 1, 0]), []);
    }
}
