//! SCTP: for guests with a network stack of their own that ask for it (`netns/sctp`), and for nobody else. N19.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::antispoof::Peer;
use super::netns::{address, bridge, ip, nothing_of, with_pair};
use crate::fixture::{Fixture, Guest, eventually, program};
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    let trial = |name: &'static str, body: fn()| Trial::new(name, body).needs(Need::Probe);
    vec![
        trial("sctp::between_two_stacks", between_two_stacks).needs(Need::Sctp),
        trial("sctp::counted_as_others_are", counted_as_others_are).needs(Need::Sctp),
        trial("sctp::through_the_hosts_address", through_the_hosts_address)
            .needs(Need::Sctp)
            .needs(Need::Tool("nft")),
        trial("sctp::refused_without_the_word", refused_without_the_word),
        trial("sctp::only_on_a_stack_of_its_own", only_on_a_stack_of_its_own),
        trial("sctp::a_kernel_without_it_is_told", a_kernel_without_it_is_told).needs(Need::NoSctp),
    ]
}

/// Types: one to one, one to many.
const STYLES: [&str; 2] = ["1", "5"];
const SOCKETS: [[&str; 4]; 4] = [
    ["socket", "2", "1", "132"],
    ["socket", "2", "5", "132"],
    ["socket", "10", "1", "132"],
    ["socket", "10", "5", "132"],
];

fn probe(guest: &Guest<'_>, words: &[&str]) -> String {
    guest.exec(&[&["/probe"], words].concat()).out.trim().to_owned()
}

/// One with a pair on this bridge.
fn plugged<'f>(host: &'f Fixture, bridge: &str) -> Guest<'f> {
    let guest = with_pair(host);
    fs::copy(program("vserver-probe"), guest.root.join("probe")).unwrap();
    guest.set("netns/interfaces/0/bridge", &format!("{bridge}\n"));
    guest
}

/// What the probe says elsewhere.
fn from(peer: &Peer, words: &[&str]) -> String {
    let output = peer.command(program("vserver-probe")).args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// One who serves elsewhere, and is ready.
fn serving(peer: &Peer, words: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut server = peer.command(program("vserver-probe"));
    let mut child = server.arg("sctp_serve").args(words).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    (child, output)
}

/// What he said in the end.
fn heard((mut child, mut output): (Child, BufReader<std::process::ChildStdout>)) -> String {
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    text.trim().to_owned()
}

/// The guest serves; what it heard. `call` is tried until it is there.
fn served(guest: &Guest<'_>, words: &str, mut call: impl FnMut() -> String) -> [String; 2] {
    guest.sh(&format!("/probe sctp_serve {words} >/said 2>&1 &")).ok();
    let mut answer = String::new();
    eventually(words, Duration::from_secs(60), || {
        answer = call();
        answer != "ECONNREFUSED"
    });
    let said = || guest.sh("cat /said").ok().out.clone();
    eventually("it has answered", Duration::from_secs(60), || said().lines().count() == 2);
    [answer, said().lines().last().unwrap().to_owned()]
}

/// Each end has two addresses, and the other learns both: served and called, in both styles and families. What the guest
/// takes for itself beyond its own addresses gets nowhere.
fn between_two_stacks() {
    let host = Fixture::new();
    bridge("br91", &[]);
    let peer = Peer::new("out91", "in91");
    ip("link set out91 master br91");
    for address in ["10.91.0.8/24", "10.91.0.9/24", "fd91::8/64", "fd91::9/64"] {
        let nodad = address.contains(':').then_some("nodad");
        let mut add = peer.command("ip");
        assert!(add.args(["addr", "add", address, "dev", "in91"]).args(nodad).status().unwrap().success());
    }
    let guest = plugged(&host, "br91");
    guest.set("netns/sctp", "").set("bcapabilities", "NET_ADMIN\n");
    address(&guest, 0, "10.91.0.2", 24);
    address(&guest, 1, "10.91.0.3", 24);
    address(&guest, 2, "fd91::2", 64);
    address(&guest, 3, "fd91::3", 64);
    let said = guest.v(&["start"]).ok().err.clone();
    assert!(!said.contains("sctp"), "{said}");
    let settled = || !guest.sh("ip -o addr show dev eth0").ok().out.contains("tentative");
    eventually("its addresses are its own", Duration::from_secs(10), settled);
    for (family, words) in [("10.91.0.", ["2", "3", "8", "9"]), ("fd91::", ["2", "3", "8", "9"])] {
        let [two, three, eight, nine] = words.map(|last| format!("{family}{last}"));
        let (own, theirs) = (format!("{two},{three}"), format!("{eight},{nine}"));
        for style in STYLES {
            let [answer, said] = served(&guest, &format!("{style} 2905 {two} {three}"), || {
                from(&peer, &["sctp_call", "30", style, "2905", &theirs, &own])
            });
            assert_eq!(
                [answer, said],
                [format!("welcome {two} {three}"), format!("hello {eight} {nine}")],
                "{style}"
            );
            let server = serving(&peer, &[style, "2906", &eight, &nine]);
            let answer = probe(&guest, &["sctp_call", "30", style, "2906", &own, &theirs]);
            assert_eq!(answer, format!("welcome {eight} {nine}"), "{style}");
            assert_eq!(heard(server), format!("hello {two} {three}"), "{style}");
        }
    }
    guest.sh("ip addr add 10.91.0.77/24 dev eth0").ok();
    let (mut child, _output) = serving(&peer, &["1", "2907", "10.91.0.8"]);
    let foreign = probe(&guest, &["sctp_call", "5", "1", "2907", "10.91.0.77", "10.91.0.8"]);
    assert!(!foreign.contains("welcome"), "{foreign}");
    assert!(child.try_wait().unwrap().is_none(), "it heard the foreign address");
    let answer = probe(&guest, &["sctp_call", "30", "1", "2907", "10.91.0.2", "10.91.0.8"]);
    assert_eq!(answer, "welcome 10.91.0.8");
    child.wait().unwrap();
    // Whoever shares its stack has not asked.
    let companion = host.guest();
    fs::copy(program("vserver-probe"), companion.root.join("probe")).unwrap();
    companion.set("spaces/net", &format!("{}\n", guest.name)).start();
    for words in SOCKETS {
        assert_eq!(probe(&guest, &words), "OK", "{words:?}");
        assert_eq!(probe(&companion, &words), "EPROTONOSUPPORT", "{words:?}");
    }
    companion.stop();
    guest.stop();
    nothing_of(&guest);
    drop(peer);
    ip("link del br91");
}

/// `rlimits/nsock` knows these sockets, too.
fn counted_as_others_are() {
    let host = Fixture::new();
    bridge("br92", &[]);
    let guest = plugged(&host, "br92");
    guest.set("netns/sctp", "").set("rlimits/nsock", "20\n").start();
    assert_eq!(probe(&guest, &["many_sctp", "20"]), "20 OK");
    assert_eq!(probe(&guest, &["many_sctp", "40"]), "20 ENFILE");
    assert_eq!(probe(&guest, &["many_sockets", "40"]), "20 ENFILE");
    guest.stop();
    ip("link del br92");
}

/// Private addresses: out as the host, and in by a port of the host's.
fn through_the_hosts_address() {
    let host = Fixture::new();
    let peer = Peer::new("out93", "in93");
    ip("addr add 192.0.2.1/24 dev out93");
    let mut add = peer.command("ip");
    assert!(add.args(["addr", "add", "192.0.2.9/24", "dev", "in93"]).status().unwrap().success());
    bridge("br93", &["10.93.0.1/24"]);
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    let guest = plugged(&host, "br93");
    guest.set("netns/sctp", "").set("netns/interfaces/0/gateway", "10.93.0.1\n");
    guest.set("netns/interfaces/0/masquerade", "").set("netns/interfaces/0/forward", "sctp 2905 2915\n");
    address(&guest, 0, "10.93.0.2", 24).start();
    let server = serving(&peer, &["1", "2906", "192.0.2.9"]);
    assert_eq!(probe(&guest, &["sctp_call", "30", "1", "2906", "10.93.0.2", "192.0.2.9"]), "welcome 192.0.2.9");
    assert_eq!(heard(server), "hello 192.0.2.1");
    let [answer, said] = served(&guest, "1 2915 10.93.0.2", || {
        from(&peer, &["sctp_call", "30", "1", "2905", "192.0.2.9", "192.0.2.1"])
    });
    assert_eq!([answer.as_str(), said.as_str()], ["welcome 192.0.2.1", "hello 192.0.2.9"]);
    guest.stop();
    fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
    drop(peer);
    ip("link del br93");
}

/// Whether the kernel has it or not: of a stack's own guest, too.
fn refused_without_the_word() {
    let host = Fixture::new();
    bridge("br94", &[]);
    let guest = plugged(&host, "br94");
    guest.start();
    for words in SOCKETS {
        assert_eq!(probe(&guest, &words), "EPROTONOSUPPORT", "{words:?}");
    }
    guest.stop();
    ip("link del br94");
}

/// With the word on another stack it is refused, and `check` and `start` say why.
fn only_on_a_stack_of_its_own() {
    let host = Fixture::new();
    let guest = host.guest();
    fs::copy(program("vserver-probe"), guest.root.join("probe")).unwrap();
    let told = |remedy: &str| {
        let said = guest.v(&["check"]);
        assert!(said.out.contains("netns/sctp") && said.out.contains(remedy), "{said:?}");
        guest.v(&["start", "--strict"]).exits(1).says("netns/sctp").says(remedy);
        guest.v(&["start"]).ok().says("netns/sctp").says("only for a network stack of the guest's own").says(remedy);
        for words in SOCKETS {
            assert_eq!(probe(&guest, &words), "EPROTONOSUPPORT", "{words:?}");
        }
        guest.stop();
    };
    guest.set("netns/sctp", "").set("nonetns", "");
    told("remove nonetns");
    fs::remove_file(guest.cfg.join("nonetns")).unwrap();
    let name = format!("{}net", guest.name);
    guest.set("netns/shared", "").set("netns/name", &format!("{name}\n"));
    ip(&format!("netns add {name}"));
    told("remove netns/shared");
    ip(&format!("netns delete {name}"));
    // iproute2 mounts the directory on itself.
    nix::mount::umount("/run/netns").unwrap();
}

/// The guest starts, and its calls come to a kernel that knows no such protocol.
fn a_kernel_without_it_is_told() {
    let host = Fixture::new();
    let guest = host.guest();
    fs::copy(program("vserver-probe"), guest.root.join("probe")).unwrap();
    guest.set("netns/sctp", "");
    const REASON: &str = "this kernel has no SCTP: load the kernel module sctp";
    let said = guest.v(&["check"]);
    assert!(said.out.contains(REASON), "{said:?}");
    guest.v(&["start"]).ok().says(&format!("netns/sctp is not enforced: {REASON}"));
    assert_eq!(probe(&guest, &["socket", "2", "5", "132"]), "ESOCKTNOSUPPORT");
    assert_eq!(probe(&guest, &["socket", "2", "5", "33"]), "EPROTONOSUPPORT");
    guest.stop();
    guest.v(&["start", "--strict"]).exits(1).says(REASON);
    host.v(&["doctor", "network"]).exits(1).says("needs the kernel module sctp");
}
