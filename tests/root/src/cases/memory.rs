//! Memory: over its limit a guest is killed inside; the host and its supervisor never notice.

use std::time::{Duration, Instant};

use crate::fixture::Fixture;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("memory::over_the_limit_is_killed_inside", over_the_limit_is_killed_inside).smoke(),
        Trial::new("memory::address_space_fails_and_is_raised", address_space_fails_and_is_raised),
        Trial::new("memory::exec_and_enter_work_under_pressure", exec_and_enter_work_under_pressure),
        Trial::new("memory::rss_limit_of_a_running_guest", rss_limit_of_a_running_guest),
    ]
}

/// `rlimits/rss` counts pages of 4 KiB.
const PAGES_64M: &str = "16384\n";

fn over_the_limit_is_killed_inside() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("rlimits/rss.hard", PAGES_64M).carry_self().start();
    let (init, supervisor) = (guest.init(), guest.supervisor());
    guest.exec(&["/self", "--allocate", "30000000"]).ok();
    guest.exec(&["/self", "--allocate", "200000000"]).exits(128 + 9);
    assert_eq!((guest.init(), guest.supervisor()), (init, supervisor), "only the hog was killed");
    guest.exec(&["true"]).ok();
    // A bystander on the host was not chosen.
    assert!(std::process::Command::new("true").status().unwrap().success());
}

/// Item 4 of the first slice: the words are the kernel's.
fn address_space_fails_and_is_raised() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.carry_self().start();
    let xid = guest.xid.to_string();
    let allocate = || guest.exec(&["/self", "--allocate", "150000000"]);
    allocate().ok();
    host.tool("vlimit", &["--xid", &xid, "--as", "20000"]).ok();
    let refused = allocate();
    assert_ne!(refused.code, 0);
    refused.says("Cannot allocate memory");
    host.tool("vlimit", &["--xid", &xid, "--as", "100000"]).ok();
    allocate().ok();
}

fn exec_and_enter_work_under_pressure() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("rlimits/rss.hard", PAGES_64M).carry_self().start();
    let ten = || {
        let begun = Instant::now();
        ((0..10).filter(|_| guest.exec(&["true"]).code == 0).count(), begun.elapsed())
    };
    let (all, usual) = ten();
    assert_eq!(all, 10);
    let hogs = "for i in 1 2 3; do (while :; do /self --allocate 60000000 >/dev/null 2>&1; done) & done; wait";
    let mut command = host.command("vserver");
    let mut child = command.args([guest.name.as_str(), "exec", "sh", "-c", hogs]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    // One of them may be what the kernel kills; most must come through, and soon.
    let (through, took) = ten();
    let shell = host.tool_with_input("vserver", &[guest.name.as_str(), "enter"], b"exit 0\n");
    guest.stop();
    child.wait().unwrap();
    let soon = Duration::from_secs(20) + usual * 20;
    assert!(through >= 7 && took < soon, "{through} of 10 in {took:?}, without pressure {usual:?}; enter: {shell:?}");
}

fn rss_limit_of_a_running_guest() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.carry_self().start();
    let xid = guest.xid.to_string();
    host.tool("vlimit", &["--xid", &xid, "--rss", "16384"]).ok();
    guest.exec(&["/self", "--allocate", "200000000"]).exits(128 + 9);
    let shown = host.tool("vlimit", &["--xid", &xid, "-a", "-d"]);
    let line = shown.ok().out.lines().find(|line| line.starts_with("RSS ")).unwrap_or_default().to_owned();
    assert!(line.trim_end().ends_with("16384"), "{}", shown.out);
}
