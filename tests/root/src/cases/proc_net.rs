//! `/proc/net` of a guest on the host's stack (`hide_netif`): what of sockets, devices, addresses and routes is its own.

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::hide_netif::Net;
use crate::fixture::{Fixture, Guest, eventually};
use crate::needs::Need;
use crate::security::bench::{self, BOTH, Mode};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    let all: [(&'static str, fn()); 9] = [
        ("proc_net::only_its_own", only_its_own),
        ("proc_net::users_and_loopback_as_it_knows_them", users_and_loopback_as_it_knows_them),
        ("proc_net::addresses_and_the_flag_change", addresses_and_the_flag_change),
        ("proc_net::without_it_all_is_shown", without_it_all_is_shown),
        ("proc_net::in_a_network_of_its_own", in_a_network_of_its_own),
        ("proc_net::it_stays_where_it_is", it_stays_where_it_is),
        ("proc_net::served_only_while_somebody_asks", served_only_while_somebody_asks),
        ("proc_net::many_readers", many_readers),
        ("proc_net::the_rest_is_closed_by_modes", the_rest_is_closed_by_modes),
    ];
    all.map(|(name, body)| Trial::new(name, body).needs(Need::Probe).needs(Need::Fuse)).into()
}

const LIMIT: Duration = Duration::from_secs(10);

fn guest<'f>(host: &'f Fixture, mode: Mode, addresses: &[&str]) -> Guest<'f> {
    let guest = bench::guest(host, mode);
    guest.carry_self();
    for (index, address) in (0..).zip(addresses) {
        guest.address(index, address, 24);
    }
    guest
}

/// A program in the guest, which ends with it.
fn runs(guest: &Guest<'_>, words: &[&str]) -> Child {
    let mut command = guest.host_command(&[&["exec"], words].concat());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn all_of(guest: &Guest<'_>) -> String {
    guest.sh("cat /proc/net/*").ok().out.clone()
}

/// A server of the guest's `/proc/net`: a child of its supervisor.
fn server(guest: &Guest<'_>) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{}/status", guest.init())).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned();
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    let name = |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid| name(pid).trim() == "vserver-view")
}

/// Sockets of the host: nobody else is to see any of them.
struct Hosts {
    _tcp: [TcpListener; 2],
    _udp: UdpSocket,
    _unix: UnixListener,
}

impl Hosts {
    fn new() -> Self {
        let tcp = |address: &str| TcpListener::bind(address).unwrap();
        let unix = SocketAddr::from_abstract_name("the-hosts-own").unwrap();
        Self {
            _tcp: [tcp("10.99.71.1:7001"), tcp("0.0.0.0:7002")],
            _udp: UdpSocket::bind("10.99.71.1:7003").unwrap(),
            _unix: UnixListener::bind_addr(&unix).unwrap(),
        }
    }

    /// Ports as the tables have them, addresses, names.
    const SIGNS: [&'static str; 6] = [":1B59", ":1B5A", ":1B5B", "the-hosts-own", "out72", "10.99.71.1\n"];
}

/// Two guests of each mode, and the host.
fn only_its_own() {
    let host = Fixture::new();
    let _net = Net::new();
    let _hosts = Hosts::new();
    for mode in BOTH {
        let one = guest(&host, mode, &["10.99.71.2", "10.99.71.4"]);
        let two = guest(&host, mode, &["10.99.71.3"]);
        one.start();
        two.start();
        let mut programs = Vec::new();
        for (guest, port, name) in [(&one, "8001", "of-one"), (&two, "8002", "of-two")] {
            programs.push(runs(guest, &["nc", "-ll", "-p", port, "-e", "cat"]));
            programs.push(runs(guest, &["/self", "--echo", &format!("0.0.0.0:{port}")]));
            programs.push(runs(guest, &["/probe", "abstract_listen", name, "600"]));
        }
        let has = |guest: &Guest<'_>, signs: [&str; 2]| {
            eventually("it sees its own", LIMIT, || {
                let text = all_of(guest);
                text.matches(signs[0]).count() >= 2 && text.contains(signs[1])
            });
        };
        has(&one, [":1F41", "@of-one"]);
        has(&two, [":1F42", "@of-two"]);
        let (of_one, of_two) = (all_of(&one), all_of(&two));
        for sign in Hosts::SIGNS {
            assert!(!of_one.contains(sign) && !of_two.contains(sign), "{mode:?} {sign}: {of_one}{of_two}");
        }
        // 10.99.71.3 as tables of sockets, of routes and of addresses have it, and the other way round.
        for sign in [":1F42", "of-two", "0347630A", "10.99.71.3"] {
            assert!(!of_one.contains(sign), "{mode:?} {sign}: {of_one}");
        }
        for sign in [":1F41", "of-one", "0247630A", "10.99.71.2\n", "10.99.71.4"] {
            assert!(!of_two.contains(sign), "{mode:?} {sign}: {of_two}");
        }
        assert!(!of_one.contains("ffff8") && !of_one.contains("ffff9"), "an address of the kernel's: {of_one}");
        // Programs that read it.
        let shown = one.sh("netstat -tln").ok().out.clone();
        assert!(shown.contains(":8001 ") && !shown.contains(":700"), "{mode:?} {shown}");
        let shown = two.sh("netstat -tuln").ok().out.clone();
        assert!(shown.contains("10.99.71.3:8002 ") && shown.contains("udp"), "{mode:?} {shown}");
        one.sh("netstat -xl").ok().says("of-one");
        let routes = one.sh("route -n").ok().out.clone();
        assert!(routes.contains("10.99.71.254") && !routes.contains("10.98.0.0"), "{mode:?} {routes}");
        let devices = one.sh("sed -n 's/:.*//p' /proc/net/dev").ok().out.clone();
        let devices: Vec<&str> = devices.split_whitespace().collect();
        assert_eq!(devices, ["lo", "out71"], "{mode:?}");
        // A connection, and what is left of it.
        let wire = TcpStream::connect("10.99.71.3:8002").unwrap();
        eventually("it sees the connection", LIMIT, || two.sh("netstat -tn").out.contains("ESTABLISHED"));
        assert!(!all_of(&one).contains(":1F42"), "{mode:?}");
        drop(wire);
        one.stop();
        two.stop();
        programs.iter_mut().for_each(|program| drop(program.wait()));
    }
}

fn users_and_loopback_as_it_knows_them() {
    let host = Fixture::new();
    let _net = Net::new();
    let guest = guest(&host, Mode::User, &["10.99.71.2"]);
    guest.start();
    let mut program = runs(&guest, &["/self", "--echo", "127.0.0.1:8003"]);
    let line = || {
        let text = guest.exec(&["cat", "/proc/net/udp"]).out.clone();
        text.lines().find(|line| line.contains(":1F43")).map(str::to_owned)
    };
    eventually("it has a socket", LIMIT, || line().is_some());
    let line = line().unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!((words[0], words[1], words[7]), ("0:", "0100007F:1F43", "0"), "{line}");
    assert!(words[9].parse::<u64>().unwrap() > 0 && words[11] == "0000000000000000", "{line}");
    guest.stop();
    program.wait().unwrap();
}

fn addresses_and_the_flag_change() {
    let host = Fixture::new();
    let _net = Net::new();
    let _hosts = Hosts::new();
    let guest = guest(&host, Mode::User, &["10.99.71.2"]);
    guest.start();
    let trie = |ip: &str| guest.exec(&["cat", "/proc/net/fib_trie"]).ok().out.contains(&format!("-- {ip}\n"));
    assert!(trie("10.99.71.2") && !trie("10.99.71.4") && !trie("10.99.71.1"));
    let nid = guest.xid.to_string();
    host.tool("naddress", &["--add", "--ip", "10.99.71.4", "--nid", &nid]).ok();
    assert!(trie("10.99.71.2") && trie("10.99.71.4"));
    host.tool("naddress", &["--remove", "--ip", "10.99.71.4", "--nid", &nid]).ok();
    assert!(!trie("10.99.71.4"));
    let flag = |word: &str| host.tool("nattribute", &["--set", "--nid", &nid, "--flag", word]);
    flag("~hide_netif").ok();
    assert!(trie("10.99.71.1") && all_of(&guest).contains(":1B59"));
    flag("hide_netif").ok();
    assert!(!trie("10.99.71.1") && !all_of(&guest).contains(":1B59"));
    guest.stop();
}

fn without_it_all_is_shown() {
    let host = Fixture::new();
    let _net = Net::new();
    let _hosts = Hosts::new();
    let guest = guest(&host, Mode::User, &["10.99.71.2"]);
    guest.set("nflags", "~hide_netif\n").start();
    for sign in &Hosts::SIGNS[..5] {
        assert!(guest.sh("cat /proc/net/*").out.contains(sign), "{sign}");
    }
    assert_eq!(guest.exec(&["readlink", "/proc/net"]).ok().out.trim(), "self/net");
    assert!(!guest.exec(&["cat", "/proc/mounts"]).ok().out.contains("fuse"));
    assert_eq!(server(&guest), None);
    guest.stop();
}

/// A process that has left the host's stack sees the one where it is, and the others theirs.
fn in_a_network_of_its_own() {
    let host = Fixture::new();
    let _net = Net::new();
    let guest = guest(&host, Mode::User, &["10.99.71.2"]);
    guest.set("ccapabilities", "namespace\n").start();
    let script = "unshare -n sh -c 'nc -ll -p 8004 -e cat & sleep 1; cat /proc/net/dev /proc/net/tcp*; kill $!'";
    let inside = guest.sh(script).out.clone();
    assert!(inside.contains("lo:") && !inside.contains("out71") && inside.contains(":1F44"), "{inside}");
    assert!(guest.exec(&["cat", "/proc/net/dev"]).ok().out.contains("out71"));
    guest.stop();
}

/// Nothing of it can be taken off, written or looked below.
fn it_stays_where_it_is() {
    let host = Fixture::new();
    let _net = Net::new();
    let _hosts = Hosts::new();
    for mode in BOTH {
        let guest = guest(&host, mode, &["10.99.71.2"]);
        guest.set("ccapabilities", "secure_mount,namespace\n").start();
        for what in [
            "umount /proc/net",
            "umount /proc/tty/ldisc",
            "umount -l /proc/net/",
            "umount -l /proc/tty/ldisc",
            "mkdir /tmp/p && mount -t proc none /tmp/p && grep 1B59 /tmp/p/net/tcp",
            "mkdir /tmp/q && mount --bind /proc /tmp/q && grep 1B59 /tmp/q/net/tcp",
            "unshare -m umount /proc/tty/ldisc",
            "unshare -Ur umount /proc/tty/ldisc",
            "rm /proc/net",
            "touch /proc/net/x",
            "echo >/proc/net/tcp",
            "chmod 666 /proc/net/tcp",
            "ls /proc/net/ | grep -e netfilter -e stat/",
        ] {
            let ran = guest.sh(what);
            assert!(ran.code != 0, "{mode:?} {what}: {}", ran.out);
        }
        assert!(!all_of(&guest).contains(":1B59"), "{mode:?}");
        guest.stop();
    }
}

fn served_only_while_somebody_asks() {
    let host = Fixture::new();
    let _net = Net::new();
    let _hosts = Hosts::new();
    let guest = guest(&host, Mode::User, &["10.99.71.2"]);
    guest.start();
    assert_eq!(guest.exec(&["readlink", "/proc/net"]).ok().out.trim(), "tty/ldisc");
    assert_eq!(server(&guest), None);
    assert!(guest.exec(&["cat", "/proc/net/dev"]).ok().out.contains("out71"));
    let first = server(&guest).expect("its server");
    // It ends by itself when nobody asks, and the next question has another one.
    eventually("it has ended", Duration::from_secs(60), || server(&guest).is_none());
    assert!(guest.exec(&["cat", "/proc/net/dev"]).ok().out.contains("out71"));
    let second = server(&guest).expect("another one");
    assert_ne!(first, second);
    // Killed, nobody tells of the host; the guest goes on without it.
    kill(Pid::from_raw(second), Signal::SIGKILL).unwrap();
    eventually("reads fail", LIMIT, || guest.exec(&["cat", "/proc/net/dev"]).err.contains("not connected"));
    assert_eq!(guest.sh("cat /proc/net/*").out, "");
    guest.exec(&["true"]).ok();
    guest.stop();
    // With the next start it is there again, and ends with the guest.
    guest.start();
    assert!(guest.exec(&["cat", "/proc/net/dev"]).ok().out.contains("out71"));
    let last = server(&guest).unwrap();
    guest.stop();
    assert!(!fs::exists(format!("/proc/{last}")).unwrap());
}

/// Many at once, in small pieces, and some that do not read on.
fn many_readers() {
    let host = Fixture::new();
    let _net = Net::new();
    let guest = guest(&host, Mode::User, &["10.99.71.2"]);
    guest.start();
    let mut program = runs(&guest, &["nc", "-ll", "-p", "8001", "-e", "cat"]);
    guest.sh("for i in $(seq 40); do (exec 9</proc/net/netstat; read x <&9; sleep 3) & done; wait").ok();
    guest.sh("for i in $(seq 16); do (for j in $(seq 5); do cat /proc/net/*; done | wc -c) & done; wait").ok();
    let pieces = guest.sh("dd if=/proc/net/route bs=7 2>/dev/null").ok().out.clone();
    assert_eq!(pieces, guest.exec(&["cat", "/proc/net/route"]).ok().out);
    let pid = server(&guest).unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().to_owned();
    println!("note: the server has {line}");
    assert!(line.split(' ').next().unwrap().parse::<u64>().unwrap() < 16_384, "{line}");
    guest.stop();
    program.wait().unwrap();
}

/// What docs/network.md has an administrator do who wants the directories of processes closed, too.
fn the_rest_is_closed_by_modes() {
    let host = Fixture::new();
    let _net = Net::new();
    let _hosts = Hosts::new();
    let guest = guest(&host, Mode::User, &["10.99.71.2"]);
    guest.start();
    let mut program = runs(&guest, &["nc", "-ll", "-p", "8001", "-e", "cat"]);
    let files = |mode: &str| {
        let words = ["/proc/self/net/", "-type", "f", "-exec", "chmod", mode, "{}", "+"];
        assert!(Command::new("find").args(words).status().unwrap().success());
    };
    assert!(guest.exec(&["cat", "/proc/self/net/tcp"]).ok().out.contains(":1B59"));
    files("0400");
    for name in ["tcp", "unix", "dev", "route", "fib_trie"] {
        guest.exec(&["cat", &format!("/proc/self/net/{name}")]).exits(1).says("Permission denied");
        guest.exec(&["cat", &format!("/proc/1/net/{name}")]).exits(1).says("Permission denied");
    }
    eventually("it sees its own", LIMIT, || all_of(&guest).contains(":1F41"));
    assert!(!all_of(&guest).contains(":1B59") && guest.sh("netstat -tln").ok().out.contains(":8001 "));
    files("0444");
    guest.stop();
    program.wait().unwrap();
}
