//! What a guest with a stack of its own may say of itself: every frame of `frames.txt`, sent from inside as it is, and what
//! of it a peer in another network namespace hears.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use super::netns::{address, bridge, can_make, end, has_link, ip, nothing_of, serve, with_pair};
use crate::fixture::{Fixture, Guest, eventually, program};
use crate::inside::fetch;
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("antispoof::on_a_bridge", on_a_bridge).smoke().needs(Need::Probe),
        Trial::new("antispoof::routed", routed).needs(Need::Probe),
        Trial::new("antispoof::on_a_macvlan", on_a_macvlan).needs(Need::Probe),
        Trial::new("antispoof::on_a_macvlan_that_it_governs", on_a_macvlan_that_it_governs)
            .smoke()
            .needs(Need::Probe),
        Trial::new("antispoof::on_an_ipvlan_and_a_vlan", on_an_ipvlan_and_a_vlan).needs(Need::Probe),
        Trial::new("antispoof::what_is_left_to_scripts", what_is_left_to_scripts).needs(Need::Probe),
    ]
}

/// The guest's name in this table, and what becomes of a frame.
const FRAMES: &str = include_str!("../../../../crates/vserver-net/tests/data/frames.txt");
const MAC: &str = "02:00:00:00:77:02";
const MAC_AS_SENT: &str = "020000007702";
/// The last frame: to everybody, a packet of its own address that is in no table.
const LAST: &str = "ffffffffffff02000000770208060001080006040001020000007702\
                    0a4d00020000000000000a4d00fe";

struct Row {
    verdict: &'static str,
    name: &'static str,
    frame: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    FRAMES.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let [verdict, name, frame] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        Row { verdict, name, frame }
    })
}

/// As a receiver is given it: the kernel takes one tag out.
fn without_tag(frame: &str) -> String {
    let tagged = ["8100", "88a8"].contains(&&frame[24..28]);
    if tagged { format!("{}{}", &frame[..24], &frame[32..]) } else { frame.to_owned() }
}

/// Names of the frames that the peer's device heard, in order, while the guest sent all of them.
fn heard(guest: &Guest<'_>, peer: &Peer, device: &str) -> Vec<&'static str> {
    heard_through("eth0", guest, peer, device)
}

/// The same, sent through that device of the guest's; the last frame through the first.
fn heard_through(own: &str, guest: &Guest<'_>, peer: &Peer, device: &str) -> Vec<&'static str> {
    let mut listener =
        peer.command(program("vserver-probe")).args(["hear", device, LAST]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(listener.stdout.take().unwrap());
    let mut ready = String::new();
    output.read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    let mut words = vec!["/probe", "frames", own];
    words.extend(rows().map(|row| row.frame));
    guest.exec(&words).ok().says("OK");
    guest.exec(&["/probe", "frames", "eth0", LAST]).ok().says("OK");
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    listener.wait().unwrap();
    assert!(!text.contains("ETIMEDOUT"), "the last frame did not arrive");
    let arrived: Vec<&str> = text.lines().collect();
    // Equal to the receiver are those of which only one had a tag: each counts once.
    let mut left = arrived.clone();
    rows()
        .filter(|row| match left.iter().position(|frame| [row.frame, &without_tag(row.frame)].contains(frame)) {
            Some(at) => {
                left.remove(at);
                true
            }
            None => false,
        })
        .map(|row| row.name)
        .collect()
}

fn expected(verdicts: &[&str]) -> Vec<&'static str> {
    rows().filter(|row| verdicts.contains(&row.verdict)).map(|row| row.name).collect()
}

/// Another network namespace, held by a process that sleeps there.
pub struct Peer {
    child: Child,
    outside: String,
}

impl Peer {
    /// One end of a pair is `inside` there; the other, `outside`, is here and up.
    pub fn new(outside: &str, inside: &str) -> Self {
        let child = Command::new("unshare").args(["--net", "sleep", "1000"]).spawn().unwrap();
        let peer = Self { child, outside: outside.to_owned() };
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        eventually("it is there", Duration::from_secs(10), || {
            let there = fs::read_link(format!("/proc/{}/ns/net", peer.child.id()));
            there.is_ok_and(|there| there != own)
        });
        ip(&format!("link add {outside} type veth peer name {inside} netns {}", peer.child.id()));
        ip(&format!("link set {outside} up"));
        let up = peer.command("ip").args(["link", "set", inside, "up"]).status().unwrap();
        assert!(up.success());
        peer
    }

    /// Does something there, on a thread of its own.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let space = fs::File::open(format!("/proc/{}/ns/net", self.child.id())).unwrap();
        let there = || {
            setns(&space, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        std::thread::scope(|scope| scope.spawn(there).join()).unwrap()
    }

    /// A program to be run there.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.child.id())).arg(program);
        command
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It would go with the namespace, but only a little later.
        let _ = Command::new("ip").args(["link", "del", &self.outside]).status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One that may send what it likes, with the name that the table knows.
fn liar<'f>(host: &'f Fixture) -> Guest<'f> {
    let guest = with_pair(host);
    fs::copy(program("vserver-probe"), guest.root.join("probe")).unwrap();
    guest.set("bcapabilities", "NET_ADMIN\nNET_RAW\n").set("netns/interfaces/0/mac", &format!("{MAC}\n"));
    address(&guest, 0, "10.77.0.2", 24);
    address(&guest, 1, "fd77::2", 64);
    assert!(LAST.contains(MAC_AS_SENT));
    guest
}

/// Held fully, held to its Ethernet address, and not at all. Its root governs its own stack and is held all the same.
fn on_a_bridge() {
    let host = Fixture::new();
    bridge("br77", &[]);
    // The membership reports of the table have no checksum, which snooping would look at.
    ip("link set br77 type bridge mcast_snooping 0");
    let peer = Peer::new("out77", "in77");
    ip("link set out77 master br77");
    let guest = liar(&host);
    guest.set("netns/interfaces/0/bridge", "br77\n").start();
    assert_eq!(heard(&guest, &peer, "in77"), expected(&["pass"]));
    guest.sh("ip addr add 10.77.0.9/24 dev eth0; ip link set eth0 promisc on; ip link set eth0 mtu 1400").ok();
    assert_eq!(heard(&guest, &peer, "in77"), expected(&["pass"]));
    guest.stop();
    guest.set("netns/interfaces/0/antispoof", "mac\n").start();
    assert_eq!(heard(&guest, &peer, "in77"), expected(&["pass", "addr"]));
    guest.stop();
    guest.set("netns/interfaces/0/antispoof", "off\n").start();
    let free = heard(&guest, &peer, "in77");
    for name in ["playing the router", "IPv4 from another Ethernet address", "tagged twice"] {
        assert!(free.contains(&name), "{name}: {free:?}");
    }
    guest.stop();
    nothing_of(&guest);
    drop(peer);
    ip("link del br77");
}

/// The host itself is the neighbour: it learns nothing false and takes no packet with a foreign source.
fn routed() {
    let host = Fixture::new();
    let guest = liar(&host);
    guest.set("netns/interfaces/0/routed", "").v(&["start"]).ok();
    let filters = Command::new("tc").args(["filter", "show", "dev", &end(&guest), "ingress"]).output().unwrap();
    let filters = String::from_utf8_lossy(&filters.stdout).into_owned();
    assert!(filters.contains("vs_guard") && filters.contains("direct-action"), "{filters}");
    let mut words = vec!["/probe", "frames", "eth0"];
    words.extend(rows().map(|row| row.frame));
    guest.exec(&words).ok().says("OK");
    let neighbours = ip(&format!("neigh show dev {}", end(&guest)));
    let foreign = |word: &str| ["10.77.0.9", "10.77.0.1", "fd77::9", "fd77::1"].contains(&word);
    assert!(!neighbours.split_whitespace().any(foreign), "{neighbours}");
    assert!(!ip("-6 route").contains("proto ra"));
    guest.stop();
    nothing_of(&guest);
}

/// Such a device has no end on the host: the filter is inside, where a guest without NET_ADMIN cannot change it.
fn on_a_macvlan() {
    let host = Fixture::new();
    let peer = Peer::new("out78", "in78");
    let guest = liar(&host);
    guest.set("netns/interfaces/0/type", "macvlan\n").set("netns/interfaces/0/parent", "out78\n");
    guest.set("bcapabilities", "NET_RAW\n");
    fs::remove_file(guest.cfg.join("netns/interfaces/0/host")).unwrap();
    let said = guest.v(&["start"]).ok().err.clone();
    assert!(!said.contains("antispoof"), "{said}");
    assert_eq!(heard(&guest, &peer, "in78"), expected(&["pass"]));
    guest.stop();
    // Its Ethernet address is free again at once, or a restart would fail.
    ip(&format!("link add link out78 name after78 address {MAC} type macvlan"));
    ip("link del after78");
    // Without either there is nothing that it could send past it.
    fs::remove_file(guest.cfg.join("bcapabilities")).unwrap();
    let said = guest.v(&["start"]).ok().err.clone();
    assert!(!said.contains("antispoof"), "{said}");
    guest.exec(&["/probe", "frames", "eth0", LAST]).ok().says("EAFNOSUPPORT");
    guest.stop();
    drop(peer);
}

/// With NET_ADMIN it has a pair that is joined to the macvlan: whatever it does to its own end, and whatever it hangs on that,
/// it is held. To its neighbours it is what it was before.
fn on_a_macvlan_that_it_governs() {
    let host = Fixture::new();
    let peer = Peer::new("out75", "in75");
    for address in [["10.77.0.8/24", "noprefixroute"], ["fd77::8/64", "nodad"]] {
        let mut command = peer.command("ip");
        assert!(command.args(["addr", "add", address[0], "dev", "in75"]).status().unwrap().success());
    }
    assert!(peer.command("ip").args(["route", "replace", "10.77.0.0/24", "dev", "in75"]).status().unwrap().success());
    let guest = liar(&host);
    guest.set("netns/interfaces/0/type", "macvlan\n").set("netns/interfaces/0/parent", "out75\n");
    fs::remove_file(guest.cfg.join("netns/interfaces/0/host")).unwrap();
    let said = guest.v(&["start"]).ok().err.clone();
    assert!(!said.contains("antispoof"), "{said}");
    serve(&guest);
    guest.sh("dd if=/dev/zero of=/www/large bs=1000 count=900 2>/dev/null").ok();
    for address in ["10.77.0.2:80", "[fd77::2]:80"] {
        eventually(address, Duration::from_secs(10), || peer.inside(|| fetch(address).is_ok()));
        assert_eq!(peer.inside(|| length_of(address, "/large")), 900_000, "{address}");
    }
    assert_eq!(heard(&guest, &peer, "in75"), expected(&["pass"]));
    let govern = |words: &str| {
        let target = format!("--target={}", guest.init());
        let mut command = Command::new("nsenter");
        command.args([&target, "--user", "--net", "--"]).args(words.split(' '));
        let output = command.output().unwrap();
        if output.status.success() { String::new() } else { String::from_utf8_lossy(&output.stderr).into_owned() }
    };
    govern("tc qdisc del dev eth0 clsact");
    assert_eq!(govern("ip link add link eth0 name more address 02:00:00:00:77:09 type macvlan"), "");
    assert_eq!(govern("ip link set more up"), "");
    // What says the truth passes, whichever way it takes.
    assert_eq!(heard_through("more", &guest, &peer, "in75"), expected(&["pass"]));
    assert_eq!(heard(&guest, &peer, "in75"), expected(&["pass"]));
    let [end, outer] = ["vp", "vm"].map(|kind| format!("{kind}{}-0", guest.xid));
    assert!(has_link(&end) && has_link(&outer));
    for dev in [&end, &outer] {
        assert_eq!(ip(&format!("-o addr show dev {dev}")), "", "the host has no part in it");
    }
    guest.v(&["restart"]).ok();
    guest.stop();
    nothing_of(&guest);
    assert!(!has_link(&end) && !has_link(&outer));
    // Whoever is held to nothing has the device itself.
    guest.set("netns/interfaces/0/antispoof", "off\n").start();
    assert!(!has_link(&end) && !has_link(&outer));
    guest.stop();
    drop(peer);
}

/// How long a page is, without its headers.
fn length_of(address: &str, path: &str) -> usize {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
    let mut page = Vec::new();
    stream.read_to_end(&mut page).unwrap();
    page.len() - page.windows(4).position(|end| end == b"\r\n\r\n").unwrap() - 4
}

/// The same where the kernel has their modules; elsewhere nothing is begun.
fn on_an_ipvlan_and_a_vlan() {
    let host = Fixture::new();
    for (kind, module) in [("ipvlan", "ipvlan"), ("vlan", "8021q")] {
        let peer = Peer::new("out76", "in76");
        ip(&format!("link set out76 address {MAC}"));
        let guest = liar(&host);
        guest.set("netns/interfaces/0/type", &format!("{kind}\n")).set("netns/interfaces/0/parent", "out76\n");
        guest.set("netns/interfaces/0/vlan", if kind == "vlan" { "7\n" } else { "\n" });
        guest.set("bcapabilities", "NET_RAW\n");
        for file in ["host", "mac"] {
            fs::remove_file(guest.cfg.join("netns/interfaces/0").join(file)).unwrap();
        }
        if can_make(kind, "out76") {
            guest.start();
            let (mut heard, mut expected) = (heard(&guest, &peer, "in76"), expected(&["pass"]));
            // An ipvlan sends to groups a little later.
            heard.sort_unstable();
            expected.sort_unstable();
            assert_eq!(heard, expected, "{kind}");
            guest.stop();
        } else {
            guest.v(&["start"]).exits(1).says(&format!("load the kernel module {module}"));
        }
        drop(peer);
    }
}

/// A pair of which the configuration says nothing, as the original makes it, is not touched; with a word of its own it is.
fn what_is_left_to_scripts() {
    let host = Fixture::new();
    let peer = Peer::new("out79", "in79");
    bridge("br79", &[]);
    ip("link set br79 type bridge mcast_snooping 0");
    ip("link set out79 master br79");
    let guest = liar(&host);
    fs::remove_dir_all(guest.cfg.join("interfaces")).unwrap();
    let plug = |guest: &Guest<'_>| {
        ip(&format!("link set {} master br79 up", end(guest)));
        guest.sh("ip link set eth0 up").ok();
    };
    guest.start();
    plug(&guest);
    assert!(heard(&guest, &peer, "in79").contains(&"playing the router"));
    guest.stop();
    guest.set("netns/interfaces/0/antispoof", "mac\n").start();
    plug(&guest);
    assert_eq!(heard(&guest, &peer, "in79"), expected(&["pass", "addr"]));
    guest.stop();
    drop(peer);
    ip("link del br79");
}
