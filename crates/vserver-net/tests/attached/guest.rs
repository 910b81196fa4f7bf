//! The guest's side: each case is a process in the cgroup of a guest, and panics if something is not as promised.

use std::fs;
use std::io::{ErrorKind, IoSlice, Read, Write, stdin};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6,
    SockaddrStorage, bind, connect, getsockname, listen, sendmsg, setsockopt, socket, sockopt,
};

pub fn run(case: &str) {
    match case {
        "binds" => binds(),
        "mapped_binds" => mapped_binds(),
        "tcp_source" => tcp_source(),
        "udp_source" => udp_source(),
        "host_loopback" => host_loopback(),
        "own_loopback" => own_loopback(),
        "localhost_wildcard" => localhost_wildcard(),
        "sockets" => sockets(),
        "low_port_allowed" => assert_eq!(low_port(), None),
        "low_port_refused" => assert_eq!(low_port(), Some(Errno::EACCES)),
        "six" => six(),
        "demo" => demo(),
        "many" => many(),
        "serve_wildcard" => serve("0.0.0.0:8080"),
        "serve_dual" => serve("[::]:8080"),
        "serve_second" => serve_as("exactly ", "10.99.0.2:8080"),
        "serve_loopback" => serve("127.0.0.1:8081"),
        "hear_wildcard" => hear("0.0.0.0:9053", "all"),
        "hear_dual" => hear("[::]:9053", "all"),
        "hear_second" => hear("10.99.0.2:9053", "second"),
        "serve_unbound" => serve_unbound(),
        "hear_unbound" => hear_unbound(),
        "others_loopback" => others_loopback(),
        "is_now_4" => is_now_4(),
        other => crate::evade::run(other),
    }
}

/// The errno of binding TCP and UDP, which must agree; `None` is success.
pub fn bind_errno(address: &str) -> Option<Errno> {
    let address: SocketAddr = address.parse().unwrap();
    let tcp = TcpListener::bind(address).err().map(errno);
    let udp = UdpSocket::bind(address).err().map(errno);
    assert_eq!(tcp, udp, "{address}");
    tcp
}

pub fn errno(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap())
}

/// Who the service at `address` says that we are.
pub fn caller(address: &str) -> std::io::Result<String> {
    said(TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(5))?)
}

pub fn said(mut stream: TcpStream) -> std::io::Result<String> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn patient(socket: &UdpSocket) {
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
}

pub fn answer(socket: &UdpSocket) -> std::io::Result<(String, SocketAddr)> {
    patient(socket);
    let mut buffer = [0; 64];
    let (length, from) = socket.recv_from(&mut buffer)?;
    Ok((String::from_utf8_lossy(&buffer[..length]).into_owned(), from))
}

fn tcp6(only6: bool) -> OwnedFd {
    let fd = socket(AddressFamily::Inet6, SockType::Stream, SockFlag::empty(), None).unwrap();
    setsockopt(&fd, sockopt::Ipv6V6Only, &only6).unwrap();
    fd
}

fn at6(address: &str) -> SockaddrIn6 {
    SockaddrIn6::from(address.parse::<SocketAddrV6>().unwrap())
}

fn name6(fd: &OwnedFd) -> SocketAddrV6 {
    getsockname::<SockaddrIn6>(fd.as_raw_fd()).unwrap().into()
}

fn binds() {
    for (asked, shown) in [
        ("0.0.0.0:0", "10.99.0.1"),
        ("10.99.0.1:0", "10.99.0.1"),
        ("10.99.0.2:0", "10.99.0.2"),
        ("127.0.0.1:0", "127.0.0.1"),
    ] {
        let shown: IpAddr = shown.parse().unwrap();
        assert_eq!(TcpListener::bind(asked).unwrap().local_addr().unwrap().ip(), shown);
        assert_eq!(UdpSocket::bind(asked).unwrap().local_addr().unwrap().ip(), shown);
    }
    for foreign in ["10.99.0.9", "10.99.0.3", "127.0.0.2", "127.0.52.1", "192.0.2.77", "224.0.0.5"] {
        assert_eq!(bind_errno(&format!("{foreign}:0")), Some(Errno::EADDRNOTAVAIL), "{foreign}");
        assert_eq!(bind_errno(&format!("{foreign}:8085")), Some(Errno::EADDRNOTAVAIL), "{foreign}");
    }
    let freebind = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
    setsockopt(&freebind, sockopt::IpFreebind, &true).unwrap();
    let foreign = SockaddrIn::new(10, 99, 0, 9, 8085);
    assert_eq!(bind(freebind.as_raw_fd(), &foreign), Err(Errno::EADDRNOTAVAIL));
    // A port of the host's wildcard is taken for everybody.
    assert_eq!(TcpListener::bind("0.0.0.0:7002").unwrap_err().kind(), ErrorKind::AddrInUse);
}

fn mapped_binds() {
    let listener = TcpListener::bind("[::]:8082").unwrap();
    assert_eq!(listener.local_addr().unwrap(), "[::ffff:10.99.0.1]:8082".parse().unwrap());
    let stream = TcpStream::connect("10.99.0.1:8082").unwrap();
    assert_eq!(stream.peer_addr().unwrap(), "10.99.0.1:8082".parse().unwrap());
    let udp = UdpSocket::bind("[::]:8082").unwrap();
    assert_eq!(udp.local_addr().unwrap(), "[::ffff:10.99.0.1]:8082".parse().unwrap());
    for (foreign, mapped_loopback) in [("10.99.0.9", false), ("127.0.0.2", false), ("127.0.0.1", true)] {
        let expected = if mapped_loopback { None } else { Some(Errno::EADDRNOTAVAIL) };
        assert_eq!(bind_errno(&format!("[::ffff:{foreign}]:8083")), expected, "{foreign}");
    }
    assert_eq!(bind_errno("[::1]:0"), Some(Errno::EADDRNOTAVAIL));
    assert_eq!(bind_errno("[fd00:99::5]:0"), Some(Errno::EADDRNOTAVAIL));

    // nginx: `listen 80; listen [::]:80;` on two sockets, the second for IPv6 only.
    let _four = TcpListener::bind("0.0.0.0:8084").unwrap();
    let six = tcp6(true);
    bind(six.as_raw_fd(), &at6("[::]:8084")).unwrap();
    listen(&six, Backlog::new(1).unwrap()).unwrap();
    caller(&name6(&six).to_string()).unwrap_err();

    // Clients with IPv6 sockets.
    let loopback = TcpListener::bind("[::ffff:127.0.0.1]:8086").unwrap();
    assert_eq!(loopback.local_addr().unwrap(), "[::ffff:127.0.0.1]:8086".parse().unwrap());
    let client = TcpStream::connect("[::ffff:127.0.0.1]:8086").unwrap();
    assert_eq!(client.peer_addr().unwrap(), "[::ffff:127.0.0.1]:8086".parse().unwrap());
    assert_eq!(client.local_addr().unwrap().ip(), "::ffff:127.0.0.1".parse::<IpAddr>().unwrap());
    assert_eq!(caller("[::ffff:10.99.0.9]:7003").unwrap(), "10.99.0.1");
    assert_eq!(errno(caller("[::ffff:127.0.0.1]:7001").unwrap_err()), Errno::ECONNREFUSED);
    assert_eq!(errno(caller("[fd00:99::9]:7007").unwrap_err()), Errno::ENETUNREACH);
    assert_eq!(errno(caller("[::1]:7004").unwrap_err()), Errno::ENETUNREACH);
}

fn tcp_source() {
    let stream = TcpStream::connect("10.99.0.9:7003").unwrap();
    assert_eq!(stream.local_addr().unwrap().ip(), Ipv4Addr::new(10, 99, 0, 1));
    assert_eq!(said(stream).unwrap(), "10.99.0.1");
    let bound = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
    bind(bound.as_raw_fd(), &SockaddrIn::new(10, 99, 0, 2, 0)).unwrap();
    connect(bound.as_raw_fd(), &SockaddrIn::new(10, 99, 0, 9, 7003)).unwrap();
    assert_eq!(said(TcpStream::from(bound)).unwrap(), "10.99.0.2");
    // The loopback as a source would make the host take us for itself.
    let bound = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
    bind(bound.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    let refused = connect(bound.as_raw_fd(), &SockaddrIn::new(10, 99, 0, 9, 7003));
    assert_eq!(refused, Err(Errno::ECONNREFUSED));
}

fn udp_source() {
    // A socket that is neither bound nor connected; `UdpSocket` always binds.
    let plain = || UdpSocket::from(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::empty(), None).unwrap());
    let service = "10.99.0.9:7005";

    let unconnected = plain();
    unconnected.send_to(b"?", service).unwrap();
    assert_eq!(answer(&unconnected).unwrap(), ("10.99.0.1".to_owned(), service.parse().unwrap()));
    // It has a port now, but no address: the kernel chooses, and what it chooses is not ours.
    unconnected.connect(service).unwrap();
    assert!(unconnected.send(b"?").is_err() || answer(&unconnected).is_ok_and(|(who, _)| who == "10.99.0.1"));

    let connected = plain();
    connected.connect(service).unwrap();
    connected.send(b"?").unwrap();
    assert_eq!(answer(&connected).unwrap().0, "10.99.0.1");

    let second = UdpSocket::bind("10.99.0.2:0").unwrap();
    second.send_to(b"?", service).unwrap();
    assert_eq!(answer(&second).unwrap().0, "10.99.0.2");

    let forger = plain();
    for (source, becomes) in
        [([10, 99, 0, 9], "10.99.0.1"), ([127, 0, 0, 1], "10.99.0.1"), ([10, 99, 0, 2], "10.99.0.2")]
    {
        forge(&forger, Ipv4Addr::from(source));
        assert_eq!(answer(&forger).unwrap().0, becomes);
    }
}

/// Sends to the host with `IP_PKTINFO` naming `source`.
fn forge(socket: &UdpSocket, source: Ipv4Addr) {
    let info = libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) },
        ipi_addr: libc::in_addr { s_addr: 0 },
    };
    let to = SockaddrIn::new(10, 99, 0, 9, 7005);
    let control = [ControlMessage::Ipv4PacketInfo(&info)];
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(b"?")], &control, MsgFlags::empty(), Some(&to)).unwrap();
}

fn host_loopback() {
    for address in ["127.0.0.1:7001", "127.0.0.1:7002", "0.0.0.0:7002", "127.0.0.2:7002", "127.0.52.1:7002"] {
        assert_eq!(errno(caller(address).unwrap_err()), Errno::ECONNREFUSED, "{address}");
    }
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    for address in ["127.0.0.1:7006", "127.0.0.1:7008", "127.0.0.2:7008"] {
        assert_eq!(errno(socket.send_to(b"?", address).unwrap_err()), Errno::ECONNREFUSED, "{address}");
        assert_eq!(errno(socket.connect(address).unwrap_err()), Errno::ECONNREFUSED, "{address}");
    }
    // The host's real addresses are there for everybody.
    assert_eq!(caller("10.99.0.9:7002").unwrap(), "10.99.0.1");
}

fn own_loopback() {
    let listener = TcpListener::bind("127.0.0.1:8088").unwrap();
    let client = TcpStream::connect("127.0.0.1:8088").unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(listener.local_addr().unwrap(), "127.0.0.1:8088".parse().unwrap());
    assert_eq!(client.peer_addr().unwrap(), "127.0.0.1:8088".parse().unwrap());
    assert_eq!(peer.ip(), Ipv4Addr::LOCALHOST);
    for address in [client.local_addr(), server.local_addr(), server.peer_addr()] {
        assert_eq!(address.unwrap().ip(), Ipv4Addr::LOCALHOST);
    }
    // A client that binds the loopback first.
    let bound = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).unwrap();
    bind(bound.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    connect(bound.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 8088)).unwrap();

    let server = UdpSocket::bind("127.0.0.1:8089").unwrap();
    let unbound = UdpSocket::from(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::empty(), None).unwrap());
    unbound.send_to(b"?", "127.0.0.1:8089").unwrap();
    let (_, client) = answer(&server).unwrap();
    assert_eq!(client.ip(), Ipv4Addr::LOCALHOST);
    server.send_to(b"!", client).unwrap();
    assert_eq!(answer(&unbound).unwrap(), ("!".to_owned(), "127.0.0.1:8089".parse().unwrap()));
    // The same from an IPv6 socket.
    let six = UdpSocket::from(socket(AddressFamily::Inet6, SockType::Datagram, SockFlag::empty(), None).unwrap());
    six.send_to(b"?", "[::ffff:127.0.0.1]:8089").unwrap();
    let (_, client) = answer(&server).unwrap();
    server.send_to(b"!", client).unwrap();
    assert_eq!(answer(&six).unwrap(), ("!".to_owned(), "[::ffff:127.0.0.1]:8089".parse().unwrap()));
}

fn localhost_wildcard() {
    let listener = TcpListener::bind("0.0.0.0:8090").unwrap();
    for address in ["127.0.0.1:8090", "0.0.0.0:8090", "[::ffff:127.0.0.1]:8090", "10.99.0.1:8090"] {
        let client = TcpStream::connect(address).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(
            peer,
            client.local_addr().map(|local| SocketAddr::new(local.ip().to_canonical(), local.port())).unwrap()
        );
        assert_eq!(peer.ip(), Ipv4Addr::new(10, 99, 0, 1));
    }
    let server = UdpSocket::bind("0.0.0.0:8090").unwrap();
    let client = UdpSocket::bind("0.0.0.0:0").unwrap();
    client.send_to(b"?", "127.0.0.1:8090").unwrap();
    assert_eq!(answer(&server).unwrap().1.ip(), Ipv4Addr::new(10, 99, 0, 1));
}

fn sockets() {
    let make = |family, kind, protocol: Option<SockProtocol>| socket(family, kind, SockFlag::empty(), protocol).err();
    for protocol in [SockProtocol::Icmp, SockProtocol::Raw, SockProtocol::Tcp] {
        assert_eq!(make(AddressFamily::Inet, SockType::Raw, Some(protocol)), Some(Errno::EPERM));
    }
    assert_eq!(make(AddressFamily::Inet6, SockType::Raw, Some(SockProtocol::IcmpV6)), Some(Errno::EPERM));
    assert!(make(AddressFamily::Inet, SockType::Datagram, Some(SockProtocol::Icmp)).is_some());
    assert!(make(AddressFamily::Inet, SockType::SeqPacket, None).is_some());
    assert_eq!(make(AddressFamily::Inet, SockType::Stream, None), None);
    assert_eq!(make(AddressFamily::Inet6, SockType::Datagram, None), None);
}

/// Binds port 80 as root of a user name space that does not own the network name space.
fn low_port() -> Option<Errno> {
    unshare(CloneFlags::CLONE_NEWUSER).unwrap();
    fs::write("/proc/self/setgroups", "deny").unwrap();
    fs::write("/proc/self/uid_map", "0 0 1").unwrap();
    fs::write("/proc/self/gid_map", "0 0 1").unwrap();
    let mapped = bind_errno("[::]:80");
    let plain = bind_errno("0.0.0.0:80");
    assert_eq!(mapped, plain);
    // The rest holds there as well.
    assert_eq!(bind_errno("10.99.0.9:80"), Some(Errno::EADDRNOTAVAIL));
    let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), SockProtocol::Icmp);
    assert_eq!(raw.err(), Some(Errno::EPERM));
    plain
}

fn six() {
    let own: Ipv6Addr = "fd00:99::5".parse().unwrap();
    assert_eq!(bind_errno("[fd00:99::5]:0"), None);
    assert_eq!(bind_errno("[fd00:99::9]:0"), Some(Errno::EADDRNOTAVAIL));
    assert_eq!(bind_errno("[::1]:0"), Some(Errno::EADDRNOTAVAIL));
    let only6 = tcp6(true);
    bind(only6.as_raw_fd(), &at6("[::]:8091")).unwrap();
    assert_eq!(*name6(&only6).ip(), own);
    let dual = tcp6(false);
    bind(dual.as_raw_fd(), &at6("[::]:8091")).unwrap();
    assert_eq!(*name6(&dual).ip(), "::ffff:10.99.0.5".parse::<Ipv6Addr>().unwrap());

    assert_eq!(caller("[fd00:99::9]:7007").unwrap(), "fd00:99::5");
    assert_eq!(caller("10.99.0.9:7003").unwrap(), "10.99.0.5");
    assert_eq!(errno(caller("[::1]:7004").unwrap_err()), Errno::ECONNREFUSED);
    let udp = UdpSocket::from(socket(AddressFamily::Inet6, SockType::Datagram, SockFlag::empty(), None).unwrap());
    udp.send_to(b"?", "[fd00:99::9]:7009").unwrap();
    assert_eq!(answer(&udp).unwrap().0, "fd00:99::5");
    let foreign: Ipv6Addr = "fd00:99::9".parse().unwrap();
    let info = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: foreign.octets() }, ipi6_ifindex: 0 };
    let control = [ControlMessage::Ipv6PacketInfo(&info)];
    let to = at6("[fd00:99::9]:7009");
    sendmsg(udp.as_raw_fd(), &[IoSlice::new(b"?")], &control, MsgFlags::empty(), Some(&to)).unwrap();
    assert_eq!(answer(&udp).unwrap().0, "fd00:99::5");
}

fn demo() {
    let own = Ipv4Addr::new(127, 0, 6, 1);
    let wildcard = TcpListener::bind("0.0.0.0:80").unwrap();
    assert_eq!(wildcard.local_addr().unwrap().ip(), own);
    let loopback = TcpListener::bind("127.0.0.1:80").unwrap();
    assert_eq!(loopback.local_addr().unwrap().ip(), Ipv4Addr::LOCALHOST);
    assert_eq!(TcpStream::connect("127.0.6.1:80").unwrap().local_addr().unwrap().ip(), own);
    assert_eq!(TcpStream::connect("127.0.0.1:80").unwrap().local_addr().unwrap().ip(), Ipv4Addr::LOCALHOST);
    assert_eq!(bind_errno("127.0.51.1:0"), Some(Errno::EADDRNOTAVAIL));
    for host in ["127.0.0.1:7001", "127.0.0.1:7002", "127.0.0.2:7002"] {
        assert_eq!(errno(caller(host).unwrap_err()), Errno::ECONNREFUSED, "{host}");
    }
    assert_eq!(caller("10.99.0.9:7003").unwrap(), "127.0.6.1");
}

fn many() {
    assert_eq!(bind_errno("10.99.1.1:0"), None);
    assert_eq!(bind_errno("10.99.1.64:0"), None);
    assert_eq!(bind_errno("10.99.0.9:0"), Some(Errno::EADDRNOTAVAIL));
    assert_eq!(caller("10.99.0.9:7003").unwrap(), "10.99.1.1");
}

/// Says where it listens, and says it again to whoever calls, until its standard input ends.
/// Says to everybody which address was called.
fn serve(address: &str) {
    serve_as("", address);
}

fn serve_as(who: &'static str, address: &str) {
    let listener = TcpListener::bind(address).unwrap();
    let shown = listener.local_addr().unwrap().to_string();
    answer_all(listener, move |stream| format!("{who}{}", stream.local_addr().unwrap()));
    println!("{shown}");
    stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn answer_all(listener: TcpListener, text: impl Fn(&TcpStream) -> String + Send + 'static) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let text = text(&stream);
            let _ = stream.write_all(text.as_bytes());
            let _ = stream.shutdown(Shutdown::Write);
        }
    });
}

fn serve_unbound() {
    let fd = tcp6(false);
    listen(&fd, Backlog::new(5).unwrap()).unwrap();
    let port = getsockname::<SockaddrStorage>(fd.as_raw_fd()).unwrap().as_sockaddr_in6().unwrap().port();
    answer_all(TcpListener::from(fd), |_| "unbound".to_owned());
    println!("{port}");
    stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Answers each datagram without a word on where it was heard.
fn hear(address: &str, who: &'static str) {
    let socket = UdpSocket::bind(address).unwrap();
    println!("{}", socket.local_addr().unwrap());
    std::thread::spawn(move || {
        loop {
            let (_, from) = socket.recv_from(&mut [0; 64]).unwrap();
            let _ = socket.send_to(format!("{who} {}", from.ip().to_canonical()).as_bytes(), from);
        }
    });
    stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// A datagram socket that has a port because it sent something, and no address.
fn hear_unbound() {
    let socket = UdpSocket::from(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::empty(), None).unwrap());
    socket.send_to(b"?", "10.99.0.9:7005").unwrap();
    assert_eq!(answer(&socket).unwrap().0, "10.99.0.1");
    println!("{}", socket.local_addr().unwrap().port());
    let (heard, _) = answer(&socket).unwrap();
    assert_eq!(heard, "for the guest");
    assert_eq!(answer(&socket).unwrap_err().kind(), ErrorKind::WouldBlock);
}

fn others_loopback() {
    for address in ["127.0.51.1:8081", "127.0.0.1:8081", "[::ffff:127.0.51.1]:8081"] {
        assert_eq!(errno(caller(address).unwrap_err()), Errno::ECONNREFUSED, "{address}");
    }
}

fn is_now_4() {
    assert_eq!(UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().ip(), Ipv4Addr::new(10, 99, 0, 4));
    assert_eq!(bind_errno("10.99.0.3:0"), Some(Errno::EADDRNOTAVAIL));
}
