//! Addresses that come and go while a guest runs, seen from a host beside: what its servers hear follows, without a restart
//! of theirs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::antispoof::Peer;
use super::netns::ip;
use crate::fixture::{Fixture, Guest, eventually};
use crate::inside::fetch;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("naddress::servers_follow", servers_follow).smoke(),
        Trial::new("naddress::an_address_changes_hands", an_address_changes_hands),
        Trial::new("naddress::of_one_address", of_one_address).smoke(),
        Trial::new("naddress::of_no_address", of_no_address),
    ]
}

const LIMIT: Duration = Duration::from_secs(10);

/// A host beside, and the addresses of this one to it: `PREFIX.1` to `PREFIX.4` and `fd00:9:36::1` to `::4`.
fn beside(prefix: &str) -> Peer {
    let peer = Peer::new("out36", "in36");
    for last in 1..=4 {
        ip(&format!("addr add {prefix}.{last}/24 dev out36"));
        ip(&format!("addr add fd00:9:36::{last}/64 dev out36 nodad"));
    }
    for address in [format!("{prefix}.9/24"), "fd00:9:36::9/64".to_owned()] {
        let nodad = address.contains(':').then_some("nodad");
        let mut add = peer.command("ip");
        assert!(add.args(["addr", "add", &address, "dev", "in36"]).args(nodad).status().unwrap().success());
    }
    peer
}

/// A guest whose servers for TCP and UDP are bound to all addresses.
fn with_servers<'f>(host: &'f Fixture, addresses: &[&str]) -> Guest<'f> {
    let guest = host.guest();
    for (index, address) in (0..).zip(addresses) {
        guest.address(index, address, if address.contains(':') { 64 } else { 24 });
    }
    guest.carry_self().start();
    guest.sh(&format!("mkdir -p /www && echo page of {} >/www/index.html", guest.name)).ok();
    guest.sh("httpd -p [::]:80 -h /www && /self --echo [::]:53 >/dev/null 2>&1 &").ok();
    guest
}

/// Whether the guest's page is at that address.
fn serves(peer: &Peer, guest: &Guest<'_>, address: &str) -> bool {
    let page = format!("page of {}", guest.name);
    peer.inside(|| fetch(&at(address, 80)).is_ok_and(|text| text.contains(&page)))
}

/// Whether a datagram comes back from exactly the address that it was sent to.
fn echoes(peer: &Peer, address: &str, port: u16) -> bool {
    peer.inside(|| {
        let socket = UdpSocket::bind(if address.contains(':') { "[::]:0" } else { "0.0.0.0:0" }).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket.connect(at(address, port)).unwrap();
        socket.send(b"?").is_ok() && socket.recv(&mut [0; 8]).is_ok_and(|length| length == 1)
    })
}

fn at(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

#[track_caller]
fn hears(peer: &Peer, guest: &Guest<'_>, address: &str) {
    eventually(&format!("TCP at {address}"), LIMIT, || serves(peer, guest, address));
    eventually(&format!("UDP at {address}"), LIMIT, || echoes(peer, address, 53));
}

#[track_caller]
fn silent(peer: &Peer, address: &str) {
    assert!(peer.inside(|| fetch(&at(address, 80)).is_err()), "TCP at {address}");
    assert!(!echoes(peer, address, 53), "UDP at {address}");
}

fn naddress(host: &Fixture, guest: &Guest<'_>, words: &str) {
    let line = format!("{words} --nid {}", guest.xid);
    host.tool("naddress", &line.split(' ').collect::<Vec<_>>()).ok();
}

/// What is bound to a wildcard hears an address from the moment on when it is added, and no longer when it is taken, also if
/// it is the one that the kernel shows for the socket. Answers come from where was asked.
fn servers_follow() {
    let host = Fixture::new();
    let peer = beside("10.99.36");
    let guest = with_servers(&host, &["10.99.36.1", "10.99.36.2", "fd00:9:36::1"]);
    for address in ["10.99.36.1", "10.99.36.2", "fd00:9:36::1"] {
        hears(&peer, &guest, address);
    }
    silent(&peer, "10.99.36.3");
    naddress(&host, &guest, "--add --ip 10.99.36.3 --ip fd00:9:36::3");
    for address in ["10.99.36.3", "fd00:9:36::3", "10.99.36.1", "10.99.36.2", "fd00:9:36::1"] {
        hears(&peer, &guest, address);
    }
    // What is bound from now on hears it, too, and what asks for one address has it.
    guest.sh("/self --echo 0.0.0.0:54 >/dev/null 2>&1 & /self --echo 10.99.36.3:55 >/dev/null 2>&1 &").ok();
    for (address, port) in [("10.99.36.1", 54), ("10.99.36.3", 54), ("10.99.36.3", 55)] {
        eventually(&format!("{address}:{port}"), LIMIT, || echoes(&peer, address, port));
    }
    assert!(!echoes(&peer, "10.99.36.1", 55));

    // A connection that is there when its address goes gets nothing more.
    let open = |address: &str| {
        let address: SocketAddr = at(address, 80).parse().unwrap();
        let stream = peer.inside(|| TcpStream::connect(address).unwrap());
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        stream
    };
    let (mut cut, mut kept) = (open("10.99.36.2"), open("10.99.36.3"));
    naddress(&host, &guest, "--remove --ip 10.99.36.2 --ip fd00:9:36::1");
    silent(&peer, "10.99.36.2");
    silent(&peer, "fd00:9:36::1");
    let answer = |stream: &mut TcpStream| {
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).is_ok_and(|length| length > 0)
    };
    assert!(!answer(&mut cut) && answer(&mut kept));
    naddress(&host, &guest, "--remove --ip 10.99.36.1");
    silent(&peer, "10.99.36.1");
    hears(&peer, &guest, "10.99.36.3");
    hears(&peer, &guest, "fd00:9:36::3");
    naddress(&host, &guest, "--add --ip 10.99.36.2");
    hears(&peer, &guest, "10.99.36.2");
    guest.stop();
}

/// What one guest's servers heard an address by is not in the way of the next guest that gets it, whose only one it is.
fn an_address_changes_hands() {
    let host = Fixture::new();
    let peer = beside("10.99.37");
    let one = with_servers(&host, &["10.99.37.1", "10.99.37.3"]);
    naddress(&host, &one, "--add --ip 10.99.37.2");
    // One that asks for exactly that address; it would keep the next guest from binding it.
    one.sh("/self --echo 10.99.37.3:55 >/dev/null 2>&1 &").ok();
    eventually("exactly bound", LIMIT, || echoes(&peer, "10.99.37.3", 55));
    hears(&peer, &one, "10.99.37.2");
    naddress(&host, &one, "--remove --ip 10.99.37.2 --ip 10.99.37.3");
    let two = with_servers(&host, &["10.99.37.2"]);
    hears(&peer, &two, "10.99.37.2");
    assert!(!echoes(&peer, "10.99.37.3", 55));
    hears(&peer, &one, "10.99.37.1");
    two.stop();
    naddress(&host, &one, "--set --ip 10.99.37.4 --ip 10.99.37.2");
    hears(&peer, &one, "10.99.37.2");
    hears(&peer, &one, "10.99.37.4");
    silent(&peer, "10.99.37.1");
    one.stop();
}

/// A guest that begins with one address, and so without the means to hear more: what is bound to a wildcard already hears what
/// comes, of either family as far as the socket is of it, and no longer when it goes.
fn of_one_address() {
    let host = Fixture::new();
    let peer = beside("10.99.38");
    let guest = with_servers(&host, &["10.99.38.1"]);
    // Of one family, and one that asks for its address.
    guest.sh("httpd -p 0.0.0.0:81 -h /www && httpd -p 10.99.38.1:82 -h /www").ok();
    guest.sh("/self --echo 0.0.0.0:54 >/dev/null 2>&1 & /self --echo 10.99.38.1:55 >/dev/null 2>&1 &").ok();
    hears(&peer, &guest, "10.99.38.1");
    eventually("all servers", LIMIT, || [54, 55].iter().all(|port| echoes(&peer, "10.99.38.1", *port)));
    let added = host.tool("naddress", &["--add", "--nid", &guest.xid.to_string(), "--ip", "10.99.38.2"]);
    assert_eq!(added.ok().err, "", "there is nothing to say");
    naddress(&host, &guest, "--add --ip fd00:9:36::2");
    for address in ["10.99.38.2", "fd00:9:36::2", "10.99.38.1"] {
        hears(&peer, &guest, address);
    }
    let page = |address: &str, port: u16| peer.inside(|| fetch(&at(address, port)).is_ok());
    assert!(page("10.99.38.2", 81) && page("10.99.38.1", 81) && !page("fd00:9:36::2", 81));
    assert!(echoes(&peer, "10.99.38.2", 54) && !echoes(&peer, "fd00:9:36::2", 54));
    assert!(page("10.99.38.1", 82) && !page("10.99.38.2", 82) && !page("fd00:9:36::2", 82));
    assert!(echoes(&peer, "10.99.38.1", 55) && !echoes(&peer, "10.99.38.2", 55));
    // What is bound from now on, too, of which the supervisor is told.
    guest.sh("httpd -p 0.0.0.0:83 -h /www; /self --echo [::]:56 >/dev/null 2>&1 &").ok();
    for address in ["10.99.38.1", "10.99.38.2", "fd00:9:36::2"] {
        eventually(&format!("bound later, at {address}"), LIMIT, || echoes(&peer, address, 56));
    }
    assert!(page("10.99.38.2", 83));
    guest.sh("/self --get 127.0.0.1:80").ok().says("page of");

    naddress(&host, &guest, "--remove --ip 10.99.38.1");
    silent(&peer, "10.99.38.1");
    naddress(&host, &guest, "--remove --ip fd00:9:36::2");
    silent(&peer, "fd00:9:36::2");
    hears(&peer, &guest, "10.99.38.2");
    assert!(!page("10.99.38.1", 82), "its address is gone");
    naddress(&host, &guest, "--set --ip 10.99.38.3");
    hears(&peer, &guest, "10.99.38.3");
    silent(&peer, "10.99.38.2");
    guest.stop();
}

/// One that begins with its loopback alone: what is bound to all addresses hears the first that it gets, also of a family
/// for which the kernel has bound the socket elsewhere.
fn of_no_address() {
    let host = Fixture::new();
    let peer = beside("10.99.39");
    let guest = with_servers(&host, &[]);
    guest.sh("/self --listen6 443 >/dev/null 2>&1 &").ok();
    eventually("a server inside", LIMIT, || guest.sh("/self --get 127.0.0.1:80").code == 0);
    silent(&peer, "10.99.39.1");
    naddress(&host, &guest, "--add --ip 10.99.39.1 --ip fd00:9:36::1");
    hears(&peer, &guest, "10.99.39.1");
    hears(&peer, &guest, "fd00:9:36::1");
    let meets = |address: &str, port: u16| peer.inside(|| TcpStream::connect(at(address, port)).is_ok());
    eventually("IPv6 alone", LIMIT, || meets("fd00:9:36::1", 443));
    assert!(!meets("10.99.39.1", 443));
    guest.stop();
}
