//! `rlimits/nsock`: how many internet sockets a guest may have. compat/config-tree.md §5.3.1.

use std::fs;

use crate::fixture::{Fixture, Guest, program};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("sockets::no_more_than_the_limit", no_more_than_the_limit).smoke(),
        Trial::new("sockets::the_limit_of_a_running_guest", the_limit_of_a_running_guest),
    ]
}

fn with_probe(guest: &Guest<'_>) {
    fs::copy(program("vserver-probe"), guest.root.join("probe")).unwrap();
}

fn ask(guest: &Guest<'_>, words: &[&str]) -> String {
    guest.exec(&[&["/probe"], words].concat()).ok().out.trim().to_owned()
}

/// The line of the count: now, most, limit, refused.
fn counted(host: &Fixture, guest: &Guest<'_>) -> [i64; 4] {
    let text = host.tool("vserver-info", &[&guest.xid.to_string(), "PROC", "limit"]).ok().out.clone();
    let line = text.lines().find_map(|line| line.strip_prefix("SOCK:")).unwrap_or_else(|| panic!("{text}"));
    let numbers = line.split(|c: char| c.is_whitespace() || c == '/').filter(|word| !word.is_empty());
    let all: Vec<i64> = numbers.map(|word| word.parse().unwrap()).collect();
    let [now, _, most, _, limit, refused] = all[..] else { panic!("{line}") };
    [now, most, limit, refused]
}

fn no_more_than_the_limit() {
    let host = Fixture::new();
    let guest = host.guest();
    with_probe(&guest);
    guest.set("rlimits/nsock", "20\n").address(0, "127.9.62.1", 8);
    guest.v(&["start"]).ok().says("rlimits/nsock");
    assert_eq!(ask(&guest, &["many_sockets", "20"]), "20 OK");
    // What was closed is free again, and what the guest is refused for other reasons was never there.
    for _ in 0..30 {
        assert_eq!(ask(&guest, &["sctp"]), "EPROTONOSUPPORT");
    }
    assert_eq!(ask(&guest, &["many_sockets", "40"]), "20 ENFILE");
    assert_eq!(counted(&host, &guest), [0, 20, 20, 1]);
    // Not counted, at their making nor at their end.
    assert_eq!(ask(&guest, &["many_accepted", "60"]), "OK");
    assert_eq!(ask(&guest, &["many_unix", "60"]), "OK");
    assert_eq!(counted(&host, &guest), [0, 20, 20, 1]);
    assert_eq!(ask(&guest, &["many_sockets", "40"]), "20 ENFILE");
    // A server of the guest has one as long as it lives.
    guest.sh("mkdir -p /www && httpd -p 127.9.62.1:8080 -h /www").ok();
    assert_eq!(counted(&host, &guest)[0], 1);
    assert_eq!(ask(&guest, &["many_sockets", "40"]), "19 ENFILE");
    // Another guest has its own.
    let other = host.guest();
    with_probe(&other);
    other.set("rlimits/nsock.hard", "30\n").set("noncontext", "").start();
    assert_eq!(ask(&other, &["many_sockets", "40"]), "30 ENFILE");
    guest.stop();
    guest.start();
    assert_eq!(counted(&host, &guest), [0, 0, 20, 0]);
}

fn the_limit_of_a_running_guest() {
    let host = Fixture::new();
    let guest = host.guest();
    with_probe(&guest);
    guest.address(0, "127.9.63.1", 8).start();
    let xid = guest.xid.to_string();
    let limit = |value: &str| host.tool("vlimit", &["--xid", &xid, "--nsock", value]);
    assert_eq!(counted(&host, &guest), [0, 0, -1, 0]);
    assert!(!host.tool("vlimit", &["--xid", &xid, "-a"]).ok().out.contains("NSOCK"));
    limit("7").ok().says("sockets that the guest has already are not counted");
    assert_eq!(ask(&guest, &["many_sockets", "40"]), "7 ENFILE");
    host.tool("vlimit", &["--xid", &xid, "-a", "-d"])
        .ok()
        .says("NSOCK       N/A                 N/A                 7\n");
    // The programs for its addresses are replaced, and the count stays behind them.
    host.tool("naddress", &["--add", "--nid", &xid, "--ip", "127.9.63.2/8"]).ok();
    assert_eq!(ask(&guest, &["sctp"]), "EPROTONOSUPPORT");
    assert_eq!(ask(&guest, &["many_sockets", "40"]), "7 ENFILE");
    limit("9").ok();
    assert_eq!(ask(&guest, &["many_sockets", "40"]), "9 ENFILE");
    limit("inf").ok();
    assert_eq!(ask(&guest, &["many_sockets", "40"]), "40 OK");
    assert_eq!(counted(&host, &guest), [0, 40, -1, 3]);
    let soft = host.tool("vlimit", &["--xid", &xid, "-S", "--nsock", "3"]);
    soft.ok().says("the total has only a hard limit");
}
