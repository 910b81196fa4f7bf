//! What a guest on the host's stack sees of it: its own devices, addresses and routes, through whatever asks by rtnetlink.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use super::netns::ip;
use crate::fixture::{Fixture, Guest, eventually, program};
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("hide_netif::only_what_is_its_own", only_what_is_its_own).needs(Need::Probe).smoke(),
        Trial::new("hide_netif::addresses_come_and_go", addresses_come_and_go).needs(Need::Probe).smoke(),
        Trial::new("hide_netif::the_host_changes", the_host_changes).needs(Need::Probe),
        Trial::new("hide_netif::without_it_all_is_shown", without_it_all_is_shown).needs(Need::Probe),
        Trial::new("hide_netif::in_a_network_of_its_own", in_a_network_of_its_own).needs(Need::Probe),
        Trial::new("hide_netif::nothing_leads_round_it", nothing_leads_round_it).needs(Need::Probe).smoke(),
        Trial::new("hide_netif::a_flood_holds_up_nobody", a_flood_holds_up_nobody).needs(Need::Probe),
    ]
}

const LIMIT: Duration = Duration::from_secs(10);

/// A host with two devices, of which one has addresses of two guests and of itself.
pub(super) struct Net;

impl Net {
    pub(super) fn new() -> Self {
        ip("link add out71 type veth peer name far71");
        ip("link add out72 type veth peer name far72");
        for end in ["out71", "far71", "out72", "far72"] {
            ip(&format!("link set {end} up"));
        }
        ip("link set out71 mtu 1400");
        for address in ["10.99.71.1/24", "10.99.71.2/24", "10.99.71.3/24", "10.99.71.4/24"] {
            ip(&format!("addr add {address} brd + dev out71"));
        }
        for last in 1..=3 {
            ip(&format!("addr add fd00:9:71::{last}/64 dev out71 nodad"));
        }
        ip("addr add 10.99.72.1/24 dev out72");
        ip("route add default via 10.99.71.254 dev out71");
        ip("route add 10.98.0.0/16 via 10.99.72.254 dev out72");
        ip("-6 route add fd00:8::/64 via fd00:9:71::fe dev out71");
        Self
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for device in ["out71", "out72"] {
            let _ = std::process::Command::new("ip").args(["link", "del", device]).status();
        }
    }
}

fn guest<'f>(host: &'f Fixture, addresses: &[&str]) -> Guest<'f> {
    let guest = host.guest();
    fs::copy(program("vserver-probe"), guest.root.join("probe")).unwrap();
    for (index, address) in (0..).zip(addresses) {
        guest.address(index, address, if address.contains(':') { 64 } else { 24 });
    }
    guest
}

fn probe(guest: &Guest<'_>, words: &[&str]) -> String {
    guest.exec(&[&["/probe"], words].concat()).out.trim().to_owned()
}

/// Devices and addresses, each with `lo`'s.
fn shows(guest: &Guest<'_>, wanted: &[&str]) {
    // Of /sys there is the one of another namespace.
    let links = ip("-o link");
    let index = links.lines().find_map(|line| line.split_once(": out71").map(|(index, _)| index)).unwrap_or_default();
    let of = |words: &str| words.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
    let mut all = of("1:lo 127.0.0.1@lo");
    all.extend(wanted.iter().map(|word| word.replace("N:", &format!("{index}:"))));
    assert_eq!(of(&probe(guest, &["shown"])), all);
}

/// Network namespaces, besides ours, that the supervisor of a guest holds.
fn held_for(guest: &Guest<'_>) -> BTreeSet<String> {
    let status = fs::read_to_string(format!("/proc/{}/status", guest.init())).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    held_by(parent.trim().parse().unwrap())
}

fn held_by(pid: i32) -> BTreeSet<String> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = fds.flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
    let own = fs::read_link("/proc/self/ns/net").unwrap();
    let all = links.filter(|link| *link != own).map(|link| link.to_string_lossy().into_owned());
    all.filter(|link| link.starts_with("net:")).collect()
}

/// Two guests and the host on one device, and a device that is no guest's.
fn only_what_is_its_own() {
    let host = Fixture::new();
    let _net = Net::new();
    let one = guest(&host, &["10.99.71.2", "10.99.71.4", "fd00:9:71::2"]);
    let two = guest(&host, &["10.99.71.3"]);
    one.set("nflags", "hide_netif\n");
    let said = one.v(&["start"]).ok().err.clone();
    assert!(!said.contains("hide_netif"), "{said}");
    two.start();
    // Nothing is spent before somebody asks.
    assert_eq!(held_for(&one).len(), 0);
    shows(&one, &["N:out71", "10.99.71.2@out71", "10.99.71.4@out71", "fd00:9:71::2@out71"]);
    assert_eq!(held_for(&one).len(), 1);
    shows(&two, &["N:out71", "10.99.71.3@out71"]);
    // As on the host in all that programs look at.
    let own = ip("-o link show out71");
    let mac = own.split_once("link/ether ").unwrap().1.split(' ').next().unwrap();
    let links = one.sh("ip -o link").ok().out.clone();
    assert_eq!(links.lines().count(), 2, "{links}");
    assert!(links.contains("mtu 1400") && links.contains(mac) && links.contains("UP"), "{links}");
    let addresses = one.sh("ip -o addr").ok().out.clone();
    assert!(
        addresses.contains("10.99.71.2/24 brd 10.99.71.255") && !addresses.contains("10.99.71.1/"),
        "{addresses}"
    );
    assert!(!addresses.contains("10.99.71.3") && !addresses.contains("10.99.72.1"), "{addresses}");
    assert!(!addresses.contains("::1/128") && !addresses.contains("fe80"), "{addresses}");
    let routes = one.sh("ip route; ip -6 route").ok().out.clone();
    assert!(routes.contains("default via 10.99.71.254 dev out71"), "{routes}");
    assert!(routes.contains("10.99.71.0/24 dev out71") && routes.contains("src 10.99.71.2"), "{routes}");
    assert!(routes.contains("fd00:8::/64 via fd00:9:71::fe dev out71"), "{routes}");
    assert!(!routes.contains("out72") && !routes.contains("10.99.71.1"), "{routes}");
    // A guest without addresses has its localhost.
    let none = guest(&host, &[]);
    none.start();
    shows(&none, &[]);
    none.stop();
    one.stop();
    two.stop();
}

/// On the guest's own line of `naddress`, and on a socket that was there before.
fn addresses_come_and_go() {
    let host = Fixture::new();
    let _net = Net::new();
    let guest = guest(&host, &["10.99.71.2"]);
    guest.start();
    shows(&guest, &["N:out71", "10.99.71.2@out71"]);
    let (mut watcher, mut lines) = watch(&guest, 2);
    let naddress = |words: &str| {
        let line = format!("{words} --nid {}", guest.xid);
        host.tool("naddress", &line.split(' ').collect::<Vec<_>>()).ok();
    };
    naddress("--add --ip 10.99.71.3");
    assert_eq!(lines.next(), "new [10, 99, 71, 3]");
    shows(&guest, &["N:out71", "10.99.71.2@out71", "10.99.71.3@out71"]);
    // The first of the network goes, the other stays.
    naddress("--remove --ip 10.99.71.2");
    assert_eq!(lines.next(), "gone [10, 99, 71, 2]");
    shows(&guest, &["N:out71", "10.99.71.3@out71"]);
    watcher.wait().unwrap();
    // The last one goes, and the device with it.
    naddress("--remove --ip 10.99.71.3");
    shows(&guest, &[]);
    naddress("--add --ip 10.99.71.2");
    shows(&guest, &["N:out71", "10.99.71.2@out71"]);
    // Off and on again while it runs.
    let flag = |word: &str| host.tool("nattribute", &["--set", "--nid", &guest.xid.to_string(), "--flag", word]);
    flag("~hide_netif").ok();
    assert!(probe(&guest, &["shown"]).contains("10.99.71.1@out71"));
    flag("hide_netif").ok();
    shows(&guest, &["N:out71", "10.99.71.2@out71"]);
    guest.stop();
}

struct Lines(BufReader<ChildStdout>);

impl Lines {
    fn next(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

/// A program inside that hears so many changes of addresses on one socket, which it has when this returns.
fn watch(guest: &Guest<'_>, count: u32) -> (Child, Lines) {
    let mut command = guest.host_command(&["exec", "/probe", "watch_addresses", &count.to_string()]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = Lines(BufReader::new(child.stdout.take().unwrap()));
    assert_eq!(lines.next(), "ready");
    (child, lines)
}

/// What changes on the host is seen by whoever asks after it.
fn the_host_changes() {
    let host = Fixture::new();
    let _net = Net::new();
    let guest = guest(&host, &["10.99.71.2", "10.99.72.9"]);
    ip("addr add 10.99.72.9/24 dev out72");
    guest.start();
    let of = || guest.sh("ip -o addr; ip -o link; ip route").ok().out.clone();
    assert!(of().contains("10.99.72.9/24"));
    ip("addr del 10.99.72.9/24 dev out72");
    assert!(!of().contains("out72") && !of().contains("10.99.72"));
    ip("addr add 10.99.72.9/24 dev out71");
    assert!(of().contains("inet 10.99.72.9/24") && !of().contains("out72"));
    ip("link set out71 mtu 1300");
    assert!(of().contains("mtu 1300"));
    ip("route add 10.97.0.0/16 via 10.99.71.253");
    assert!(of().contains("10.97.0.0/16 via 10.99.71.253"));
    ip("route del 10.97.0.0/16");
    assert!(!of().contains("10.97.0.0"));
    ip("link set out71 down");
    eventually("it is down", LIMIT, || !guest.sh("ip -o link show out71").out.contains("UP"));
    ip("link set out71 up");
    eventually("it is up", LIMIT, || guest.sh("ip -o link show out71").out.contains("UP"));
    // The device goes away and another one comes under its number or not.
    ip("link del out71");
    shows(&guest, &[]);
    ip("link add out71 type veth peer name far71");
    ip("addr add 10.99.71.2/24 dev out71");
    shows(&guest, &["N:out71", "10.99.71.2@out71"]);
    guest.stop();
}

fn without_it_all_is_shown() {
    let host = Fixture::new();
    let _net = Net::new();
    let guest = guest(&host, &["10.99.71.2"]);
    guest.set("nflags", "~hide_netif\n").start();
    let shown = probe(&guest, &["shown"]);
    for one in ["10.99.71.1@out71", "10.99.71.3@out71", "10.99.72.1@out72", ":out72"] {
        assert!(shown.contains(one), "{one}: {shown}");
    }
    assert_eq!(held_for(&guest).len(), 0);
    // What it was not started with comes with its next start, and that is said.
    let nid = guest.xid.to_string();
    let said = host.tool("nattribute", &["--set", "--nid", &nid, "--flag", "hide_netif"]).ok().err.clone();
    assert!(said.contains("hide_netif") && said.contains("next start"), "{said}");
    guest.stop();
}

/// A process that has left the host's stack gets what it has there.
fn in_a_network_of_its_own() {
    let host = Fixture::new();
    let _net = Net::new();
    let guest = guest(&host, &["10.99.71.2"]);
    guest.set("ccapabilities", "namespace\n").start();
    // There the loopback device is down, and there is nothing else.
    let said = guest.sh("unshare -n ip -o link").ok().out.clone();
    assert!(said.contains("lo: <LOOPBACK> ") && said.lines().count() == 1, "{said}");
    shows(&guest, &["N:out71", "10.99.71.2@out71"]);
    guest.stop();
}

/// Neither is anything changed, nor the namespace got at, nor the sockets of others found.
fn nothing_leads_round_it() {
    let host = Fixture::new();
    let _net = Net::new();
    let guest = guest(&host, &["10.99.71.2"]);
    for userns in ["auto", "off"] {
        guest.set("userns", &format!("{userns}\n")).start();
        shows(&guest, &["N:out71", "10.99.71.2@out71"]);
        for check in ["rtnetlink_newaddr", "rtnetlink_setlink", "rtnetlink_newlink"] {
            assert_eq!(probe(&guest, &[check]), "EPERM", "{check}, userns {userns}");
        }
        assert_eq!(probe(&guest, &["namespace_of_netlink"]), "EPERM", "userns {userns}");
        assert_eq!(probe(&guest, &["sock_diag"]), "EAFNOSUPPORT", "userns {userns}");
        // Other types the kernel refuses, whoever asks.
        assert_eq!(probe(&guest, &["socket", "16", "1", "0"]), "ESOCKTNOSUPPORT");
        assert_eq!(probe(&guest, &["socket", "16", "2", "0"]), "OK");
        // No process lives in it, and no descriptor but the supervisor's leads there.
        let shadow = held_for(&guest);
        assert_eq!(shadow.len(), 1, "{shadow:?}");
        let lives_there = |pid: &str| {
            fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|own| shadow.contains(&*own.to_string_lossy()))
        };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        assert!(!processes.filter_map(|one| one.file_name().into_string().ok()).any(|pid| lives_there(&pid)));
        assert_eq!(held_by(guest.init()).len(), 0);
        shows(&guest, &["N:out71", "10.99.71.2@out71"]);
        guest.stop();
    }
}

/// It gets what it asks for, some later; the host's commands are served meanwhile. What it holds at a time is bounded.
fn a_flood_holds_up_nobody() {
    let host = Fixture::new();
    let _net = Net::new();
    let guest = guest(&host, &["10.99.71.2"]);
    guest.set("rlimits/nofile", "16384\n").start();
    let mut flood = guest.host_command(&["exec", "/probe", "flood_netlink", "6000"]);
    let mut flood = flood.stdout(Stdio::piped()).spawn().unwrap();
    for _ in 0..5 {
        assert_eq!(guest.sh("echo here").ok().out.trim(), "here");
    }
    let mut said = String::new();
    flood.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    flood.wait().unwrap();
    assert_eq!(said.trim(), "0 refused");
    let held = probe(&guest, &["hold_netlink", "10000"]);
    let (count, why) = held.split_once(' ').unwrap();
    println!("note: {held}");
    assert!(why == "ENFILE" && (4000..4400).contains(&count.parse::<u32>().unwrap()), "{held}");
    // They are gone with their process, and there is room again.
    eventually("room", LIMIT, || probe(&guest, &["flood_netlink", "1000"]) == "0 refused");
    guest.stop();
}
