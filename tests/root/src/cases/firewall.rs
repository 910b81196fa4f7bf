//! Packet filters of a guest's own network stack.

use std::fs;
use std::io::{Read, Write};
use std::process::Command;

use super::netns::{address, bridge, end, ip, nothing_of, serve, shows, with_pair};
use crate::fixture::{Fixture, Guest, program};
use crate::inside::fetch;
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("netns::packet_filters_of_its_own", packet_filters_of_its_own).needs(Need::Tool("nft")),
        Trial::new("netns::packet_filters_need_the_word", packet_filters_need_the_word),
    ]
}

/// The host's program with its libraries, in the guest's tree.
fn carry_nft(guest: &Guest<'_>) {
    let libraries = Command::new("ldd").arg("/usr/sbin/nft").output().unwrap();
    let libraries = String::from_utf8(libraries.stdout).unwrap();
    let files = libraries.split_whitespace().filter(|word| word.starts_with('/'));
    for file in files.chain(["/usr/sbin/nft"]) {
        let inside = guest.root.join(file.trim_start_matches('/'));
        fs::create_dir_all(inside.parent().unwrap()).unwrap();
        fs::copy(file, inside).unwrap();
    }
}

/// Rules inside hold inside; the host's and those of its end of the pair stay as they are, whatever the guest flushes.
fn packet_filters_of_its_own() {
    let host = Fixture::new();
    bridge("br66", &["10.66.0.1/24"]);
    let guest = with_pair(&host);
    guest.set("netns/interfaces/0/bridge", "br66\n").set("netns/firewall", "");
    address(&guest, 0, "10.66.0.2", 24);
    carry_nft(&guest);
    let said = guest.carry_self().v(&["start"]).ok().err.clone();
    assert!(!said.contains("firewall") && !said.contains("NET_ADMIN"), "{said}");
    let hosts = || {
        let rules = Command::new("nft").args(["-s", "list", "ruleset"]).output().unwrap();
        let filter = Command::new("tc").args(["filter", "show", "dev", &end(&guest), "ingress"]).output().unwrap();
        (String::from_utf8(rules.stdout).unwrap(), String::from_utf8(filter.stdout).unwrap())
    };
    let before = hosts();
    assert!(before.1.contains("bpf"), "{}", before.1);
    serve(&guest);
    shows("10.66.0.2:80", &guest);
    let rules =
        "table inet own { chain in { type filter hook input priority 0; tcp dport 80 reject with tcp reset; }; }";
    guest.sh(&format!("nft '{rules}' && nft list ruleset")).ok().says("tcp dport 80 reject");
    assert!(fetch("10.66.0.2:80").is_err());
    assert_eq!(hosts(), before);
    guest.sh("nft flush ruleset && nft list ruleset").ok();
    shows("10.66.0.2:80", &guest);
    // What it may say that it is, is judged where it cannot reach.
    let server = std::net::TcpListener::bind("10.66.0.1:8066").unwrap();
    std::thread::spawn(move || {
        for mut stream in server.incoming().flatten() {
            let _ = stream.read(&mut [0; 100]);
            let _ = stream.write_all(b"heard");
        }
    });
    guest.sh("/self --get 10.66.0.1:8066").ok().says("heard");
    guest.sh("ip addr add 10.66.0.99/24 dev eth0 && ip addr del 10.66.0.2/24 dev eth0").ok();
    let foreign = guest.sh("/self --get 10.66.0.1:8066");
    assert!(foreign.code != 0 && !foreign.out.contains("heard"), "{}", foreign.out);
    assert_eq!(hosts(), before);
    guest.stop();
    nothing_of(&guest);
    ip("link del br66");
}

/// Without `firewall`, and where the network namespace is not the guest's user namespace's, there is no such socket.
fn packet_filters_need_the_word() {
    let host = Fixture::new();
    let refused = |guest: &Guest<'_>| {
        fs::copy(program("vserver-probe"), guest.root.join("probe")).unwrap();
        guest.exec(&["/probe", "netlink_netfilter"]).says("EAFNOSUPPORT");
        guest.stop();
    };
    let without = with_pair(&host);
    without.set("bcapabilities", "NET_ADMIN\n").start();
    refused(&without);
    let classic = with_pair(&host);
    classic.set("userns", "off\n").set("netns/firewall", "");
    let said = classic.v(&["start"]).ok().err.clone();
    assert!(said.contains("netns/firewall") && said.contains("user namespace"), "{said}");
    refused(&classic);
}
