//! tun and tap devices, config-tree.md §5.6 and flags.md §5: made for a guest on the host's network stack.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::fixture::{Fixture, Guest, eventually, program};
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("tun::made_for_the_guest_and_removed", made_for_the_guest_and_removed).needs(Need::Tun).smoke(),
        Trial::new("tun::only_its_owner_may_use_it", only_its_owner_may_use_it).needs(Need::Tun),
        Trial::new("tun::a_shared_device_is_for_every_guest_with_tun", a_shared_device_is_for_every_guest_with_tun)
            .needs(Need::Tun),
        Trial::new(
            "tun::with_tun_create_the_guest_uses_what_is_its_own",
            with_tun_create_the_guest_uses_what_is_its_own,
        )
        .needs(Need::Tun),
        Trial::new("tun::tunctl_makes_changes_and_removes", tunctl_makes_changes_and_removes).needs(Need::Tun),
        Trial::new("tun::faults_are_found_before_anything_is_made", faults_are_found_before_anything_is_made),
    ]
}

/// A guest with the probe.
fn guest(host: &Fixture) -> Guest<'_> {
    let guest = host.guest();
    fs::copy(program("vserver-probe"), guest.root.join("bin/probe")).unwrap();
    guest
}

/// One interface whose device is made.
fn with_device<'a>(guest: &'a Guest<'a>, at: u32, kind: &str, device: &str, address: &str) -> &'a Guest<'a> {
    guest.set(&format!("interfaces/{at}/ip"), &format!("{address}\n"));
    guest.set(&format!("interfaces/{at}/prefix"), "30\n");
    guest.set(&format!("interfaces/{at}/dev"), &format!("{device}\n"));
    guest.set(&format!("interfaces/{at}/{kind}"), "")
}

#[track_caller]
fn answers(guest: &Guest<'_>, words: &[&str], expected: &str) {
    let ran = guest.exec(&[&["/bin/probe"], words].concat());
    assert_eq!(ran.ok().out.trim(), expected, "{words:?}: {}", ran.err);
}

fn links() -> String {
    let output = Command::new("ip").args(["-d", "-o", "link"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn link(name: &str) -> Option<String> {
    links().lines().find(|line| line.contains(&format!(": {name}:"))).map(str::to_owned)
}

/// Packets that the host sends to the network of the device arrive at the guest's program.
fn made_for_the_guest_and_removed() {
    let host = Fixture::new();
    let guest = guest(&host);
    with_device(&guest, 0, "tun", "vt0", "10.99.40.1");
    with_device(&guest, 1, "tap", "vt1", "10.99.41.1").set("interfaces/1/linktype", "1\n");
    // A second address on the same device.
    guest.set("interfaces/2/ip", "10.99.42.1\n").set("interfaces/2/prefix", "30\n").set("interfaces/2/dev", "vt0\n");
    guest.set("interfaces/1/nocsum", "");
    guest.v(&["start"]).ok().says("interfaces/1/nocsum");
    let (tun, tap) = (link("vt0").unwrap(), link("vt1").unwrap());
    let owner = guest.id_base();
    for (line, kind) in [(&tun, "tun type tun"), (&tap, "tun type tap")] {
        assert!(line.contains(kind) && line.contains("persist on"), "{line}");
        assert!(line.contains(&format!("user {owner}")), "{owner}: {line}");
    }
    let mut receiver = guest.host_command(&["exec", "/bin/probe", "tun_receive", "vt0", "tun"]);
    let mut receiver = receiver.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(receiver.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "attached\n");
    let socket = UdpSocket::bind("10.99.40.1:0").unwrap();
    // The kernel sees the new carrier a little later, and drops what comes before that.
    eventually("the packet arrives", Duration::from_secs(9), || {
        socket.send_to(b"through the device", "10.99.40.2:9").unwrap();
        receiver.try_wait().unwrap().is_some()
    });
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "through the device\n");
    answers(&guest, &["tun_attach", "vt1", "tap"], "OK");
    // It makes none itself.
    answers(&guest, &["tun_attach", "vt9", "tun"], "EPERM");
    guest.stop();
    assert_eq!((link("vt0"), link("vt1")), (None, None));
    guest.start();
    assert!(link("vt0").is_some());
}

/// Neither another guest nor another user of this one; and a device that its user has given up is no failure at stop.
fn only_its_owner_may_use_it() {
    let host = Fixture::new();
    let (first, second) = (guest(&host), guest(&host));
    with_device(&first, 0, "tun", "vt0", "10.99.40.1").set("interfaces/0/uid", "1000\n").start();
    with_device(&second, 0, "tap", "vt1", "10.99.41.1").set("interfaces/0/gid", "50\n").start();
    assert!(link("vt0").unwrap().contains(&format!("user {}", first.id_base() + 1000)));
    let as_ada = |guest: &Guest<'_>, device: &str, kind: &str| {
        guest.v(&["suexec", "ada", "/bin/probe", "tun_attach", device, kind]).ok().out.trim().to_owned()
    };
    assert_eq!(as_ada(&first, "vt0", "tun"), "OK");
    answers(&first, &["tun_attach", "vt0", "tun"], "EPERM");
    answers(&first, &["tun_attach", "vt1", "tap"], "EPERM");
    answers(&second, &["tun_attach", "vt0", "tun"], "EPERM");
    // With a group the owner has to be in it.
    assert!(link("vt1").unwrap().contains(&format!("group {}", second.id_base() + 50)));
    answers(&second, &["tun_attach", "vt1", "tap"], "EPERM");
    // Its user may hand it on, but not out of the guest.
    let give = |uid: u32| {
        let uid = uid.to_string();
        first.v(&["suexec", "ada", "/bin/probe", "tun_give", "vt0", "tun", &uid]).ok().out.trim().to_owned()
    };
    assert_eq!(give(70_000), "EINVAL");
    assert_eq!(give(0), "OK");
    answers(&first, &["tun_attach", "vt0", "tun"], "OK");
    answers(&second, &["tun_attach", "vt0", "tun"], "EPERM");
    // A guest without tun has no way to any.
    let third = guest(&host);
    third.start();
    answers(&third, &["tun_open"], "ENOENT");
    Command::new("ip").args(["tuntap", "del", "dev", "vt0", "mode", "tun"]).status().unwrap();
    first.stop();
}

fn a_shared_device_is_for_every_guest_with_tun() {
    let host = Fixture::new();
    let (first, second) = (guest(&host), guest(&host));
    with_device(&first, 0, "tun", "vt0", "10.99.40.1").set("interfaces/0/shared", "").start();
    second.set("ncapabilities", "tun_create\n");
    second.v(&["start"]).ok().says("tun devices is only partly enforced: vt0 has neither owner nor group");
    answers(&first, &["tun_attach", "vt0", "tun"], "OK");
    answers(&second, &["tun_attach", "vt0", "tun"], "OK");
    // Whoever comes first has it.
    let mut holder = second.host_command(&["exec", "/bin/probe", "tun_hold", "vt0", "tun"]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "attached\n");
    answers(&first, &["tun_attach", "vt0", "tun"], "EBUSY");
    // A device in use goes at stop all the same.
    first.stop();
    assert_eq!(link("vt0"), None);
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

/// The capability alone: what tunctl makes for the guest. Given and taken while it runs.
fn with_tun_create_the_guest_uses_what_is_its_own() {
    let host = Fixture::new();
    let (first, second) = (guest(&host), guest(&host));
    first.set("ncapabilities", "tun_create\n");
    first.v(&["start"]).ok().says("ncapabilities tun_create is only partly enforced");
    second.start();
    host.tool("tunctl", &["--tun", "--persist", "--nid", &first.name, "vt5"]).ok();
    host.tool("tunctl", &["--tun", "--persist", "--nid", &second.xid.to_string(), "--uid", "0", "vt6"]).ok();
    answers(&first, &["tun_attach", "vt5", "tun"], "OK");
    answers(&first, &["tun_attach", "vt6", "tun"], "EPERM");
    answers(&first, &["tun_attach", "vt7", "tun"], "EPERM");
    host.tool("nattribute", &["--nid", &first.name, "--set", "--ncap", "~tun_create"]).ok();
    answers(&first, &["tun_open"], "EPERM");
    host.tool("nattribute", &["--nid", &first.name, "--set", "--ncap", "tun_create"]).ok();
    answers(&first, &["tun_open"], "OK");
    let late = host.tool("nattribute", &["--nid", &second.name, "--set", "--ncap", "tun_create"]);
    late.ok().says("its /dev has the node net/tun from its next start on");
    // What tunctl made is the administrator's: it stays.
    first.stop();
    assert!(link("vt5").is_some());
}

fn tunctl_makes_changes_and_removes() {
    let host = Fixture::new();
    let (name, xid) = host.fresh();
    host.tool("tunctl", &["--tap", "--persist", "--uid", "5", "--gid", "6", "--linktype", "1", "vt0", "vt1"]).ok();
    for device in ["vt0", "vt1"] {
        let line = link(device).unwrap();
        assert!(line.contains("type tap") && line.contains("user 5") || line.contains("user games"), "{line}");
    }
    host.tool("tunctl", &["--tap", "--~persist", "vt0", "vt1"]).ok();
    eventually("both are gone", Duration::from_secs(5), || link("vt0").is_none() && link("vt1").is_none());
    // Without persistence it goes with the call.
    host.tool("tunctl", &["vt2"]).ok();
    assert_eq!(link("vt2"), None);
    let unknown = host.tool("tunctl", &["--persist", "--nid", &name, "vt3"]);
    unknown.exits(255).says("vc_nidopt2nid");
    host.tool("tunctl", &["--persist", "--nid", &xid.to_string(), "vt3"]).exits(255).says("vc_nidopt2nid");
    assert_eq!(link("vt3"), None, "nothing is made for nobody");
    host.tool("tunctl", &["--persist", "--nid-failure-ok", &name, "vt3"]).ok().says("vc_nidopt2nid");
    assert!(link("vt3").is_some());
    host.tool("tunctl", &["--tap", "vt3"]).exits(255).says("attaching to the tun device vt3");
    host.tool("tunctl", &["--device", "/nonexistent", "vt4"]).exits(255).says("load the kernel module tun");
    host.tool("tunctl", &["a-name-that-is-too-long"]).exits(255).says("attaching to the tun device");
    host.tool("tunctl", &[] as &[&str]).exits(255).says("the name of a device is needed");
}

fn faults_are_found_before_anything_is_made() {
    let host = Fixture::new();
    let guest = guest(&host);
    with_device(&guest, 0, "tun", "vt0", "10.99.40.1").set("interfaces/0/tap", "");
    guest.v(&["check"]).exits(1).says("a device cannot be tun and tap");
    guest.v(&["start"]).exits(1).says("interfaces/0/tap");
    fs::remove_file(guest.cfg.join("interfaces/0/tap")).unwrap();
    guest.set("interfaces/0/uid", "70000\n");
    guest.v(&["start"]).exits(1).says("its device 'vt0' is for user 70000");
    guest.set("interfaces/0/uid", "somebody\n");
    guest.v(&["check"]).exits(1).says("interfaces/0/uid");
    fs::remove_file(guest.cfg.join("interfaces/0/uid")).unwrap();
    fs::remove_file(guest.cfg.join("interfaces/0/tun")).unwrap();
    guest.set("interfaces/0/shared", "");
    guest.v(&["check"]).says("it means nothing without 'tun' or 'tap'");
    assert_eq!(link("vt0"), None);
}
