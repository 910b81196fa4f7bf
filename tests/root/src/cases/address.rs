//! Addresses, first form: a guest shares the host's stack and is held to its own.
//!
//! The "host" here is the warden's network namespace.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use crate::fixture::{Fixture, Guest, Ran, eventually};
use crate::inside::fetch;
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("address::wildcard_becomes_its_own", wildcard_becomes_its_own).smoke(),
        Trial::new("address::two_guests_on_one_port", two_guests_on_one_port),
        Trial::new("address::a_wildcard_hears_all_addresses", a_wildcard_hears_all_addresses).smoke(),
        Trial::new("address::a_wildcard_hears_datagrams", a_wildcard_hears_datagrams).smoke(),
        Trial::new("address::two_hundred_guests_on_one_port", two_hundred_guests_on_one_port).within(1200),
        Trial::new("address::foreign_address_is_refused", foreign_address_is_refused),
        Trial::new("address::loopback_is_private", loopback_is_private),
        Trial::new("address::added_at_start_and_removed_at_stop", added_at_start_and_removed_at_stop).smoke(),
        Trial::new("address::one_that_was_there_stays", one_that_was_there_stays),
        Trial::new("address::every_part_of_an_interface", every_part_of_an_interface),
        Trial::new("address::vlans_are_made_and_removed", vlans_are_made_and_removed).needs(Need::Vlans),
        Trial::new("address::what_is_missing_for_an_address_is_told", what_is_missing_for_an_address_is_told),
        Trial::new("address::noncontext_holds_nobody", noncontext_holds_nobody),
        Trial::new("address::the_loopback_address_follows_ncontext", the_loopback_address_follows_ncontext),
    ]
}

/// A web server of busybox inside, on an address and port; the page names its guest.
fn serve(guest: &Guest<'_>, at: &str) -> Ran {
    let page = format!("mkdir -p /www && echo page of {} >/www/index.html && httpd -p {at} -h /www", guest.name);
    guest.sh(&page)
}

/// The page at an address and port, asked for by the host.
#[track_caller]
fn shows(address: &str, guest: &Guest<'_>) {
    let page = fetch(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    assert!(page.contains(&format!("page of {}", guest.name)), "{page}");
}

fn listeners() -> String {
    let output = Command::new("ss").args(["-Hltn"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn wildcard_becomes_its_own() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.address(0, "127.9.2.1", 8).start();
    // Port 80 from a user namespace on the host's stack.
    serve(&guest, "0.0.0.0:80").ok();
    assert!(listeners().contains("127.9.2.1:80"), "{}", listeners());
    shows("127.9.2.1:80", &guest);
    assert!(fetch("127.0.0.1:80").is_err());
}

fn two_guests_on_one_port() {
    let host = Fixture::new();
    let (one, two) = (host.guest(), host.guest());
    one.address(0, "127.9.3.1", 8).start();
    two.address(0, "127.9.3.2", 8).start();
    serve(&one, "80").ok();
    serve(&two, "80").ok();
    shows("127.9.3.1:80", &one);
    shows("127.9.3.2:80", &two);
}

/// Attachments to this network namespace, which is the warden's own.
fn links() -> usize {
    let own = fs::metadata("/proc/self/ns/net").unwrap().ino();
    vserver_sys::bpf::netns_links().unwrap().iter().filter(|link| u64::from(link.netns) == own).count()
}

fn a_wildcard_hears_all_addresses() {
    let host = Fixture::new();
    let (one, two, plain) = (host.guest(), host.guest(), host.guest());
    one.address(0, "127.9.34.1", 8).address(1, "127.9.34.2", 8);
    one.set("interfaces/2/ip", "fd00:9:34::1\n").set("interfaces/2/prefix", "128\n").set("interfaces/2/dev", "lo\n");
    two.address(0, "127.9.34.3", 8).address(1, "127.9.34.4", 8);
    plain.address(0, "127.9.34.5", 8);
    let before = links();
    for guest in [&one, &two, &plain] {
        guest.start();
        serve(guest, "80").ok();
    }
    for _ in 0..2 {
        for (address, guest) in [("127.9.34.1:80", &one), ("127.9.34.2:80", &one), ("[fd00:9:34::1]:80", &one)] {
            shows(address, guest);
        }
        shows("127.9.34.3:80", &two);
        shows("127.9.34.4:80", &two);
        shows("127.9.34.5:80", &plain);
        assert!(fetch("127.0.0.1:80").is_err() && fetch("127.9.34.9:80").is_err());
        // From inside, too; and what the second address hears is not the neighbour's.
        one.sh("wget -q -O - http://127.9.34.2/").ok().says("page of");
    }
    assert_eq!(links(), before + 1, "one for all of them");
    one.stop();
    assert!(fetch("127.9.34.2:80").is_err());
    shows("127.9.34.4:80", &two);
    two.v(&["restart"]).ok();
    assert!(fetch("127.9.34.4:80").is_err(), "nobody serves there now");
    serve(&two, "80").ok();
    shows("127.9.34.4:80", &two);
    two.stop();
    plain.stop();
    assert_eq!(links(), before);
}

/// Whether a datagram comes back from exactly the address that it was sent to.
fn echoes(address: &str) -> bool {
    let bound = UdpSocket::bind(if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" }).unwrap();
    bound.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    bound.connect(address).unwrap();
    bound.send(b"?").is_ok() && bound.recv(&mut [0; 8]).is_ok_and(|length| length == 1)
}

/// Not in 127.0.0.0/8: there the host's source is 127.0.0.1, and to answer that is to answer oneself.
fn a_wildcard_hears_datagrams() {
    let host = Fixture::new();
    let (one, two) = (host.guest(), host.guest());
    for (guest, addresses) in
        [(&one, ["10.99.35.1", "10.99.35.2", "fd00:9:35::1"]), (&two, ["10.99.35.3", "10.99.35.4", ""])]
    {
        for (number, address) in addresses.into_iter().filter(|address| !address.is_empty()).enumerate() {
            guest.set(&format!("interfaces/{number}/ip"), &format!("{address}\n"));
            guest.set(&format!("interfaces/{number}/prefix"), if address.contains(':') { "128\n" } else { "32\n" });
            guest.set(&format!("interfaces/{number}/dev"), "lo\n");
        }
        guest.carry_self().start();
        // One after the other, as when a server is restarted.
        guest.sh(
            "/self --echo [::]:53 >/dev/null & sleep 0.1; kill $!; wait $!; /self --echo [::]:53 >/dev/null 2>&1 &",
        );
    }
    for address in ["10.99.35.1:53", "10.99.35.2:53", "[fd00:9:35::1]:53", "10.99.35.3:53", "10.99.35.4:53"] {
        eventually(address, Duration::from_secs(10), || echoes(address));
    }
    assert!(!echoes("127.0.0.1:53"));
    one.stop();
    assert!(echoes("10.99.35.4:53"));
    two.stop();
}

/// Each with its own IPv4 and IPv6 address and one server on the wildcard port 80; the warden sees that nothing is left.
fn two_hundred_guests_on_one_port() {
    const COUNT: u32 = 200;
    let host = Fixture::new();
    // Numbers of their own: those of the fixture are for ten guests.
    let first = 44_000 + nix::unistd::getppid().as_raw().unsigned_abs() % 25 * COUNT;
    let guests: Vec<_> = (0..COUNT).map(|_| host.guest()).collect();
    let addresses = |index: u32| [format!("10.200.{}.1", index + 1), format!("fd00:200::{:x}", index + 1)];
    for (index, guest) in (0..).zip(&guests) {
        guest.set("context", &format!("{}\n", first + index));
        for (number, (address, prefix)) in addresses(index).into_iter().zip(["32", "128"]).enumerate() {
            guest.set(&format!("interfaces/{number}/ip"), &format!("{address}\n"));
            guest.set(&format!("interfaces/{number}/prefix"), &format!("{prefix}\n"));
            guest.set(&format!("interfaces/{number}/dev"), "lo\n");
        }
        crate::tree::write(&guest.root, "etc/rc.start", "#!/bin/sh\nhttpd -p 80 -h /www\n", 0o755);
        crate::tree::write(&guest.root, "www/index.html", &format!("page of {}\n", guest.name), 0o644);
    }
    let before = links();
    host.v(&["--all", "start"]).ok().says(&format!("{COUNT} of {COUNT} guests started"));
    eventually("all serve", Duration::from_secs(60), || {
        (0..COUNT).all(|index| fetch(&format!("{}:80", addresses(index)[0])).is_ok())
    });
    for (index, guest) in (0..).zip(&guests) {
        let [v4, v6] = addresses(index);
        shows(&format!("{v4}:80"), guest);
        shows(&format!("[{v6}]:80"), guest);
    }
    assert_eq!(links(), before + 1, "one for all of them");
    host.v(&["--all", "stop", "--kill"]).ok().says(&format!("{COUNT} of {COUNT} guests stopped"));
    assert_eq!(links(), before);
}

fn foreign_address_is_refused() {
    let host = Fixture::new();
    let (one, two) = (host.guest(), host.guest());
    one.address(0, "127.9.4.1", 8).start();
    two.address(0, "127.9.4.2", 8).start();
    assert_ne!(serve(&one, "127.9.4.2:8080").code, 0);
    assert!(!listeners().contains(":8080"), "{}", listeners());
}

/// 127.0.0.1 inside is the guest's own; it answers inside and nowhere else.
fn loopback_is_private() {
    let host = Fixture::new();
    let (one, two) = (host.guest(), host.guest());
    one.address(0, "127.9.5.1", 8).carry_self().start();
    two.address(0, "127.9.5.2", 8).carry_self().start();
    serve(&one, "127.0.0.1:8081").ok();
    one.sh("/self --get 127.0.0.1:8081").ok().says(&format!("page of {}", one.name));
    assert_ne!(two.sh("/self --get 127.0.0.1:8081").code, 0);
    assert!(fetch("127.0.0.1:8081").is_err());
}

fn has(address: &str) -> bool {
    let output = Command::new("ip").args(["-o", "addr"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).contains(address)
}

fn added_at_start_and_removed_at_stop() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("interfaces/0/ip", "10.99.7.1\n").set("interfaces/0/prefix", "32\n").set("interfaces/0/dev", "lo\n");
    guest.set("interfaces/1/ip", "fd99::7\n").set("interfaces/1/prefix", "128\n").set("interfaces/1/dev", "lo\n");
    assert!(!has("10.99.7.1/32"));
    guest.start();
    assert!(has("10.99.7.1/32") && has("fd99::7/128"));
    serve(&guest, "80").ok();
    shows("10.99.7.1:80", &guest);
    guest.stop();
    assert!(!has("10.99.7.1/32") && !has("fd99::7/128"));
}

/// F21 of the threat model: only what we added is removed.
fn one_that_was_there_stays() {
    let host = Fixture::new();
    let guest = host.guest();
    let ip = |verb: &str| Command::new("ip").args(["addr", verb, "10.99.8.1/32", "dev", "lo"]).status().unwrap();
    assert!(ip("add").success());
    guest.set("interfaces/0/ip", "10.99.8.1\n").set("interfaces/0/prefix", "32\n").set("interfaces/0/dev", "lo\n");
    guest.start();
    guest.stop();
    let stayed = has("10.99.8.1/32");
    assert!(ip("del").success());
    assert!(stayed, "an address of the host was removed");
}

fn ip(words: &[&str]) -> String {
    let output = Command::new("ip").args(words).output().unwrap();
    assert!(output.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// compat/config-tree.md §5.6: broadcast address, label, scope, `down`, `disabled`; then the other end of a link, and up.
fn every_part_of_an_interface() {
    let host = Fixture::new();
    let guest = host.guest();
    ip(&["tuntap", "add", "dev", "t0", "mode", "tap"]);
    for (file, content) in
        [("dev", "t0"), ("prefix", "24"), ("scope", "link"), ("0/ip", "10.99.9.1"), ("0/bcast", "10.99.9.250")]
    {
        guest.set(&format!("interfaces/{file}"), &format!("{content}\n"));
    }
    guest.set("interfaces/0/name", "web\n").set("interfaces/0/down", "");
    guest.set("interfaces/1/ip", "10.99.10.1\n").set("interfaces/1/disabled", "");
    // The original read a scope and never used it, so that it kept no address from its device.
    guest.set("interfaces/2/ip", "10.99.9.7\n").set("interfaces/2/scope", "host\n").set("interfaces/2/down", "");
    guest.v(&["start"]).ok().says("10.99.9.7/24 has the scope of the other addresses of its network on t0");
    let shown = ip(&["-o", "-4", "addr", "show", "dev", "t0"]);
    assert!(shown.contains("inet 10.99.9.1/24 brd 10.99.9.250 scope link t0:web"), "{shown}");
    assert!(!shown.contains("10.99.10.1"), "{shown}");
    let second = shown.lines().find(|line| line.contains("inet 10.99.9.7/24")).unwrap_or_else(|| panic!("{shown}"));
    assert!(second.contains("scope link"), "{shown}");
    assert!(!ip(&["-o", "link", "show", "dev", "t0"]).contains("UP"));
    guest.stop();
    fs::remove_dir_all(guest.cfg.join("interfaces")).unwrap();
    guest.set("interfaces/0/ip", "10.99.9.1\n").set("interfaces/0/dev", "t0\n").set("interfaces/0/prefix", "32\n");
    guest.set("interfaces/0/peer", "10.99.9.2\n").set("interfaces/scope", "nonsense\n");
    guest.v(&["check", "--quiet"]).ok().says("interfaces/scope:1: warning: 'nonsense' is no scope");
    guest.start();
    let shown = ip(&["-o", "-4", "addr", "show", "dev", "t0"]);
    assert!(shown.contains("inet 10.99.9.1 peer 10.99.9.2/32 scope global t0"), "{shown}");
    assert!(ip(&["-o", "link", "show", "dev", "t0"]).contains("UP"));
    guest.stop();
    assert_eq!(ip(&["-o", "-4", "addr", "show", "dev", "t0"]), "");
}

/// compat/config-tree.md §5.1: without a network context there is no address restriction.
fn noncontext_holds_nobody() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.address(0, "127.9.8.1", 8).set("noncontext", "").start();
    serve(&guest, "127.9.8.77:8085").ok();
    shows("127.9.8.77:8085", &guest);
}

/// compat/config-tree.md §5.1: `ncontext` is the number of the network context; localhost is 127.(n / 256).(n mod 256).1.
fn the_loopback_address_follows_ncontext() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.address(0, "127.9.9.1", 8).set("ncontext", "1234\n").start();
    serve(&guest, "127.0.0.1:8086").ok();
    assert!(listeners().contains("127.4.210.1:8086"), "{}", listeners());
}

/// compat/config-tree.md §5.6: made before the address, removed after it; one that was there stays.
fn vlans_are_made_and_removed() {
    let host = Fixture::new();
    let guest = host.guest();
    ip(&["tuntap", "add", "dev", "t1", "mode", "tap"]);
    ip(&["link", "set", "t1", "up"]);
    ip(&["link", "add", "link", "t1", "name", "t1.7", "type", "vlan", "id", "7"]);
    for (at, dev, address) in [(0, "t1.5", "10.99.12.1"), (1, "t1.5", "10.99.12.2"), (2, "t1.7", "10.99.13.1")] {
        guest.set(&format!("interfaces/{at}/ip"), &format!("{address}\n"));
        guest.set(&format!("interfaces/{at}/dev"), &format!("{dev}\n"));
    }
    guest.set("interfaces/prefix", "32\n").set("interfaces/vlandev", "").start();
    assert!(ip(&["-d", "-o", "link", "show", "dev", "t1.5"]).contains("vlan protocol 802.1Q id 5"));
    assert!(has("10.99.12.1/32") && has("10.99.12.2/32") && has("10.99.13.1/32"));
    guest.stop();
    let left = ip(&["-o", "link"]);
    assert!(!left.contains("t1.5") && left.contains("t1.7"), "{left}");
}

/// config-tree.md §5.6, §8: a device that is not there is told, and the guest starts without what was to be on it, unless
/// `--strict` is given; the rest is there. Where no VLAN can be made at all, as on `lo`, the start is undone.
fn what_is_missing_for_an_address_is_told() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("interfaces/0/ip", "10.99.14.1\n").set("interfaces/0/dev", "none0.5\n");
    guest.set("interfaces/prefix", "32\n").set("interfaces/0/vlandev", "");
    guest.set("interfaces/1/ip", "127.9.14.1\n").set("interfaces/1/dev", "lo\n");
    let warned =
        "interfaces/0: warning: there is no network device 'none0' now: the guest would start without this address";
    guest.v(&["check", "--quiet"]).ok().says(warned);
    guest.v(&["start", "--strict"]).exits(1).says("no network device \"none0\"");
    guest.v(&["running"]).exits(1);
    assert!(!has("127.9.14.1/32"), "what was made for it is undone");
    let ran = guest.v(&["start"]);
    ran.ok().says("make the device none0.5").says("no network device \"none0\"");
    ran.says(&format!(
        "cannot add 10.99.14.1/32 to none0.5 for guest '{}': no network device \"none0.5\"",
        guest.name
    ));
    assert!(has("127.9.14.1/32"));
    guest.v(&["status", "--json"]).ok().says("none0.5");
    guest.stop();
    assert!(!has("127.9.14.1/32"));
    guest.set("interfaces/0/dev", "lo.5\n");
    guest.v(&["start"]).exits(1).says("\"lo.5\" cannot be made: load the kernel module 8021q");
    guest.v(&["running"]).exits(1);
    assert!(!ip(&["-o", "link"]).contains("none0"));
}
