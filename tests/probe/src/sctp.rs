//! SCTP with all addresses of an end, in both styles: one to one (SOCK_STREAM) and one to many (SOCK_SEQPACKET). sctp(7),
//! `include/uapi/linux/sctp.h`, RFC 6458.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockaddrStorage, recv, send};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::answer::{Answer, call, number};
use crate::sockets::as_many;
use crate::{Check, with};

pub const CHECKS: &[Check] = &[
    with("N19", "sctp_serve", "TYPE PORT OWN…", |args| said(serve(args))),
    with("N19", "sctp_call", "SECONDS TYPE PORT OWN,… TO,…", |args| said(ask(args))),
    with("N19", "many_sctp", "COUNT", |args| as_many(args, &[(2, 1, 132), (2, 5, 132), (10, 1, 132), (10, 5, 132)])),
];

const STREAM: i64 = 1;
/// Longest wait of one who serves.
const PATIENCE: i64 = 40;

/// Options of `SOL_SCTP`.
const GET_ASSOC_ID_LIST: i32 = 29;
const BINDX_ADD: i32 = 100;
const PEELOFF: i32 = 102;
const GET_PEER_ADDRS: i32 = 108;
const CONNECTX: i32 = 110;

/// Answers one caller: what he said, and the addresses that he has. One to many, he is taken out of the socket first.
fn serve(args: &[String]) -> Result<String, Errno> {
    let (kind, port, own) = (number(args, 0, STREAM), port(args, 1)?, addresses(args.get(2..).unwrap_or_default())?);
    let socket = bound(kind, port, &own, PATIENCE)?;
    nix::sys::socket::listen(&socket, nix::sys::socket::Backlog::new(4)?)?;
    println!("ready");
    let _ = std::io::stdout().flush();
    let mut buffer = [0; 64];
    let (length, caller) = if kind == STREAM {
        let caller = owned(nix::sys::socket::accept(socket.as_raw_fd())?);
        (recv(caller.as_raw_fd(), &mut buffer, MsgFlags::empty())?, caller)
    } else {
        let (length, _) = nix::sys::socket::recvfrom::<SockaddrStorage>(socket.as_raw_fd(), &mut buffer)?;
        (length, peel_off(&socket)?)
    };
    let heard = format!("{} {}", String::from_utf8_lossy(&buffer[..length]), peers(&caller, 0)?);
    send(caller.as_raw_fd(), b"welcome", MsgFlags::empty())?;
    Ok(heard)
}

/// Says something to all addresses at once, and tells the answer and the addresses that the other has.
fn ask(args: &[String]) -> Result<String, Errno> {
    let (patience, kind, port) = (number(args, 0, PATIENCE), number(args, 1, STREAM), port(args, 2)?);
    let [own, to] = [3, 4].map(|at| args.get(at).map(|text| text.split(',').map(str::to_owned).collect::<Vec<_>>()));
    let (own, to) = (addresses(&own.ok_or(Errno::EINVAL)?)?, addresses(&to.ok_or(Errno::EINVAL)?)?);
    let socket = bound(kind, 0, &own, patience)?;
    let association = set(socket.as_raw_fd(), libc::IPPROTO_SCTP, CONNECTX, &packed(&to, port))?;
    // With its answer the other is gone, and the association with it.
    let theirs = peers(&socket, association)?;
    let mut buffer = [0; 64];
    let length = if kind == STREAM {
        send(socket.as_raw_fd(), b"hello", MsgFlags::empty())?;
        recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?
    } else {
        let to = SockaddrStorage::from(SocketAddr::new(to[0], port));
        nix::sys::socket::sendto(socket.as_raw_fd(), b"hello", &to, MsgFlags::empty())?;
        nix::sys::socket::recvfrom::<SockaddrStorage>(socket.as_raw_fd(), &mut buffer)?.0
    };
    Ok(format!("{} {theirs}", String::from_utf8_lossy(&buffer[..length])))
}

/// A socket at all of these addresses, which waits no longer than so many seconds for anything.
fn bound(kind: i64, port: u16, own: &[IpAddr], patience: i64) -> Result<OwnedFd, Errno> {
    let family = if own.iter().any(IpAddr::is_ipv6) { libc::AF_INET6 } else { libc::AF_INET };
    let fd = call(libc::SYS_socket, &[family.into(), kind, libc::IPPROTO_SCTP.into()])?;
    let socket = owned(i32::try_from(fd).map_err(|_| Errno::EBADF)?);
    let limit = TimeVal::seconds(patience);
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::SendTimeout, &limit)?;
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::ReceiveTimeout, &limit)?;
    set(socket.as_raw_fd(), libc::IPPROTO_SCTP, BINDX_ADD, &packed(own, port))?;
    Ok(socket)
}

/// A socket of its own for the only association of one that has many.
fn peel_off(socket: &OwnedFd) -> Result<OwnedFd, Errno> {
    let mut list = [0_u32; 8];
    get(socket.as_raw_fd(), GET_ASSOC_ID_LIST, &mut list)?;
    let mut argument = [list[1], 0];
    let fd = get(socket.as_raw_fd(), PEELOFF, &mut argument)?;
    Ok(owned(fd))
}

/// All addresses of the other end, in order. `struct sctp_getaddrs`.
fn peers(socket: &OwnedFd, association: i32) -> Result<String, Errno> {
    let mut buffer = [0_u32; 128];
    buffer[0] = association.cast_unsigned();
    get(socket.as_raw_fd(), GET_PEER_ADDRS, &mut buffer)?;
    let bytes: Vec<u8> = buffer[2..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let (mut found, mut rest) = (Vec::new(), &bytes[..]);
    for _ in 0..buffer[1] {
        let six = i32::from(u16::from_ne_bytes([rest[0], rest[1]])) == libc::AF_INET6;
        found.push(if six {
            IpAddr::from(<[u8; 16]>::try_from(&rest[8..24]).map_err(|_| Errno::EINVAL)?)
        } else {
            IpAddr::from(<[u8; 4]>::try_from(&rest[4..8]).map_err(|_| Errno::EINVAL)?)
        });
        rest = &rest[if six { 28 } else { 16 }..];
    }
    found.sort();
    Ok(found.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" "))
}

/// One `sockaddr` after the other, each as long as its family's.
fn packed(addresses: &[IpAddr], port: u16) -> Vec<u8> {
    let one = |address: &IpAddr| {
        let (family, ip, length) = match address {
            IpAddr::V4(four) => (libc::AF_INET as u16, Ipv4Addr::octets(four).to_vec(), 16),
            // Before the address is the label of its flow.
            IpAddr::V6(six) => (libc::AF_INET6 as u16, [vec![0; 4], Ipv6Addr::octets(six).to_vec()].concat(), 28),
        };
        let mut bytes = [family.to_ne_bytes().to_vec(), port.to_be_bytes().to_vec(), ip].concat();
        bytes.resize(length, 0);
        bytes
    };
    addresses.iter().flat_map(one).collect()
}

/// The kernel's answer, which is a number for some.
fn set(fd: RawFd, level: i32, option: i32, value: &[u8]) -> Result<i32, Errno> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel reads as many bytes as are in the slice.
    Errno::result(unsafe { libc::setsockopt(fd, level, option, value.as_ptr().cast(), length) })
}

fn get(fd: RawFd, option: i32, value: &mut [u32]) -> Result<i32, Errno> {
    let mut length = libc::socklen_t::try_from(size_of_val(value)).map_err(|_| Errno::EINVAL)?;
    let place = value.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most as many bytes as are in the slice, any of which are numbers.
    Errno::result(unsafe { libc::getsockopt(fd, libc::IPPROTO_SCTP, option, place, &raw mut length) })
}

fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: every caller passes what the kernel has just returned as a new descriptor, which nobody else owns.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn port(args: &[String], at: usize) -> Result<u16, Errno> {
    u16::try_from(number(args, at, 0)).map_err(|_| Errno::EINVAL)
}

fn addresses(words: &[String]) -> Result<Vec<IpAddr>, Errno> {
    let all: Result<Vec<IpAddr>, _> = words.iter().map(|word| word.parse()).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or(Errno::EINVAL)
}

fn said(result: Result<String, Errno>) -> Answer {
    result.map_or_else(Answer::Refused, Answer::Text)
}
