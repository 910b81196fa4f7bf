//! UDP-Lite: from where a guest's datagrams come, and each way that we know to send some from elsewhere. And UDP, where a
//! connected socket says something with a datagram.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, MsgFlags, SockaddrIn, SockaddrIn6, bind, connect, sendmsg, setsockopt, sockopt,
};

use crate::answer::{Answer, call, number};
use crate::{Check, with};

pub const CHECKS: &[Check] = &[
    with("N19", "bind_udplite", "ADDRESS PORT", |args| named(bound(args))),
    with("N19", "connect_udplite", "ADDRESS PORT", |args| named(connected(args))),
    with("N19", "send_udplite", "ADDRESS PORT", |args| named(sent(args))),
    with("N01", "told_udp", "ADDRESS PORT SOURCE", |args| told_udp(args).unwrap_or(Answer::Refused(Errno::EINVAL))),
    with("N19", "forge_udplite", "ADDRESS PORT SOURCE OWN", |args| {
        forge(args).unwrap_or(Answer::Refused(Errno::EINVAL))
    }),
];

fn made(six: bool) -> io::Result<UdpSocket> {
    const UDPLITE: i64 = 136;
    let family = if six { libc::AF_INET6 } else { libc::AF_INET };
    let fd = call(libc::SYS_socket, &[family.into(), libc::SOCK_DGRAM.into(), UDPLITE])?;
    // SAFETY: the kernel has just returned this descriptor, which nobody else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).map_err(io::Error::other)?) };
    Ok(socket.into())
}

fn endpoint(args: &[String]) -> io::Result<SocketAddr> {
    let port = u16::try_from(number(args, 1, 0)).map_err(io::Error::other)?;
    let address = args.first().and_then(|text| text.parse().ok()).ok_or(Errno::EINVAL)?;
    Ok(SocketAddr::new(address, port))
}

fn bind_to(socket: &UdpSocket, address: SocketAddr) -> io::Result<()> {
    let number = socket.as_raw_fd();
    match address {
        SocketAddr::V4(four) => bind(number, &SockaddrIn::from(four))?,
        SocketAddr::V6(six) => bind(number, &SockaddrIn6::from(six))?,
    }
    Ok(())
}

/// The address that it has then.
fn bound(args: &[String]) -> io::Result<SocketAddr> {
    let address = endpoint(args)?;
    let socket = made(address.is_ipv6())?;
    bind_to(&socket, address)?;
    socket.local_addr()
}

/// The source of what was sent through an unbound socket that was connected.
fn connected(args: &[String]) -> io::Result<SocketAddr> {
    let address = endpoint(args)?;
    let socket = made(address.is_ipv6())?;
    socket.connect(address)?;
    socket.send(b"connected")?;
    socket.local_addr()
}

/// Sends without `connect`.
fn sent(args: &[String]) -> io::Result<SocketAddr> {
    let address = endpoint(args)?;
    let socket = made(address.is_ipv6())?;
    socket.send_to(b"sent", address)?;
    Ok(address)
}

/// Sends to an address from SOURCE, which is not ours, in every way. What became of each, a line for it. OWN is ours.
fn forge(args: &[String]) -> Option<Answer> {
    let SocketAddr::V4(to) = endpoint(args).ok()? else { return None };
    let [source, own]: [Ipv4Addr; 2] = [args.get(2)?.parse().ok()?, args.get(3)?.parse().ok()?];
    let ways: [(&str, &dyn Fn() -> io::Result<usize>); 5] = [
        ("bind", &|| from_bound(to, source, |_| Ok(()))),
        ("freebind", &|| from_bound(to, source, |socket| Ok(setsockopt(socket, sockopt::IpFreebind, &true)?))),
        ("told", &|| told(to, source, false)),
        ("told, connected", &|| told(to, source, true)),
        ("unbound", &|| unbound(to, own)),
    ];
    let line = |(name, way): (&str, &dyn Fn() -> io::Result<usize>)| {
        format!(
            "{name}: {}",
            way().map_or_else(
                |error| format!("{:?}", Errno::from_raw(error.raw_os_error().unwrap_or(0))),
                |_| "sent".to_owned()
            )
        )
    };
    Some(Answer::Text(ways.map(line).join("\n")))
}

fn from_bound(
    to: SocketAddrV4,
    source: Ipv4Addr,
    before: impl Fn(&UdpSocket) -> io::Result<()>,
) -> io::Result<usize> {
    let socket = made(false)?;
    before(&socket)?;
    bind_to(&socket, SocketAddrV4::new(source, 0).into())?;
    socket.send_to(b"forged: bound", to)
}

/// By `IP_PKTINFO`.
fn told(to: SocketAddrV4, source: Ipv4Addr, connects: bool) -> io::Result<usize> {
    tell(&made(false)?, to, source, connects)
}

/// The same over UDP.
fn told_udp(args: &[String]) -> Option<Answer> {
    let SocketAddr::V4(to) = endpoint(args).ok()? else { return None };
    let source = args.get(2)?.parse().ok()?;
    let sent = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| tell(&socket, to, source, true));
    Some(sent.map(drop).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0))).into())
}

fn tell(socket: &UdpSocket, to: SocketAddrV4, source: Ipv4Addr, connects: bool) -> io::Result<usize> {
    let info = libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
        ipi_addr: libc::in_addr { s_addr: 0 },
    };
    let (control, to) = ([ControlMessage::Ipv4PacketInfo(&info)], SockaddrIn::from(to));
    if connects {
        connect(socket.as_raw_fd(), &to)?;
    }
    let address = (!connects).then_some(&to);
    Ok(sendmsg(socket.as_raw_fd(), &[IoSlice::new(b"forged: told")], &control, MsgFlags::empty(), address)?)
}

/// A bind that fails, because the port is taken, takes the address that a socket was born with. Then the kernel chooses.
fn unbound(to: SocketAddrV4, own: Ipv4Addr) -> io::Result<usize> {
    let first = made(false)?;
    bind_to(&first, SocketAddrV4::new(own, 0).into())?;
    let taken = first.local_addr()?;
    let socket = made(false)?;
    if bind_to(&socket, taken).is_ok() {
        return Err(Errno::ENOTRECOVERABLE.into());
    }
    socket.connect(to)?;
    socket.send(b"forged: unbound")
}

fn named(address: io::Result<SocketAddr>) -> Answer {
    match address {
        Ok(address) => Answer::Text(format!("OK {address}")),
        Err(error) => Err::<(), _>(Errno::from_raw(error.raw_os_error().unwrap_or(0))).into(),
    }
}
