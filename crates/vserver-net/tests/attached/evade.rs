//! Ways around the address of a guest, tried from inside. Guests here have the host's root and capabilities, which those of
//! real guests have not: the programs alone must hold.

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, stdin};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener, UnixStream};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrIn, SockaddrIn6, bind,
    recvmsg, sendmsg, sendto, setsockopt, socket, sockopt,
};

use crate::guest::{answer, errno, said};

/// `MSG_FASTOPEN`: connects and sends at once.
const FAST_OPEN: MsgFlags = MsgFlags::from_bits_retain(0x2000_0000);
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);

pub fn run(case: &str) {
    match case {
        "share_port" => share_port(),
        "join_port" => join_port(),
        "transparent" => transparent(),
        "fast_open" => fast_open(),
        "hear_group" => hear_group(),
        "give_socket" => give_socket(),
        "take_socket" => take_socket(),
        "mapped_datagrams" => mapped_datagrams(),
        other => crate::traffic::run(other),
    }
}

fn plain(family: AddressFamily, kind: SockType) -> OwnedFd {
    socket(family, kind, SockFlag::empty(), None).unwrap()
}

fn at(last: u8, port: u16) -> SockaddrIn {
    SockaddrIn::new(10, 99, 0, last, port)
}

/// A server that lets others share its port.
fn share_port() {
    let fd = plain(AddressFamily::Inet, SockType::Datagram);
    setsockopt(&fd, sockopt::ReusePort, &true).unwrap();
    bind(fd.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, 9060)).unwrap();
    let socket = UdpSocket::from(fd);
    println!("{}", socket.local_addr().unwrap());
    for _ in 0..50 {
        assert_eq!(answer(&socket).unwrap().0, "for web");
    }
    stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// N20: another guest of the same user wants a share of it; all that it gets is the port of its own address.
fn join_port() {
    for last in [1, 2, 9] {
        let fd = plain(AddressFamily::Inet, SockType::Datagram);
        setsockopt(&fd, sockopt::ReusePort, &true).unwrap();
        assert_eq!(bind(fd.as_raw_fd(), &at(last, 9060)), Err(Errno::EADDRNOTAVAIL));
    }
    let fd = plain(AddressFamily::Inet, SockType::Datagram);
    setsockopt(&fd, sockopt::ReusePort, &true).unwrap();
    bind(fd.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, 9060)).unwrap();
    let socket = UdpSocket::from(fd);
    assert_eq!(socket.local_addr().unwrap().ip(), Ipv4Addr::new(10, 99, 0, 3));
    println!("joined");
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stdin().read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(socket.recv_from(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

fn transparent() {
    for kind in [SockType::Stream, SockType::Datagram] {
        let fd = plain(AddressFamily::Inet, kind);
        setsockopt(&fd, sockopt::IpTransparent, &true).unwrap();
        setsockopt(&fd, sockopt::IpFreebind, &true).unwrap();
        for foreign in [at(9, 8087), at(77, 8087), SockaddrIn::new(8, 8, 8, 8, 53)] {
            assert_eq!(bind(fd.as_raw_fd(), &foreign), Err(Errno::EADDRNOTAVAIL), "{foreign}");
        }
        bind(fd.as_raw_fd(), &at(1, 8087)).unwrap();
    }
    let six = plain(AddressFamily::Inet6, SockType::Datagram);
    setsockopt(&six, sockopt::Ipv6V6Only, &true).unwrap();
    let foreign: std::net::SocketAddrV6 = "[fd00:99::77]:53".parse().unwrap();
    assert_eq!(bind(six.as_raw_fd(), &SockaddrIn6::from(foreign)), Err(Errno::EADDRNOTAVAIL));
}

/// Whatever the kernel does with the data, the connection is judged as one of `connect`.
fn fast_open() {
    let fd = plain(AddressFamily::Inet, SockType::Stream);
    match sendto(fd.as_raw_fd(), b"?", &at(9, 7003), FAST_OPEN) {
        Ok(_) => assert_eq!(said(TcpStream::from(fd)).unwrap(), "10.99.0.1"),
        Err(refused) => assert_eq!(refused, Errno::EOPNOTSUPP),
    }
    for loopback in [SockaddrIn::new(127, 0, 0, 1, 7001), SockaddrIn::new(127, 0, 52, 1, 7002)] {
        let fd = plain(AddressFamily::Inet, SockType::Stream);
        let refused = sendto(fd.as_raw_fd(), b"?", &loopback, FAST_OPEN).unwrap_err();
        assert!([Errno::ECONNREFUSED, Errno::EOPNOTSUPP].contains(&refused), "{refused}");
    }
}

/// N13: a socket that joins a group without the capability hears nothing of it, however it is bound.
fn hear_group() {
    let bound = UdpSocket::bind("0.0.0.0:9070").unwrap();
    let unbound = UdpSocket::from(plain(AddressFamily::Inet, SockType::Datagram));
    unbound.send_to(b"?", "10.99.0.9:7005").unwrap();
    assert_eq!(answer(&unbound).unwrap().0, "10.99.0.1");
    for socket in [&bound, &unbound] {
        socket.join_multicast_v4(&GROUP, &Ipv4Addr::new(10, 99, 0, 1)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    }
    assert_eq!(errno(UdpSocket::bind((GROUP, 9070)).unwrap_err()), Errno::EADDRNOTAVAIL);
    println!("{}", unbound.local_addr().unwrap().port());
    stdin().read_to_end(&mut Vec::new()).unwrap();
    for socket in [&bound, &unbound] {
        assert_eq!(socket.recv_from(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

/// Sends a socket of this guest to another.
fn give_socket() {
    let listener = UnixListener::bind_addr(&UnixAddress::from_abstract_name("vserver-net-test").unwrap()).unwrap();
    println!("listens");
    let (stream, _) = listener.accept().unwrap();
    let fds = [plain(AddressFamily::Inet, SockType::Datagram), plain(AddressFamily::Inet, SockType::Stream)];
    let numbers = fds.each_ref().map(AsRawFd::as_raw_fd);
    let rights = [ControlMessage::ScmRights(&numbers)];
    sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(b".")], &rights, MsgFlags::empty(), None).unwrap();
    stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// A socket stays with the guest that made it: whoever has it gets that one's addresses from it, and never the host's.
fn take_socket() {
    let address = UnixAddress::from_abstract_name("vserver-net-test").unwrap();
    let stream = UnixStream::connect_addr(&address).unwrap();
    let (mut byte, mut space) = ([0; 1], nix::cmsg_space!([i32; 2]));
    let mut data = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut data, Some(&mut space), MsgFlags::empty()).unwrap();
    let rights = message.cmsgs().unwrap().find_map(|one| match one {
        ControlMessageOwned::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fds = rights.unwrap();
    for (&fd, own) in fds.iter().zip([2, 1]) {
        for foreign in [3, 9] {
            assert_eq!(bind(fd, &at(foreign, 9080)), Err(Errno::EADDRNOTAVAIL));
        }
        bind(fd, &at(own, 9080)).unwrap();
    }
}

/// N05: an IPv6 socket that speaks IPv4.
fn mapped_datagrams() {
    let six = UdpSocket::from(plain(AddressFamily::Inet6, SockType::Datagram));
    six.send_to(b"?", "[::ffff:10.99.0.9]:7005").unwrap();
    assert_eq!(answer(&six).unwrap().0, "10.99.0.1");
    let connected = UdpSocket::from(plain(AddressFamily::Inet6, SockType::Datagram));
    connected.connect("[::ffff:10.99.0.9]:7005").unwrap();
    connected.send(b"?").unwrap();
    assert_eq!(answer(&connected).unwrap().0, "10.99.0.1");
    for loopback in ["[::ffff:127.0.0.1]:7006", "[::ffff:127.0.52.1]:7008", "[::ffff:127.0.0.2]:7008"] {
        assert_eq!(errno(connected.connect(loopback).unwrap_err()), Errno::ECONNREFUSED, "{loopback}");
        assert_eq!(errno(six.send_to(b"?", loopback).unwrap_err()), Errno::ECONNREFUSED, "{loopback}");
    }
}
