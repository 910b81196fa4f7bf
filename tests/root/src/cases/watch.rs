//! vserver-stat, vps, vkill, chcontext, list: util-vserver's columns, and JSON.

use std::time::Duration;

use crate::fixture::{Fixture, Guest, eventually};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("watch::vserver_stat_columns", vserver_stat_columns).smoke(),
        Trial::new("watch::the_shown_name_is_the_configured_one", the_shown_name_is_the_configured_one),
        Trial::new("watch::vps_names_the_context", vps_names_the_context).smoke(),
        Trial::new("watch::vkill_kills_inside_only", vkill_kills_inside_only),
        Trial::new("watch::chcontext_joins_and_watches", chcontext_joins_and_watches),
        Trial::new("watch::list_and_json", list_and_json),
    ]
}

/// Starts it and waits for its service, which its init begins in its own time.
fn started(guest: &Guest<'_>) {
    guest.start();
    let runs = || guest.sh("ps | grep -q '[s]leep 86400'").code == 0;
    eventually("its service runs", Duration::from_secs(5), runs);
}

/// compat/commands.md §6: header and positions.
fn vserver_stat_columns() {
    let host = Fixture::new();
    let guest = host.guest();
    started(&guest);
    let stat = host.tool("vserver-stat", &[] as &[&str]);
    let lines: Vec<&str> = stat.ok().out.lines().collect();
    assert_eq!(lines[0], "CTX   PROC    VSZ    RSS  userTIME   sysTIME    UPTIME NAME");
    let xid = guest.xid.to_string();
    let row = lines.iter().find(|line| line.starts_with(&format!("{xid} "))).expect("a row of the guest");
    assert_eq!(&row[55..], &guest.name[..guest.name.len().min(20)]);
    let count: u32 = row[xid.len()..10].trim().parse().unwrap();
    assert!((2..10).contains(&count), "{row}");
    assert_eq!(row.as_bytes()[54], b' ');
    guest.stop();
    assert!(!host.tool("vserver-stat", &[] as &[&str]).out.contains(&guest.name));
}

/// compat/config-tree.md §5.1: `name` is what is shown; the guest's own name stays that of its directory.
fn the_shown_name_is_the_configured_one() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("name", "called-this\n");
    started(&guest);
    host.tool("vserver-stat", &[] as &[&str]).ok().says(" called-this\n");
    host.v(&["list"]).ok().says(&guest.name);
}

/// compat/commands.md §6: the column follows PID.
fn vps_names_the_context() {
    let host = Fixture::new();
    let guest = host.guest();
    started(&guest);
    let vps = host.tool("vps", &["ax"]);
    let lines: Vec<&str> = vps.ok().out.lines().collect();
    assert!(lines[0].contains("PID CONTEXT             TTY"), "{}", lines[0]);
    let own = format!("{:>5} {}", guest.xid, guest.name);
    assert!(lines.iter().any(|line| line.contains(&own) && line.contains("sleep 86400")), "{}", vps.out);
    assert!(lines.iter().any(|line| line.contains("    0 MAIN")), "{}", vps.out);
}

fn vkill_kills_inside_only() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let xid = guest.xid.to_string();
    // Recognised among all processes of the machine.
    let sleep = format!("sleep 4{xid}");
    guest.sh(&format!("{sleep} >/dev/null 2>&1 & echo $!")).ok();
    let find = || {
        let vps = host.tool("vps", &["ax"]).out;
        let line = vps.lines().find(|line| line.ends_with(&sleep)).map(str::to_owned);
        line.and_then(|line| line.split_whitespace().next().map(str::to_owned))
    };
    let pid = find().expect("the process is seen from the host");
    host.tool("vkill", &["-s", "NOSUCH", "--xid", &xid, "--", &pid]).exits(1);
    let me = std::process::id().to_string();
    assert_ne!(
        host.tool("vkill", &["--xid", &xid, "--", &me]).code,
        0,
        "a process of the host is not in that context"
    );
    host.tool("vkill", &["-s", "KILL", "--xid", &xid, "--", &pid]).ok();
    eventually("it is gone", Duration::from_secs(3), || find().is_none());
    assert!(guest.is_running());
}

fn chcontext_joins_and_watches() {
    let host = Fixture::new();
    let guest = host.guest();
    started(&guest);
    let xid = guest.xid.to_string();
    host.tool("chcontext", &["--silent", "--xid", &xid, "--", "cat", "/etc/inittab"]).ok().says("::sysinit:");
    let seen = host.tool("chcontext", &["--silent", "--xid", "1", "ps", "ax"]);
    seen.ok().says("sleep 86400");
    host.tool("chcontext", &["--silent", "--xid", &xid, "--", "sh", "-c", "exit 5"]).exits(5);
}

fn list_and_json() {
    let host = Fixture::new();
    let (up, down) = (host.guest(), host.guest());
    up.start();
    host.v(&["list"]).ok().says(&up.name).says(&down.name);
    let parse = |ran: &crate::fixture::Ran| -> serde_json::Value { serde_json::from_str(&ran.ok().out).unwrap() };
    let list = parse(&host.v(&["list", "--json"]));
    assert!(list.to_string().contains(&down.name), "{list}");
    let stat = parse(&host.tool("vserver-stat", &["--json"]));
    assert!(stat.to_string().contains(&up.name) && !stat.to_string().contains(&down.name), "{stat}");
    let status = parse(&up.v(&["status", "--json"]));
    assert!(status.to_string().contains(&up.xid.to_string()), "{status}");
}
