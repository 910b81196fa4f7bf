//! An address that the host had before the start is the administrator's: a guest may use it, and its stop leaves it. The
//! original took it away (threats F21).

use std::process::Command;
use std::time::Duration;

use super::antispoof::Peer;
use super::netns::ip;
use crate::fixture::{Fixture, Guest, eventually};
use crate::inside::fetch;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("host_address::stays_with_its_own_prefix", stays_with_its_own_prefix).smoke(),
        Trial::new("host_address::an_alias_beside_it", an_alias_beside_it),
        Trial::new("host_address::is_waited_for_while_it_is_tentative", is_waited_for_while_it_is_tentative),
        Trial::new("host_address::a_neighbour_has_it_too", a_neighbour_has_it_too),
    ]
}

fn asking<'f>(host: &'f Fixture, address: &str, prefix: &str) -> Guest<'f> {
    let guest = host.guest();
    for (file, content) in [("ip", address), ("prefix", prefix), ("dev", "out39")] {
        guest.set(&format!("interfaces/0/{file}"), &format!("{content}\n"));
    }
    guest
}

/// Without those that the kernel gives to every link.
fn shown() -> String {
    let all = ip("-o addr show dev out39");
    all.lines().filter(|line| !line.contains("scope link")).map(|line| format!("{line}\n")).collect()
}

fn serve(guest: &Guest<'_>, at: &str) {
    guest.sh(&format!("mkdir -p /www && echo page of {} >/www/index.html && httpd -p {at} -h /www", guest.name)).ok();
}

/// The prefix of the configuration does not count then; both families.
fn stays_with_its_own_prefix() {
    let host = Fixture::new();
    let peer = Peer::new("out39", "in39");
    let add = peer.command("ip").args(["addr", "add", "10.99.39.9/24", "dev", "in39"]).status().unwrap();
    assert!(add.success());
    ip("addr add 10.99.39.1/24 dev out39");
    ip("addr add fd00:9:39::1/64 dev out39 nodad");
    let guest = asking(&host, "10.99.39.1", "32");
    for (file, content) in [("ip", "fd00:9:39::1"), ("prefix", "128"), ("dev", "out39")] {
        guest.set(&format!("interfaces/1/{file}"), &format!("{content}\n"));
    }
    let before = shown();
    let ran = guest.v(&["start"]);
    ran.ok().says("10.99.39.1/24 was on out39 before the start, and stays there when the guest stops");
    ran.says("fd00:9:39::1/64 was on out39 before the start");
    assert_eq!(shown(), before);
    serve(&guest, "80");
    let page = peer.inside(|| fetch("10.99.39.1:80").unwrap());
    assert!(page.contains(&format!("page of {}", guest.name)), "{page}");
    guest.v(&["restart"]).ok();
    guest.stop();
    assert_eq!(shown(), before);
    drop(peer);
}

/// A host address of the same network stays when the guest's own, which is ours, goes.
fn an_alias_beside_it() {
    let host = Fixture::new();
    let peer = Peer::new("out39", "in39");
    ip("addr add 10.99.39.1/24 dev out39");
    let before = shown();
    for prefix in ["32", "24"] {
        let guest = asking(&host, "10.99.39.2", prefix);
        let said = guest.v(&["start"]).ok().err.clone();
        assert!(!said.contains("before the start"), "{said}");
        assert!(shown().contains(&format!("10.99.39.2/{prefix}")), "{}", shown());
        serve(&guest, "80");
        assert!(fetch("10.99.39.2:80").is_ok());
        guest.stop();
        assert_eq!(shown(), before);
    }
    // The other way round: the host's is the younger one, and in the kernel goes with the first of its network.
    let guest = asking(&host, "10.99.40.2", "24");
    guest.start();
    ip("addr add 10.99.40.1/24 dev out39");
    guest.stop();
    assert!(shown().contains("10.99.40.1/24") && !shown().contains("10.99.40.2"), "{}", shown());
    drop(peer);
}

/// Servers bind at once, so a start waits until the kernel has asked the neighbours.
fn is_waited_for_while_it_is_tentative() {
    let host = Fixture::new();
    let peer = Peer::new("out39", "in39");
    let set = Command::new("sysctl").args(["-q", "-w", "net.ipv6.conf.out39.dad_transmits=2"]).status().unwrap();
    assert!(set.success());
    let guest = asking(&host, "fd00:9:39::5", "64");
    crate::tree::write(&guest.root, "etc/rc.start", "#!/bin/sh\nhttpd -p [fd00:9:39::5]:80 -h /www\n", 0o755);
    crate::tree::write(&guest.root, "www/index.html", "here\n", 0o644);
    // The peer's link is up, or this would be tentative for ever.
    eventually("the link is up", Duration::from_secs(10), || ip("link show out39").contains("LOWER_UP"));
    ip("addr add fd00:9:39::5/64 dev out39");
    assert!(shown().contains("tentative"), "{}", shown());
    let said = guest.v(&["start"]).ok().err.clone();
    assert!(!said.contains("cannot be bound"), "{said}");
    let own = shown().lines().find(|line| line.contains("fd00:9:39::5")).unwrap().to_owned();
    assert!(!own.contains("tentative"), "{own}");
    eventually("it serves", Duration::from_secs(10), || fetch("[fd00:9:39::5]:80").is_ok());
    guest.stop();
    assert!(shown().contains("fd00:9:39::5/64"));
    drop(peer);
}

/// It is there, and nobody can bind it.
fn a_neighbour_has_it_too() {
    let host = Fixture::new();
    let peer = Peer::new("out39", "in39");
    let add = peer.command("ip").args(["addr", "add", "fd00:9:39::6/64", "dev", "in39", "nodad"]).status().unwrap();
    assert!(add.success());
    eventually("the link is up", Duration::from_secs(10), || ip("link show out39").contains("LOWER_UP"));
    ip("addr add fd00:9:39::6/64 dev out39");
    let guest = asking(&host, "fd00:9:39::6", "64");
    guest.v(&["start"]).ok().says("fd00:9:39::6/64 on out39 cannot be bound: a neighbour has it, too");
    guest.stop();
    assert!(shown().contains("fd00:9:39::6/64"), "{}", shown());
    drop(peer);
}
