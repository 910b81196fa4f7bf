//! Switches that guests plug into by name.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use super::antispoof::Peer;
use super::netns::{address, bridge, can_make, end, has_link, ip, nothing_of, serve, shows, with_pair};
use crate::fixture::{Fixture, Guest, Ran};
use crate::inside::fetch;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("switch::private_and_with_the_host", private_and_with_the_host).smoke(),
        Trial::new("switch::public", public),
        Trial::new("switch::a_vlan_for_a_port", a_vlan_for_a_port).smoke(),
        Trial::new("switch::a_trunk", a_trunk).smoke(),
        Trial::new("switch::a_trunk_of_a_bridge", a_trunk_of_a_bridge),
        Trial::new("switch::faults_are_found_before", faults_are_found_before),
    ]
}

fn switch(host: &Fixture, words: &[&str]) -> Ran {
    host.tool("vserver-switch", words)
}

/// A guest that is plugged in, with one address.
fn plugged<'f>(host: &'f Fixture, name: &str, own: &str) -> Guest<'f> {
    let guest = with_pair(host);
    guest.set("netns/interfaces/0/switch", &format!("{name}\n"));
    address(&guest, 0, own, 24);
    guest.carry_self();
    guest
}

fn reaches(guest: &Guest<'_>, other: &Guest<'_>, ip: &str) {
    guest.sh(&format!("/self --get {ip}:80")).ok().says(&format!("page of {}", other.name));
}

/// On a private one guests are among themselves, whatever addresses the host gives itself there.
fn private_and_with_the_host() {
    let host = Fixture::new();
    switch(&host, &["list"]).ok();
    switch(&host, &["create", "lan"]).ok();
    let (one, two) = (plugged(&host, "lan", "10.86.0.2"), plugged(&host, "lan", "10.86.0.3"));
    for guest in [&one, &two] {
        guest.start();
        serve(guest);
    }
    reaches(&one, &two, "10.86.0.3");
    reaches(&two, &one, "10.86.0.2");
    ip("addr add 10.86.0.1/24 dev sw-lan");
    assert!(fetch("10.86.0.2:80").is_err());
    let listener = TcpListener::bind("10.86.0.1:8099").unwrap();
    assert_ne!(one.sh("/self --get 10.86.0.1:8099").code, 0);
    assert!(nobody_called(listener));
    ip("addr del 10.86.0.1/24 dev sw-lan");
    switch(&host, &["delete", "lan"]).exits(1).says(&format!("is in use by guest '{}' and 1 more", one.name));
    let listed = switch(&host, &["list", "--json"]).ok().out.clone();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let expected = serde_json::json!({
        "name": "lan", "kind": "private", "bridge": "sw-lan", "uplink": null, "addresses": [], "made": true,
        "vlans": keeps_vlans_apart(), "guests": [one.name, two.name],
    });
    assert_eq!(listed[0], expected);
    one.stop();
    two.stop();
    // As after a boot: it is written down, and the first guest makes it.
    ip("link del sw-lan");
    one.start();
    assert!(has_link("sw-lan"));
    one.stop();
    for guest in [&one, &two] {
        fs::remove_file(guest.cfg.join("netns/interfaces/0/switch")).unwrap();
    }
    switch(&host, &["delete", "lan"]).ok();
    assert!(!has_link("sw-lan") && !host.confdir().join(".switches").exists());

    switch(&host, &["create", "inner", "--address", "10.87.0.1/24"]).ok();
    let guest = plugged(&host, "inner", "10.87.0.2");
    guest.set("netns/interfaces/0/gateway", "10.87.0.1\n").start();
    serve(&guest);
    let listener = TcpListener::bind("10.87.0.1:8099").unwrap();
    // It connects; nobody answers.
    assert_ne!(guest.sh("/self --get 10.87.0.1:8099").code, 0);
    assert!(!nobody_called(listener));
    shows("10.87.0.2:80", &guest);
    switch(&host, &["list"]).ok().says("inner        host     sw-inner        10.87.0.1/24");
    guest.stop();
    nothing_of(&guest);
    fs::remove_dir_all(guest.cfg.join("netns")).unwrap();
    switch(&host, &["delete", "inner"]).ok();
}

fn nobody_called(listener: TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    listener.accept().is_err()
}

/// A device of the host's leads outside, and goes back when the switch does.
fn public() {
    let host = Fixture::new();
    let peer = Peer::new("out88", "in88");
    assert!(peer.command("ip").args(["addr", "add", "10.88.0.9/24", "dev", "in88"]).status().unwrap().success());
    ip("addr add 10.88.0.7/24 dev out88");
    switch(&host, &["create", "dmz", "--uplink", "out88"]).exits(1).says("'out88' has the address 10.88.0.7/24");
    assert!(!has_link("sw-dmz") && !host.confdir().join(".switches/dmz").exists());
    ip("addr del 10.88.0.7/24 dev out88");
    switch(&host, &["create", "dmz", "--uplink", "out88"]).ok();
    switch(&host, &["create", "two", "--uplink", "out88"]).exits(1).says("'out88' is plugged in somewhere else");
    let guest = plugged(&host, "dmz", "10.88.0.2");
    guest.start();
    serve(&guest);
    let page = peer.inside(|| fetch("10.88.0.2:80").unwrap());
    assert!(page.contains(&format!("page of {}", guest.name)), "{page}");
    guest.stop();
    // Something that is no guest is plugged in.
    ip("link add in89 type veth peer name out89");
    ip("link set in89 master sw-dmz");
    fs::remove_file(guest.cfg.join("netns/interfaces/0/switch")).unwrap();
    switch(&host, &["delete", "dmz"]).exits(1).says("the device 'in89' is plugged in; take it out first");
    ip("link del in89");
    switch(&host, &["delete", "dmz"]).ok();
    assert!(!has_link("sw-dmz") && has_link("out88"));
    drop(peer);
}

fn keeps_vlans_apart() -> bool {
    let made = Command::new("ip").args(["link", "add", "try90", "type", "bridge", "vlan_filtering", "1"]).output();
    let able = made.unwrap().status.success();
    if able {
        ip("link del try90");
    }
    able
}

/// Where the kernel's bridges keep VLANs apart guests of one meet; elsewhere nothing is begun.
fn a_vlan_for_a_port() {
    let host = Fixture::new();
    switch(&host, &["create", "lan"]).ok();
    let (one, two, alone) =
        (plugged(&host, "lan", "10.91.0.2"), plugged(&host, "lan", "10.91.0.3"), plugged(&host, "lan", "10.91.0.4"));
    one.set("netns/interfaces/0/vlan", "7\n");
    two.set("netns/interfaces/0/vlan", "7\n");
    if keeps_vlans_apart() {
        for guest in [&one, &two, &alone] {
            guest.start();
            serve(guest);
        }
        reaches(&one, &two, "10.91.0.3");
        for (from, to) in [(&one, "10.91.0.4"), (&alone, "10.91.0.2")] {
            assert_ne!(from.sh(&format!("/self --get {to}:80")).code, 0, "from {} to {to}", from.name);
        }
        let shown = Command::new("bridge").args(["vlan", "show", "dev", &end(&one)]).output().unwrap();
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("7 PVID Egress Untagged") && !shown.contains("\t1 "), "{shown}");
        for guest in [&one, &two, &alone] {
            guest.stop();
        }
    } else {
        let sentence = "this kernel's bridges do not keep VLANs apart";
        one.v(&["check"]).exits(1).says(sentence);
        one.v(&["start"]).exits(1).says(sentence);
        nothing_of(&one);
    }
    for guest in [&one, &two, &alone] {
        fs::remove_dir_all(guest.cfg.join("netns")).unwrap();
    }
    switch(&host, &["delete", "lan"]).ok();
}

/// The port of a router carries two VLANs with their tags and nothing else. Where the kernel has VLAN devices the router's
/// neighbours of each reach it, and those of a third do not.
fn a_trunk() {
    let host = Fixture::new();
    switch(&host, &["create", "lan"]).ok();
    let router = with_pair(&host);
    router.set("netns/interfaces/0/switch", "lan\n").set("netns/interfaces/0/trunk", "7\n100-101\n").carry_self();
    if !keeps_vlans_apart() {
        router.v(&["start"]).exits(1).says("netns/interfaces/0/trunk").says("bridges do not keep VLANs apart");
        nothing_of(&router);
        fs::remove_dir_all(router.cfg.join("netns")).unwrap();
        switch(&host, &["delete", "lan"]).ok();
        return;
    }
    let has_devices = can_make("vlan", "sw-lan");
    for (index, dev, own) in [(0, "eth0.7", "10.95.7.1"), (1, "eth0.100", "10.95.100.1")] {
        address(&router, index, own, 24);
        if has_devices {
            router.set(&format!("interfaces/{index}/dev"), &format!("{dev}\n"));
            router.set(&format!("interfaces/{index}/vlandev"), "");
        }
    }
    router.start();
    serve(&router);
    let ids = vlans_of(&router);
    assert_eq!(ids, [(7, false), (100, false), (101, false)], "no VLAN for frames without a tag");
    for (number, own, to, reached) in [
        ("7", "10.95.7.2", "10.95.7.1", true),
        ("100", "10.95.100.2", "10.95.100.1", true),
        ("9", "10.95.7.9", "10.95.7.1", false),
        ("", "10.95.7.8", "10.95.7.1", false),
    ] {
        let guest = plugged(&host, "lan", own);
        guest.set("netns/interfaces/0/vlan", &format!("{number}\n")).start();
        if has_devices {
            let ran = guest.sh(&format!("/self --get {to}:80"));
            assert_eq!(ran.code == 0, reached, "from VLAN '{number}' to {to}: {}", ran.err);
        }
        guest.stop();
        fs::remove_dir_all(guest.cfg.join("netns")).unwrap();
    }
    router.stop();
    // Beside the tags, frames without one.
    router.set("netns/interfaces/0/vlan", "9\n").start();
    assert_eq!(vlans_of(&router), [(7, false), (9, true), (100, false), (101, false)]);
    router.stop();
    fs::remove_dir_all(router.cfg.join("netns")).unwrap();
    switch(&host, &["delete", "lan"]).ok();
}

/// A bridge of the administrator's, which must keep VLANs apart.
fn a_trunk_of_a_bridge() {
    let host = Fixture::new();
    let guest = with_pair(&host);
    bridge("br96", &[]);
    guest.set("netns/interfaces/0/bridge", "br96\n").set("netns/interfaces/0/trunk", "7\n");
    let sentence = "the bridge 'br96' does not keep VLANs apart";
    guest.v(&["check"]).exits(1).says(sentence).says("ip link set br96 type bridge vlan_filtering 1");
    guest.v(&["start"]).exits(1).says(sentence);
    nothing_of(&guest);
    if keeps_vlans_apart() {
        ip("link set br96 type bridge vlan_filtering 1");
        guest.start();
        assert_eq!(vlans_of(&guest), [(7, false)]);
        guest.stop();
    }
    for (lines, fault) in [
        ("7\n4095\n", "'4095' is not a VLAN number"),
        ("7-9\n8\n", "VLAN 8 is named twice"),
        ("9-7\n", "'9-7' is not a VLAN number"),
    ] {
        guest.set("netns/interfaces/0/trunk", lines).v(&["start"]).exits(1).says(fault);
        nothing_of(&guest);
    }
    ip("link del br96");
}

/// Numbers of the VLANs of a guest's port, each with whether frames without a tag are in it.
fn vlans_of(guest: &Guest<'_>) -> Vec<(u64, bool)> {
    let shown = Command::new("bridge").args(["-j", "vlan", "show", "dev", &end(guest)]).output().unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let ranges = shown[0]["vlans"].as_array().unwrap();
    let one = |range: &serde_json::Value| {
        let first = range["vlan"].as_u64().unwrap();
        let bare = range["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "PVID"));
        (first..=range["vlanEnd"].as_u64().unwrap_or(first)).map(move |number| (number, bare)).collect::<Vec<_>>()
    };
    ranges.iter().flat_map(one).collect()
}

/// Each is one sentence, and nothing is made or written down.
fn faults_are_found_before() {
    let host = Fixture::new();
    let refused = |words: &[&str], sentence: &str| {
        switch(&host, &[&["create"], words].concat()).exits(1).says(sentence);
        assert!(!host.confdir().join(".switches").exists(), "{words:?}");
    };
    refused(&["averylongname"], "switch 'averylongname' cannot be called so: 1 to 12 letters");
    refused(&["../x"], "cannot be called so");
    refused(&["lan", "--uplink", "nosuch92"], "there is no network device 'nosuch92'");
    refused(&["lan", "--address", "10.92.0.1"], "an address with a prefix like 10.5.0.1/24 is needed");
    ip("link add in92 type veth peer name out92");
    ip("addr add 10.92.0.1/24 dev in92");
    refused(&["lan", "--address", "10.92.0.1/24"], "the host has the address 10.92.0.1 already");
    ip("link add sw-lan type veth peer name out93");
    refused(&["lan"], "there is a network device 'sw-lan' already");
    ip("link del sw-lan");
    switch(&host, &["create", "lan"]).ok();
    switch(&host, &["create", "lan"]).exits(1).says("switch 'lan' is there already");
    switch(&host, &["delete", "wan"]).exits(1).says("switch 'wan' is not there");
    switch(&host, &["delete", "lan"]).ok();
    let guest = plugged(&host, "lan", "10.92.0.2");
    guest.v(&["check"]).exits(1).says("there is no switch 'lan'");
    guest.v(&["start"]).exits(1).says("make it with `vserver-switch create lan`");
    nothing_of(&guest);
    ip("link del in92");
}
