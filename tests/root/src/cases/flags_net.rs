//! Network capabilities and flags, `flags.md` §5 and §6, seen from inside a guest.

use std::fs;
use std::process::Command;

use crate::fixture::{Fixture, Guest, program};
use crate::inside::fetch;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("flags_net::single_ip", single_ip),
        Trial::new("flags_net::lback_allow_shares_the_hosts", lback_allow_shares_the_hosts),
        Trial::new("flags_net::without_lback_remap_there_is_no_localhost", without_lback_remap_there_is_no_localhost),
        Trial::new("flags_net::hide_lback", hide_lback),
        Trial::new("flags_net::multicast", multicast),
        Trial::new("flags_net::raw_icmp", raw_icmp),
        Trial::new("flags_net::ping_has_the_guests_source", ping_has_the_guests_source),
    ]
}

/// A started guest with one address, the probe and these flags.
fn guest<'f>(host: &'f Fixture, address: &str, files: &[(&str, &str)]) -> Guest<'f> {
    let guest = host.guest();
    fs::copy(program("vserver-probe"), guest.root.join("probe")).unwrap();
    guest.address(0, address, 8);
    for (file, content) in files {
        guest.set(file, content);
    }
    guest.start();
    guest
}

fn ask(guest: &Guest<'_>, words: &[&str]) -> String {
    guest.exec(&[&["/probe"], words].concat()).ok().out.trim().to_owned()
}

fn private_loopback(guest: &Guest<'_>) -> String {
    format!("127.{}.{}.1", guest.xid / 256 % 256, guest.xid % 256)
}

/// A wildcard bind becomes a bind to the only address, and getsockname says so; connections come from it.
fn single_ip() {
    let host = Fixture::new();
    let guest = guest(&host, "127.9.20.1", &[]);
    assert_eq!(ask(&guest, &["bind", "0.0.0.0", "8200"]), "OK 127.9.20.1:8200");
    assert_eq!(ask(&guest, &["connect", "127.9.20.1", "8200"]), "ECONNREFUSED");
}

/// `lback_allow` without remapping: 127.0.0.1 is the host's own, shared with it.
fn lback_allow_shares_the_hosts() {
    let host = Fixture::new();
    let guest = guest(&host, "127.9.21.1", &[("nflags", "~lback_remap\nlback_allow\n")]);
    guest.sh("mkdir -p /www && echo shared >/www/index.html && httpd -p 127.0.0.1:8201 -h /www").ok();
    assert!(fetch("127.0.0.1:8201").unwrap().contains("shared"));
    guest.sh("wget -q -O - http://127.0.0.1:8201/").ok().says("shared");
}

/// Without remapping and without leave there is no 127.0.0.1, but still the private address itself.
fn without_lback_remap_there_is_no_localhost() {
    let host = Fixture::new();
    let guest = guest(&host, "127.9.22.1", &[("nflags", "~lback_remap,~hide_lback\n")]);
    assert_eq!(ask(&guest, &["bind", "127.0.0.1", "8202"]), "EADDRNOTAVAIL");
    assert_eq!(ask(&guest, &["connect", "127.0.0.1", "8202"]), "ECONNREFUSED");
    let own = private_loopback(&guest);
    assert_eq!(ask(&guest, &["bind", &own, "8202"]), format!("OK {own}:8202"));
}

/// The private address is shown as 127.0.0.1 with the flag (the default) and as what it is without.
fn hide_lback() {
    let host = Fixture::new();
    let hidden = guest(&host, "127.9.23.1", &[]);
    assert_eq!(ask(&hidden, &["bind", "127.0.0.1", "8203"]), "OK 127.0.0.1:8203");
    let shown = guest(&host, "127.9.23.2", &[("nflags", "~hide_lback\n")]);
    assert_eq!(ask(&shown, &["bind", "127.0.0.1", "8203"]), format!("OK {}:8203", private_loopback(&shown)));
}

/// ncapability `^12`: multicast addresses may be bound; otherwise EADDRNOTAVAIL.
fn multicast() {
    let host = Fixture::new();
    let without = guest(&host, "127.9.24.1", &[]);
    assert_eq!(ask(&without, &["bind", "224.0.0.251", "8204", "udp"]), "EADDRNOTAVAIL");
    let with = guest(&host, "127.9.24.2", &[("ncapabilities", "^12\n")]);
    assert_eq!(ask(&with, &["bind", "224.0.0.251", "8204", "udp"]), "OK 224.0.0.251:8204");
    assert_eq!(ask(&with, &["bind", "127.9.24.1", "8204", "udp"]), "EADDRNOTAVAIL");
}

/// Ping sockets as far as the host's `ping_group_range` allows, and raw ones for root: with the capability (the default), never
/// without. They carry echo requests with the guest's source, and nothing else. Threat model: N03, N10, K37.
fn raw_icmp() {
    let host = Fixture::new();
    fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").unwrap();
    let with = guest(&host, "127.9.25.1", &[]);
    assert_eq!(ask(&with, &["socket", "2", "2", "1"]), "OK");
    assert_eq!(ask(&with, &["socket", "2", "3", "1"]), "OK");
    assert_eq!(with.v(&["suexec", "1000", "/probe", "socket", "2", "3", "1"]).out.trim(), "EPERM");
    for (address, kind, answer) in
        [("127.9.25.1", "8", "OK"), ("127.9.25.1", "5", "EPERM"), ("127.0.0.1", "8", "EPERM")]
    {
        assert_eq!(ask(&with, &["raw_send", address, kind]), answer, "{address} {kind}");
    }
    assert_eq!(ask(&with, &["header_included"]), "EPERM");
    for protocol in ["6", "17", "255"] {
        assert_eq!(ask(&with, &["socket", "2", "3", protocol]), "EPERM");
    }
    // The range ends at 2³¹ − 1: only guests with a number below 32752 have their groups in it, and the kernel looks at
    // them before our program does.
    let low = format!("{}\n", std::process::id() % 900 * 2 + 10);
    let none = [("context", low.as_str()), ("ncapabilities", "~raw_icmp\n"), ("ccapabilities", "~raw_icmp\n")];
    let without = guest(&host, "127.9.25.2", &none);
    assert_eq!(ask(&without, &["socket", "2", "2", "1"]), "EPROTONOSUPPORT");
    assert_eq!(ask(&without, &["socket", "2", "3", "1"]), "EPERM");
    // A host that lets nobody ping.
    fs::write("/proc/sys/net/ipv4/ping_group_range", "1 0").unwrap();
    assert_eq!(ask(&with, &["socket", "2", "2", "1"]), "EACCES");
    assert_eq!(ask(&with, &["socket", "2", "3", "1"]), "OK");
}

/// `raw_icmp`, the way a user knows it: ping without any option. The host's address would be the kernel's choice, and packets
/// with that do not leave the guest.
fn ping_has_the_guests_source() {
    let host = Fixture::new();
    fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").unwrap();
    let addresses = ["10.9.26.1/24", "10.9.26.2/24", "10.9.26.3/24", "fd00:9:26::1/64", "fd00:9:26::2/64"];
    let mut backwards = addresses;
    backwards.reverse();
    let on_lo = |verb: &str| {
        for address in if verb == "add" { addresses } else { backwards } {
            assert!(Command::new("ip").args(["address", verb, address, "dev", "lo"]).status().unwrap().success());
        }
    };
    on_lo("add");
    let guest = host.guest();
    fs::copy(program("vserver-probe"), guest.root.join("probe")).unwrap();
    guest.address(0, "10.9.26.2", 24).address(1, "fd00:9:26::2", 64).address(2, "10.9.26.3", 24).start();
    guest.sh("ping -c 1 -W 5 10.9.26.1").ok().says("1 packets received");
    guest.sh("ping -6 -c 1 -W 5 fd00:9:26::1").ok().says("1 packets received");
    // Another one of its own can still be chosen, one of the host's not.
    guest.sh("ping -I 10.9.26.3 -c 1 -W 5 10.9.26.1").ok().says("1 packets received");
    assert_ne!(guest.sh("ping -I 10.9.26.1 -c 1 -W 1 10.9.26.3").code, 0);
    // A program that wants a ping socket.
    assert_eq!(guest.v(&["suexec", "1000", "/probe", "ping_from", "10.9.26.1"]).ok().out.trim(), "OK 10.9.26.2:0");
    guest.stop();
    // From the last to the first: the first takes the others along.
    on_lo("del");
}
