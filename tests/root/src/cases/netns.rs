//! Guests with a network namespace: `netns/`, `spaces/net`, links, what is left behind.
//!
//! The "host" here is the warden's network namespace.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fixture::{Fixture, Guest, eventually, program};
use crate::inside::fetch;
use crate::tree;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("netns::the_same_ethernet_address_at_every_start", the_same_ethernet_address_at_every_start),
        Trial::new("netns::a_stack_of_its_own", a_stack_of_its_own).smoke(),
        Trial::new("netns::another_guests_stack", another_guests_stack),
        Trial::new("netns::a_name_that_iproute2_knows", a_name_that_iproute2_knows).smoke(),
        Trial::new("netns::a_shared_one_is_left_alone", a_shared_one_is_left_alone),
        Trial::new("netns::a_pair_with_a_bridge", a_pair_with_a_bridge),
        Trial::new("netns::a_routed_pair", a_routed_pair),
        Trial::new("netns::every_kind_of_link", every_kind_of_link),
        Trial::new("netns::a_module_that_is_missing_is_told_before", a_module_that_is_missing_is_told_before),
        Trial::new("netns::its_root_is_powerless_outside", its_root_is_powerless_outside),
        Trial::new("netns::settings_of_its_own_stack", settings_of_its_own_stack),
        Trial::new("netns::classic_mode", classic_mode),
        Trial::new("netns::faults_are_found_before", faults_are_found_before),
        Trial::new("netns::nothing_is_left_of_a_failed_start", nothing_is_left_of_a_failed_start),
        Trial::new("netns::nothing_is_left_of_a_killed_keeper", nothing_is_left_of_a_killed_keeper),
        Trial::new("netns::a_reboot_makes_a_new_one", a_reboot_makes_a_new_one),
    ]
}

pub fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn has_link(name: &str) -> bool {
    ip("-o link").split_whitespace().any(|word| word.split('@').next() == Some(name) || word == format!("{name}:"))
}

/// A device name that belongs to this guest alone.
pub fn end(guest: &Guest<'_>) -> String {
    format!("v{}", guest.xid)
}

fn names() -> String {
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

fn own_space(guest: &Guest<'_>) -> String {
    guest.sh("readlink /proc/self/ns/net").ok().out.trim().to_owned()
}

pub fn serve(guest: &Guest<'_>) {
    let page = format!("mkdir -p /www && echo page of {} >/www/index.html && httpd -p 80 -h /www", guest.name);
    guest.sh(&page).ok();
}

#[track_caller]
pub fn shows(address: &str, guest: &Guest<'_>) {
    let _: SocketAddr = address.parse().unwrap();
    let page = fetch(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    assert!(page.contains(&format!("page of {}", guest.name)), "{page}");
}

pub fn nothing_of(guest: &Guest<'_>) {
    assert!(!has_link(&end(guest)), "{}", ip("-o link"));
    assert!(!names().contains(&guest.name), "{}", names());
}

/// A bridge of the host's with an address.
pub fn bridge(name: &str, addresses: &[&str]) {
    ip(&format!("link add {name} type bridge"));
    for address in addresses {
        ip(&format!("addr add {address} dev {name}{}", if address.contains(':') { " nodad" } else { "" }));
    }
    ip(&format!("link set {name} up"));
}

/// An address inside.
pub fn address<'g, 'f>(guest: &'g Guest<'f>, index: u32, address: &str, prefix: u8) -> &'g Guest<'f> {
    guest.set(&format!("interfaces/{index}/ip"), &format!("{address}\n"));
    guest.set(&format!("interfaces/{index}/prefix"), &format!("{prefix}\n"));
    guest.set(&format!("interfaces/{index}/dev"), "eth0\n")
}

/// A guest with a pair, its end inside called eth0.
pub fn with_pair<'f>(host: &'f Fixture) -> Guest<'f> {
    let guest = host.guest();
    guest.set("netns/interfaces/0/host", &format!("{}\n", end(&guest)));
    guest.set("netns/interfaces/0/guest", "eth0\n");
    guest
}

/// `spaces/net` empty: nothing but `lo`, which works, and nothing of the host is reached.
fn a_stack_of_its_own() {
    let host = Fixture::new();
    let guest = host.guest();
    fs::copy(program("vserver-probe"), guest.root.join("probe")).unwrap();
    guest.set("spaces/net", "\n").set("nflags", "hide_netif\n").carry_self();
    let said = guest.v(&["start"]).ok().err.clone();
    assert!(!said.contains("hide_netif"), "{said}");
    assert_ne!(own_space(&guest), fs::read_link("/proc/self/ns/net").unwrap().to_string_lossy());
    let links = guest.sh("ip -o link").ok().out.clone();
    assert!(links.lines().count() == 1 && links.contains("lo: <LOOPBACK,UP"), "{links}");
    serve(&guest);
    guest.sh("/self --get 127.0.0.1:80").ok().says("page of");
    // A socket to ping with, by the flag `raw_icmp` that every guest has; busybox' own ping wants another kind.
    guest.exec(&["/probe", "socket", "2", "2", "1"]).ok().says("OK");
    assert!(fetch("127.0.0.1:80").is_err());
    let status = guest.v(&["check"]);
    assert!(!status.out.contains("not yet"), "{}", status.out);
    guest.stop();
    guest.set("spaces/net", "0\n").start();
    assert_eq!(own_space(&guest), fs::read_link("/proc/self/ns/net").unwrap().to_string_lossy());
}

fn another_guests_stack() {
    let host = Fixture::new();
    let (one, two) = (host.guest(), host.guest());
    one.set("spaces/net", "\n");
    two.set("spaces/net", &format!("{}\n", one.name));
    two.v(&["start"]).exits(1).says("which does not run; start that one first");
    one.start();
    two.start();
    assert_eq!(own_space(&one), own_space(&two));
    serve(&one);
    two.sh("wget -q -O - http://127.0.0.1:80/").ok().says(&format!("page of {}", one.name));
    two.stop();
    two.set("spaces/net", &format!("{}\n", one.xid)).start();
    assert_eq!(own_space(&one), own_space(&two));
    two.stop();
    two.set("spaces/net", &format!("{}\n", two.name));
    two.v(&["start"]).exits(1).says("it names the guest itself");
}

/// Scripts find it by name from before pre-start to after postpost-stop, and a command by `ip netns exec`.
fn a_name_that_iproute2_knows() {
    let host = Fixture::new();
    let guest = host.guest();
    let (name, log) = (format!("{}net", guest.name), host.scratch("log").join("seen"));
    guest.set("netns/name", &format!("{name}\n")).set("netns/interfaces/00/host", &format!("{}\n", end(&guest)));
    for moment in ["prepre-start", "pre-start", "post-start", "post-stop", "postpost-stop"] {
        let script = format!(
            "#!/bin/sh\nprintf '{moment} ' >>{0}\nip netns exec {name} ip -o link show geth0 2>/dev/null | wc -l >>{0}\n",
            log.display()
        );
        tree::write(&guest.cfg, &format!("scripts/{moment}"), &script, 0o755);
    }
    guest.start();
    assert!(has_link(&end(&guest)));
    assert!(names().contains(&name), "{}", names());
    guest.sh("ip -o link show geth0").ok();
    let outside = ip(&format!("netns exec {name} readlink /proc/self/ns/net"));
    assert_eq!(outside.trim(), own_space(&guest));
    assert!(ip("netns list").contains(&name));
    guest.stop();
    let seen = fs::read_to_string(log).unwrap();
    assert_eq!(seen, "prepre-start 0\npre-start 1\npost-start 1\npost-stop 1\npostpost-stop 1\n");
    nothing_of(&guest);
}

/// `.defaults/netns` as a whole; with `shared` nothing is made or removed but the addresses.
fn a_shared_one_is_left_alone() {
    let host = Fixture::new();
    let guest = host.guest();
    let name = format!("{}shared", guest.name);
    let defaults = host.confdir().join(".defaults");
    tree::write(&defaults, "netns/name", &format!("{name}\n"), 0o644);
    tree::write(&defaults, "netns/shared", "", 0o644);
    guest.v(&["start"]).exits(1).says("is not there; make it with `ip netns add");
    ip(&format!("netns add {name}"));
    ip(&format!("netns exec {name} ip link add eth0 type veth peer name other"));
    address(&guest, 0, "10.62.0.2", 24);
    guest.start();
    guest.sh("ip -o addr show eth0").ok().says("10.62.0.2/24");
    assert_eq!(ip(&format!("netns exec {name} readlink /proc/self/ns/net")).trim(), own_space(&guest));
    guest.stop();
    let left = ip(&format!("netns exec {name} ip -o addr show eth0"));
    assert!(!left.contains("10.62.0.2"), "{left}");
    guest.set("nonetns", "").set("interfaces/0/nodev", "").start();
    assert_eq!(own_space(&guest), fs::read_link("/proc/self/ns/net").unwrap().to_string_lossy());
    guest.stop();
    ip(&format!("netns delete {name}"));
    // iproute2 mounts the directory on itself.
    nix::mount::umount("/run/netns").unwrap();
}

/// Two guests and the host on one bridge, both families, with MTU, Ethernet address and gateway.
fn a_pair_with_a_bridge() {
    let host = Fixture::new();
    bridge("br60", &["10.60.0.1/24", "fd60::1/64"]);
    let (one, two) = (with_pair(&host), with_pair(&host));
    for (guest, last) in [(&one, 2), (&two, 3)] {
        guest.set("netns/interfaces/0/bridge", "br60\n").set("netns/interfaces/0/mtu", "1400\n");
        guest.set("netns/interfaces/0/mac", &format!("02:00:00:00:60:0{last}\n"));
        guest.set("netns/interfaces/0/gateway", "10.60.0.1\nfd60::1\n");
        address(guest, 0, &format!("10.60.0.{last}"), 24);
        address(guest, 1, &format!("fd60::{last}"), 64);
        guest.carry_self().start();
        serve(guest);
    }
    shows("10.60.0.2:80", &one);
    shows("[fd60::2]:80", &one);
    shows("10.60.0.3:80", &two);
    one.sh("/self --get 10.60.0.3:80").ok().says(&format!("page of {}", two.name));
    one.sh("/self --get [fd60::3]:80").ok().says(&format!("page of {}", two.name));
    one.sh("ip -o link show eth0").ok().says("mtu 1400").says("02:00:00:00:60:02");
    one.sh("ip route; ip -6 route").ok().says("default via 10.60.0.1").says("default via fd60::1");
    one.stop();
    two.stop();
    nothing_of(&one);
    nothing_of(&two);
    ip("link del br60");
}

/// No bridge: the host has a route to each address, and the guest one to the host.
fn a_routed_pair() {
    let host = Fixture::new();
    ip("link add up61 type veth peer name peer61");
    ip("addr add 10.61.9.1/24 dev up61");
    ip("link set up61 up");
    let guest = with_pair(&host);
    guest.set("netns/interfaces/0/routed", "");
    address(&guest, 0, "10.61.0.2", 32);
    address(&guest, 1, "fd61::2", 128);
    guest.v(&["start"]).ok().says("the host does not forward (net.ipv4.ip_forward is 0)");
    serve(&guest);
    shows("10.61.0.2:80", &guest);
    shows("[fd61::2]:80", &guest);
    assert!(ip("route").contains(&format!("10.61.0.2 dev {}", end(&guest))));
    // Nobody listens there, and that is the host's answer.
    guest.carry_self().sh("/self --get 10.61.9.1:1 2>&1 || true").ok().says("refused");
    guest.sh("ip route").ok().says("default via 169.254.1.1");
    guest.stop();
    assert!(!ip("route").contains("10.61.0.2"));
    nothing_of(&guest);
    ip("link del up61");
}

/// A macvlan device, and a device that moves in and comes back under its own name.
fn every_kind_of_link() {
    let host = Fixture::new();
    ip("link add pa63 type veth peer name pb63");
    ip("link set pa63 up");
    ip("link set pb63 up");
    ip("link add ph63 type veth peer name pi63");
    let guest = host.guest();
    guest.set("netns/interfaces/0/type", "macvlan\n").set("netns/interfaces/0/parent", "pa63\n");
    guest.set("netns/interfaces/0/mode", "private\n").set("netns/interfaces/0/guest", "eth0\n");
    guest.set("netns/interfaces/1/type", "phys\n").set("netns/interfaces/1/parent", "ph63\n");
    guest.set("netns/interfaces/1/guest", "wan0\n");
    address(&guest, 0, "10.63.0.2", 24);
    guest.start();
    serve(&guest);
    ip("addr add 10.63.0.1/24 dev pb63");
    shows("10.63.0.2:80", &guest);
    assert!(!has_link("ph63"), "{}", ip("-o link"));
    guest.sh("ip -o link show wan0").ok();
    guest.stop();
    assert!(has_link("ph63") && has_link("pa63"), "{}", ip("-o link"));
    ip("link del pa63");
    ip("link del ph63");
}

/// Where the kernel makes such links they are made; otherwise nothing is begun.
fn a_module_that_is_missing_is_told_before() {
    let host = Fixture::new();
    ip("link add pa64 type veth peer name pb64");
    ip("link set pa64 up");
    let guest = with_pair(&host);
    guest.set("netns/interfaces/1/parent", "pa64\n").set("netns/interfaces/1/guest", "eth1\n");
    for (kind, module) in [("ipvlan", "ipvlan"), ("vlan", "8021q")] {
        guest.set("netns/interfaces/1/type", &format!("{kind}\n")).set("netns/interfaces/1/vlan", "7\n");
        let able = can_make(kind, "pa64");
        let started = guest.v(&["start"]);
        if able {
            started.ok();
            guest.sh("ip -o link show eth1").ok();
            guest.stop();
        } else {
            started.exits(1).says(&format!("load the kernel module {module}"));
            guest.v(&["check"]).says(&format!("load the kernel module {module}"));
        }
        nothing_of(&guest);
    }
    ip("link del pa64");
}

pub fn can_make(kind: &str, parent: &str) -> bool {
    let more: &[&str] = if kind == "vlan" { &["id", "9"] } else { &[] };
    let mut command = Command::new("ip");
    let made = command.args(["link", "add", "link", parent, "name", "try64", "type", kind]).args(more).status();
    let able = made.unwrap().success();
    if able {
        ip("link del try64");
    }
    able
}

/// Neighbours keep what they learned over a restart; another guest has another one.
fn the_same_ethernet_address_at_every_start() {
    let host = Fixture::new();
    let (one, two) = (with_pair(&host), with_pair(&host));
    let mac =
        |guest: &Guest<'_>| guest.sh("cat /sys/class/net/eth0/address || ip -o link show eth0").ok().out.clone();
    let mac = |guest: &Guest<'_>| {
        let text = mac(guest);
        let word =
            text.split_whitespace().find(|word| word.len() == 17 && !word.starts_with("ff:")).map(str::to_owned);
        word.unwrap_or_else(|| panic!("{text}"))
    };
    one.start();
    two.start();
    let first = mac(&one);
    assert_ne!(first, mac(&two));
    one.v(&["restart"]).ok();
    assert_eq!(mac(&one), first);
    let chosen = "02:00:00:00:66:01";
    one.set("netns/interfaces/0/mac", &format!("{chosen}\n")).v(&["restart"]).ok();
    assert_eq!(mac(&one), chosen);
}

/// NET_ADMIN governs its own stack, which its user namespace owns, and nothing of the host.
fn its_root_is_powerless_outside() {
    let host = Fixture::new();
    let guest = with_pair(&host);
    guest.set("bcapabilities", "NET_ADMIN\nNET_RAW\n");
    let said = guest.v(&["start"]).ok().err.clone();
    assert!(!said.contains("NET_ADMIN"), "{said}");
    guest.sh("ip addr add 10.65.0.9/24 dev eth0 && ip link set eth0 up && ip -o addr").ok().says("10.65.0.9/24");
    guest.sh("ip link add in65 type veth peer name out65 && ip link del in65").ok();
    let refused = guest.sh("ip link set eth0 netns 1 2>&1; ip -o link show eth0");
    refused.ok();
    guest.stop();
    let without = with_pair(&host);
    without.start();
    assert_ne!(without.sh("ip addr add 10.65.0.9/24 dev eth0").code, 0);
}

/// `sysctl/` writes to the guest's stack, and not to the host's.
fn settings_of_its_own_stack() {
    let host = Fixture::new();
    let guest = host.guest();
    let before = fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    guest.set("spaces/net", "\n");
    guest.set("sysctl/0/setting", "net.ipv4.ip_forward\n").set("sysctl/0/value", "1\n");
    let said = guest.v(&["start"]).ok().err.clone();
    assert!(!said.contains("sysctl"), "{said}");
    assert_eq!(guest.sh("cat /proc/sys/net/ipv4/ip_forward").ok().out.trim(), "1");
    assert_eq!(fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(), before);
}

/// Without a user namespace, too.
fn classic_mode() {
    let host = Fixture::new();
    let guest = with_pair(&host);
    guest.set("userns", "off\n").start();
    guest.sh("ip -o link show eth0").ok();
    assert_ne!(own_space(&guest), fs::read_link("/proc/self/ns/net").unwrap().to_string_lossy());
    guest.stop();
    nothing_of(&guest);
}

/// Each is one sentence of `check` and of `start`, and nothing is made.
fn faults_are_found_before() {
    let host = Fixture::new();
    let guest = with_pair(&host);
    let refused = |sentence: &str| {
        guest.v(&["check"]).exits(1).says(sentence);
        guest.v(&["start"]).exits(1).says(sentence);
        assert!(!names().contains(&guest.name) && !guest.is_running());
    };
    guest.set("netns/interfaces/0/bridge", "averylongbridge0\n");
    refused("'averylongbridge0' cannot be the name of a device");
    guest.set("netns/interfaces/0/bridge", "br66\n");
    refused("there is no network device 'br66'");
    ip("link add br66 type veth peer name pb66");
    refused("the device 'br66' is no bridge");
    ip("link del br66");
    fs::remove_file(guest.cfg.join("netns/interfaces/0/bridge")).unwrap();
    ip(&format!("link add {} type veth peer name pb66", end(&guest)));
    refused(&format!("there is a network device '{}' already", end(&guest)));
    assert!(has_link(&end(&guest)), "it is not ours to remove");
    ip("link del pb66");
    guest.set("netns/interfaces/0/type", "macvlan\n").set("netns/interfaces/0/parent", "nosuch66\n");
    refused("there is no network device 'nosuch66'");
    guest.set("netns/interfaces/0/type", "phys\n").set("netns/interfaces/0/parent", "lo\n");
    refused("'lo' cannot leave the host");
    guest.set("netns/interfaces/0/type", "veth\n").set("netns/interfaces/0/host", "averylongdevice0\n");
    refused("'averylongdevice0' cannot be the name of a device");
    guest.set("netns/interfaces/0/host", &format!("{}\n", end(&guest)));
    address(&guest, 0, "10.66.0.2", 24).set("netns/interfaces/0/gateway", "10.67.0.1\n");
    refused("no address of interfaces/ on device 'eth0' has 10.67.0.1 in its network");
    guest.set("netns/interfaces/0/gateway", "10.66.0.1\n").set("interfaces/0/dev", "eth9\n");
    guest.set("netns/interfaces/0/gateway", "");
    refused("there is no device 'eth9' in its network namespace");
    guest.set("interfaces/0/dev", "eth0\n").start();
    let other = with_pair(&host);
    address(&other, 0, "10.66.0.2", 24);
    other.v(&["start"]).exits(1).says("10.66.0.2");
    nothing_of(&other);
}

fn nothing_is_left_of_a_failed_start() {
    let host = Fixture::new();
    bridge("br67", &[]);
    let guest = with_pair(&host);
    guest.set("netns/interfaces/0/bridge", "br67\n");
    tree::write(&guest.cfg, "scripts/pre-start", "#!/bin/sh\nexit 1\n", 0o755);
    guest.v(&["start"]).exits(1);
    nothing_of(&guest);
    fs::remove_file(guest.cfg.join("scripts/pre-start")).unwrap();
    // The second link cannot be made.
    guest.set("netns/interfaces/1/type", "macvlan\n").set("netns/interfaces/1/parent", "lo\n");
    guest.v(&["start"]).exits(1);
    nothing_of(&guest);
    fs::remove_dir_all(guest.cfg.join("netns/interfaces/1")).unwrap();
    guest.start();
    guest.stop();
    nothing_of(&guest);
    ip("link del br67");
}

/// The namespace ends with its keeper; the next command takes the name away.
fn nothing_is_left_of_a_killed_keeper() {
    let host = Fixture::new();
    bridge("br68", &[]);
    ip("link add ph68 type veth peer name pi68");
    let guest = with_pair(&host);
    guest.set("netns/interfaces/0/bridge", "br68\n");
    guest.start();
    kill(Pid::from_raw(guest.supervisor()), Signal::SIGKILL).unwrap();
    eventually("its link is gone", Duration::from_secs(5), || !has_link(&end(&guest)));
    guest.v(&["stop"]).ok();
    nothing_of(&guest);
    guest.start();
    kill(Pid::from_raw(guest.supervisor()), Signal::SIGKILL).unwrap();
    eventually("its init is gone", Duration::from_secs(5), || {
        !Path::new(&format!("/proc/{}/exe", guest.init())).exists()
    });
    guest.start();
    guest.sh("ip -o link show eth0").ok();
    guest.stop();
    nothing_of(&guest);
    ip("link del br68");
    ip("link del ph68");
}

fn a_reboot_makes_a_new_one() {
    let host = Fixture::new();
    let guest = with_pair(&host);
    address(&guest, 0, "10.69.0.2", 24);
    guest.start();
    let before = guest.init();
    guest.sh("reboot");
    eventually("it runs again", Duration::from_secs(10), || guest.lives_again(before));
    guest.sh("ip -o addr show eth0").ok().says("10.69.0.2/24");
    assert_eq!(ip(&format!("netns exec {} readlink /proc/self/ns/net", guest.name)).trim(), own_space(&guest));
    guest.stop();
    nothing_of(&guest);
}
