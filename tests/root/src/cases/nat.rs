//! Guests with private addresses: how they get out, how they are reached, and that the host's own rules stay as they are.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::antispoof::Peer;
use super::netns::{address, bridge, end, has_link, ip, nothing_of, serve, with_pair};
use crate::fixture::{Fixture, Guest, eventually};
use crate::inside::fetch;
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    let trial = |name: &'static str, body: fn()| Trial::new(name, body).needs(Need::Tool("nft"));
    vec![
        trial("nat::out_and_in", out_and_in).smoke(),
        trial("nat::faults_are_found_before", faults_are_found_before),
        trial("nat::nothing_is_left_of_an_accident", nothing_is_left_of_an_accident),
    ]
}

/// Rules that the host had before.
const HOSTS: &str = "table inet filter {\n chain input {\n type filter hook input priority 0; policy accept;\n \
                     tcp dport 9999 drop\n }\n}\ntable ip nat {\n chain postrouting {\n type nat hook postrouting \
                     priority 100; policy accept;\n ip saddr 198.51.100.0/24 masquerade\n }\n}\n";

fn nft(script: &str) {
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn rules() -> String {
    let output = Command::new("nft").args(["-s", "list", "ruleset"]).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn forwarding(value: &str) {
    for file in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        fs::write(format!("/proc/sys/net/{file}"), value).unwrap();
    }
}

/// A guest on the bridge `br` with 10.80.0.`last` and fd80::`last`, whose gateway the host is.
fn private<'f>(host: &'f Fixture, br: &str, last: u8) -> Guest<'f> {
    let guest = with_pair(host);
    guest.set("netns/interfaces/0/bridge", &format!("{br}\n"));
    guest.set("netns/interfaces/0/gateway", "10.80.0.1\nfd80::1\n");
    address(&guest, 0, &format!("10.80.0.{last}"), 24);
    address(&guest, 1, &format!("fd80::{last}"), 64);
    guest.set("netns/interfaces/0/masquerade", "");
    guest
}

/// Outside is another namespace, which knows the host and nobody behind it.
fn out_and_in() {
    let host = Fixture::new();
    nft(HOSTS);
    let before = rules();
    let peer = Peer::new("out80", "in80");
    for (address, dev) in [("192.0.2.1/24", "out80"), ("fd81::1/64", "out80")] {
        ip(&format!("addr add {address} dev {dev}{}", if address.contains(':') { " nodad" } else { "" }));
    }
    for address in ["192.0.2.9/24", "fd81::9/64"] {
        let mut command = peer.command("ip");
        command.args(["addr", "add", address, "dev", "in80"]);
        if address.contains(':') {
            command.arg("nodad");
        }
        assert!(command.status().unwrap().success());
    }
    bridge("br80", &["10.80.0.1/24", "fd80::1/64"]);
    let guest = private(&host, "br80", 2);
    guest.set("netns/interfaces/0/forward", "# to its page\ntcp 8080 80\n").carry_self();
    guest.v(&["start"]).ok().says("the host does not forward (net.ipv4.ip_forward is 0)");
    forwarding("1");
    serve(&guest);
    assert_eq!(seen_from(&peer, "192.0.2.9:7777", &guest), "192.0.2.1".parse::<IpAddr>().unwrap());
    assert_eq!(seen_from(&peer, "[fd81::9]:7777", &guest), "fd81::1".parse::<IpAddr>().unwrap());
    let page = format!("page of {}", guest.name);
    for address in ["192.0.2.1:8080", "[fd81::1]:8080"] {
        let outside = peer.inside(|| fetch(address).unwrap());
        assert!(outside.contains(&page), "{address} from outside: {outside}");
        let own = fetch(address).unwrap();
        assert!(own.contains(&page), "{address} from the host: {own}");
    }
    // A neighbour finds it by the host's address, too, and its answer finds the way back.
    let other = private(&host, "br80", 3);
    other.carry_self().v(&["start"]).ok();
    other.sh("/self --get 192.0.2.1:8080").ok().says(&page);
    other.stop();
    assert!(peer.inside(|| fetch("10.80.0.2:80").is_err()));
    let table = format!("table inet vserver-{} {{", guest.name);
    assert!(rules().contains(&table), "{}", rules());
    guest.stop();
    assert_eq!(rules(), before);
    nothing_of(&guest);
    forwarding("0");
    nft("flush ruleset\n");
    drop(peer);
    ip("link del br80");
}

/// Who it was that the peer heard when the guest called `address` there.
fn seen_from(peer: &Peer, address: &str, guest: &Guest<'_>) -> IpAddr {
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let heard = scope.spawn(|| {
            peer.inside(move || {
                let listener = TcpListener::bind(address).unwrap();
                tell.send(()).unwrap();
                let (mut stream, caller) = listener.accept().unwrap();
                // Closing before the question is read would break the connection.
                let mut question = [0; 64];
                assert!(stream.read(&mut question).unwrap() > 0);
                stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhere is the peer\r\n").unwrap();
                caller.ip()
            })
        });
        told.recv_timeout(Duration::from_secs(10)).unwrap();
        guest.sh(&format!("/self --get {address}")).ok().says("here is the peer");
        heard.join().unwrap()
    })
}

/// Each is one sentence of `check` and of `start`, and nothing is made.
fn faults_are_found_before() {
    let host = Fixture::new();
    bridge("br84", &["10.80.0.1/24", "fd80::1/64"]);
    let guest = private(&host, "br84", 2);
    guest.set("netns/interfaces/0/forward", "tcp 8080 80\n");
    let before = rules();
    let refused = |guest: &Guest<'_>, sentence: &str| {
        guest.v(&["check"]).exits(1).says(sentence);
        guest.v(&["start"]).exits(1).says(sentence);
        assert!(!guest.is_running() && !has_link(&end(guest)));
        assert_eq!(rules(), before);
    };
    guest.set("interfaces/0/ip", "10.80.0.1\n");
    refused(&guest, "the host itself has the address 10.80.0.1 (on br84)");
    guest.set("interfaces/0/ip", "10.80.0.2\n").set("netns/interfaces/0/gateway", "10.81.0.1\n");
    refused(&guest, "has 10.81.0.1 in its network");
    guest.set("netns/interfaces/0/gateway", "10.80.0.1\nfd80::1\n").set("netns/interfaces/0/forward", "tcp x\n");
    refused(&guest, "'tcp x' is no port to forward");
    guest.set("netns/interfaces/0/forward", "tcp 8080 80\n");
    // Another file in the program's place, which cannot be executed.
    let none: Option<&str> = None;
    nix::mount::mount(Some("/dev/null"), "/usr/sbin/nft", none, nix::mount::MsFlags::MS_BIND, none).unwrap();
    guest.v(&["check"]).exits(1).says("the host has no program nft, which NAT needs");
    guest.v(&["start"]).exits(1).says("the host has no program nft, which NAT needs; install the package nftables");
    nix::mount::umount("/usr/sbin/nft").unwrap();
    assert!(!guest.is_running() && !has_link(&end(&guest)));
    guest.v(&["start"]).ok();
    let other = private(&host, "br84", 3);
    other.set("netns/interfaces/0/forward", "udp 8080\ntcp 192.0.2.1:8080\n");
    other.v(&["start"]).exits(1).says(&format!("port 8080 of the host leads to guest '{}' already", guest.name));
    nothing_of(&other);
    other.set("netns/interfaces/0/forward", "udp 8080\n").v(&["start"]).ok();
    other.stop();
    guest.stop();
    assert_eq!(rules(), before);
    ip("link del br84");
}

/// A start that fails takes its table along, and so does the command after a killed keeper.
fn nothing_is_left_of_an_accident() {
    let host = Fixture::new();
    bridge("br85", &["10.80.0.1/24", "fd80::1/64"]);
    let before = rules();
    let guest = private(&host, "br85", 2);
    crate::tree::write(&guest.cfg, "scripts/pre-start", "#!/bin/sh\nexit 1\n", 0o755);
    guest.v(&["start"]).exits(1);
    assert_eq!(rules(), before);
    fs::remove_file(guest.cfg.join("scripts/pre-start")).unwrap();
    guest.v(&["start"]).ok();
    assert_ne!(rules(), before);
    kill(Pid::from_raw(guest.supervisor()), Signal::SIGKILL).unwrap();
    eventually("its link is gone", Duration::from_secs(5), || !has_link(&end(&guest)));
    guest.v(&["stop"]).ok();
    assert_eq!(rules(), before);
    nothing_of(&guest);
    ip("link del br85");
}
