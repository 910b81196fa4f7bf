//! Transports besides TCP and UDP. What names addresses that no program is asked about is not given out, whether the host's
//! kernel has it or not: a module can come at any time.

use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use super::antispoof::Peer;
use super::netns::ip;
use crate::fixture::{Fixture, Guest, eventually, program};
use crate::inside;
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("transports::only_those_that_are_held", only_those_that_are_held).needs(Need::Probe),
        Trial::new("transports::udplite", udplite).needs(Need::Probe),
        Trial::new("transports::in_a_network_of_its_own", in_a_network_of_its_own).needs(Need::Probe),
    ]
}

/// Type and protocol; SCTP in both of its styles, DCCP, SMC.
const REFUSED: [(&str, &str, &str); 4] =
    [("SCTP", "1", "132"), ("SCTP, one to many", "5", "132"), ("DCCP", "6", "33"), ("SMC", "1", "256")];

/// A guest and a daemon of `chbind` get none of them. A daemon's UDP-Lite is held to its first address.
fn only_those_that_are_held() {
    let host = Fixture::new();
    let probe = program("vserver-probe");
    let guest = host.guest();
    fs::copy(&probe, guest.root.join("probe")).unwrap();
    guest.address(0, "127.9.41.1", 8).start();
    let outside = |words: &[&str]| {
        let output = Command::new(&probe).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let probe = probe.to_str().unwrap();
    let bound = |words: &[&str]| {
        let line = [&["--silent", "--ip", "127.9.41.2", "--", probe], words].concat();
        host.tool("chbind", &line).out.trim().to_owned()
    };
    for (name, kind, protocol) in REFUSED {
        for family in ["2", "10"] {
            let words = ["socket", family, kind, protocol];
            let there = outside(&words);
            // Where the kernel has it the refusal is ours; where it has not, the type alone may be unknown to it.
            let known =
                if there == "OK" { &["EPROTONOSUPPORT"][..] } else { &["EPROTONOSUPPORT", "ESOCKTNOSUPPORT"] };
            println!("note: {name}, family {family}: outside {there}");
            let inside = guest.exec(&[&["/probe"], &words[..]].concat()).out.trim().to_owned();
            assert!(known.contains(&inside.as_str()), "{name}, family {family}, in a guest: {inside}");
            let daemon = bound(&words);
            assert!(known.contains(&daemon.as_str()), "{name}, family {family}, under chbind: {daemon}");
        }
    }
    let lite = ["socket", "2", "2", "136"];
    if outside(&lite) == "OK" {
        assert_eq!(bound(&["bind_udplite", "0.0.0.0", "8412"]), "OK 127.9.41.2:8412");
        assert_eq!(bound(&["bind_udplite", "127.9.41.1", "8412"]), "EADDRNOTAVAIL");
    } else {
        println!("note: this kernel has no UDP-Lite");
        assert_eq!(bound(&lite), outside(&lite));
        assert_eq!(guest.exec(&[&["/probe"], &lite[..]].concat()).out.trim(), outside(&lite));
    }
}

/// UDP-Lite, seen from a host beside: a guest's datagrams have its address as their source whatever it does, and it hears what
/// is for its own. The host's own address to that network is another.
fn udplite() {
    if inside::udplite("127.0.0.1:0".parse().unwrap()).is_err() {
        println!("note: this kernel has no UDP-Lite");
        return;
    }
    let host = Fixture::new();
    let peer = Peer::new("out39", "in39");
    for last in 1..=3 {
        ip(&format!("addr add 10.99.41.{last}/24 dev out39"));
        ip(&format!("addr add fd00:9:41::{last}/64 dev out39 nodad"));
    }
    for address in ["10.99.41.9/24", "fd00:9:41::9/64"] {
        let nodad = address.contains(':').then_some("nodad");
        let mut add = peer.command("ip");
        assert!(add.args(["addr", "add", address, "dev", "in39"]).args(nodad).status().unwrap().success());
    }
    let guest = host.guest();
    fs::copy(program("vserver-probe"), guest.root.join("probe")).unwrap();
    guest.address(0, "10.99.41.2", 24).address(1, "10.99.41.3", 24).address(2, "fd00:9:41::2", 64);
    guest.carry_self().start();
    let probe = |words: &[&str]| guest.exec(&[&["/probe"], words].concat()).out.trim().to_owned();
    let there = |address: &str| {
        let socket = peer.inside(|| inside::udplite(address.parse().unwrap()).unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    };
    binds(&probe);

    let heard = |socket: &UdpSocket| {
        let mut bytes = [0; 64];
        let (length, from) = socket.recv_from(&mut bytes).unwrap();
        (String::from_utf8_lossy(&bytes[..length]).into_owned(), from.ip().to_string())
    };
    for (own, address, source) in
        [("10.99.41.9:53", "10.99.41.9", "10.99.41.2"), ("[fd00:9:41::9]:53", "fd00:9:41::9", "fd00:9:41::2")]
    {
        let server = there(own);
        let said = probe(&["connect_udplite", address, "53"]);
        assert!(said.starts_with("OK "), "{said}");
        assert_eq!(heard(&server), ("connected".to_owned(), source.to_owned()));
        assert_eq!(probe(&["send_udplite", address, "53"]), format!("OK {own}"));
        assert_eq!(heard(&server), ("sent".to_owned(), source.to_owned()));
        forges(&probe, &server);
    }
    // UDP, which has the same in common with it: what a connected socket says with a datagram is no reason to refuse it.
    let server = peer.inside(|| UdpSocket::bind("10.99.41.9:53").unwrap());
    for (said, source) in [("10.99.41.3", "10.99.41.3"), ("10.99.41.2", "10.99.41.2"), ("10.99.41.1", "10.99.41.2")] {
        assert_eq!(probe(&["told_udp", "10.99.41.9", "53", said]), "OK");
        assert_eq!(heard(&server).1, source, "{said}");
    }
    hears(&guest, &there);
    guest.stop();
}

/// The supervisor makes no socket of the guest's network for a process that has left it, as containers inside do.
fn in_a_network_of_its_own() {
    let host = Fixture::new();
    fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").unwrap();
    let guest = host.guest();
    fs::copy(program("vserver-probe"), guest.root.join("probe")).unwrap();
    guest.set("ccapabilities", "namespace\n").address(0, "127.9.42.1", 8).start();
    let ask = |line: &str| guest.sh(line).out.trim().to_owned();
    assert_eq!(ask("/probe socket 2 2 1"), "OK");
    // What a new network namespace lets nobody do.
    assert_eq!(ask("unshare -n /probe socket 2 2 1"), "EACCES");
    if ask("/probe socket 2 2 136") == "OK" {
        assert_eq!(ask("/probe bind_udplite 127.9.42.1 8412"), "OK 127.9.42.1:8412");
        assert_eq!(ask("unshare -n /probe connect_udplite 127.9.42.1 53"), "ENETUNREACH");
    }
    guest.stop();
}

/// What a bind becomes.
fn binds(probe: &dyn Fn(&[&str]) -> String) {
    assert_eq!(probe(&["bind_udplite", "0.0.0.0", "8412"]), "OK 10.99.41.2:8412");
    assert_eq!(probe(&["bind_udplite", "10.99.41.3", "8412"]), "OK 10.99.41.3:8412");
    assert_eq!(probe(&["bind_udplite", "::", "8412"]), "OK [fd00:9:41::2]:8412");
    for foreign in ["10.99.41.1", "127.0.0.1", "127.0.0.2", "fd00:9:41::1", "::1"] {
        assert_eq!(probe(&["bind_udplite", foreign, "8412"]), "EADDRNOTAVAIL", "{foreign}");
    }
    assert_eq!(probe(&["send_udplite", "127.0.0.1", "8412"]), "ECONNREFUSED");
    assert_eq!(probe(&["connect_udplite", "127.0.0.1", "8412"]), "EPERM");
}

/// Each way to send from 10.99.41.1 to 10.99.41.9. The one after it comes from the guest, so nothing came before.
fn forges(probe: &dyn Fn(&[&str]) -> String, server: &UdpSocket) {
    if server.local_addr().unwrap().is_ipv6() {
        return;
    }
    let said = probe(&["forge_udplite", "10.99.41.9", "53", "10.99.41.1", "10.99.41.2"]);
    // What a datagram says of its source is put right.
    let expected =
        ["bind: EADDRNOTAVAIL", "freebind: EADDRNOTAVAIL", "told: sent", "told, connected: sent", "unbound: EPERM"];
    assert_eq!(said.lines().collect::<Vec<_>>(), expected);
    assert!(probe(&["connect_udplite", "10.99.41.9", "53"]).starts_with("OK "));
    let mut bytes = [0; 64];
    loop {
        let (length, from) = server.recv_from(&mut bytes).unwrap();
        assert_eq!(from.ip().to_string(), "10.99.41.2", "{}", String::from_utf8_lossy(&bytes[..length]));
        if &bytes[..length] == b"connected" {
            break;
        }
    }
}

/// A wildcard hears the guest's first address of its family, and answers; a socket at another address hears that.
fn hears(guest: &Guest<'_>, there: &dyn Fn(&str) -> UdpSocket) {
    for address in ["0.0.0.0:54", "[::]:55", "10.99.41.3:56"] {
        guest.sh(&format!("/self --echo-lite {address} >/dev/null 2>&1 &")).ok();
    }
    let echoes = |from: &str, to: &str| {
        let socket = there(from);
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket.connect(to).unwrap();
        socket.send(b"?").is_ok() && socket.recv(&mut [0; 8]).is_ok()
    };
    let (four, six) = ("10.99.41.9:0", "[fd00:9:41::9]:0");
    for (from, to) in [(four, "10.99.41.2:54"), (six, "[fd00:9:41::2]:55"), (four, "10.99.41.3:56")] {
        eventually(to, Duration::from_secs(10), || echoes(from, to));
    }
    for to in ["10.99.41.1:54", "10.99.41.3:54", "10.99.41.2:55", "10.99.41.1:56", "10.99.41.2:56"] {
        assert!(!echoes(four, to), "{to}");
    }
}
