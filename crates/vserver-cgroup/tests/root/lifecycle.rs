//! Making, killing, freezing, removing.

use std::fs;
use std::time::{Duration, Instant};

use vserver_cgroup::{Error, GuestCgroup, list};
use vserver_types::Limits;

use crate::support::{Guest, v1_only};

pub fn kill_ends_a_fork_storm() {
    let guest = Guest::new();
    guest.cgroup.apply(&Limits { pids: Some(60), ..Limits::default() }).unwrap();
    let _player = guest.run(&["storm"]);
    storm_ends(&guest);
}

pub fn kill_without_v2() {
    let guest = Guest::on_v1(v1_only());
    guest.cgroup.apply(&Limits { pids: Some(60), ..Limits::default() }).unwrap();
    let _player = guest.run(&["storm"]);
    storm_ends(&guest);
}

fn storm_ends(guest: &Guest) {
    let begin = Instant::now();
    while guest.cgroup.processes().unwrap().len() <= 5 {
        assert!(begin.elapsed() < Duration::from_secs(30), "there is no storm");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(guest.cgroup.populated().unwrap());
    assert!(list(&guest.layout).unwrap().iter().any(|name| name.as_str() == guest.name));
    let begin = Instant::now();
    guest.cgroup.kill().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert_eq!(guest.cgroup.processes().unwrap(), []);
    assert!(!guest.cgroup.populated().unwrap());
    guest.cgroup.remove().unwrap();
    guest.assert_gone();
}

pub fn freeze_and_thaw() {
    frozen_and_thawed(&Guest::new());
}

pub fn freeze_and_thaw_v1() {
    frozen_and_thawed(&Guest::on_v1(v1_only()));
}

fn frozen_and_thawed(guest: &Guest) {
    let mut player = guest.run(&["tick"]);
    guest.cgroup.freeze().unwrap();
    assert!(guest.cgroup.is_frozen().unwrap());
    let ticks = || fs::read_to_string(format!("/proc/{}/schedstat", player.pid())).unwrap();
    let before = ticks();
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(ticks(), before, "a frozen process does not run");
    guest.cgroup.thaw().unwrap();
    let begin = Instant::now();
    while ticks() == before {
        assert!(begin.elapsed() < Duration::from_secs(30), "a thawed process does not run");
        std::thread::sleep(Duration::from_millis(20));
    }
    guest.cgroup.freeze().unwrap();
    guest.cgroup.kill().unwrap();
    assert!(!player.child.wait().unwrap().success());
}

pub fn f22_foreign_process() {
    let guest = Guest::new();
    let mut foreign = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let pid = i32::try_from(foreign.id()).unwrap();
    // Where v2 has controllers, the kernel itself keeps processes out of the upper directory.
    let top = guest.layout.v2_mount().unwrap().join("vserver").join(&guest.name);
    fs::write(top.join("cgroup.procs"), pid.to_string()).unwrap();
    guest.cgroup.kill().unwrap();
    let outcome = guest.cgroup.remove();
    let lives = foreign.try_wait().unwrap().is_none();
    foreign.kill().unwrap();
    foreign.wait().unwrap();
    assert!(matches!(&outcome, Err(Error::Busy { pids, .. }) if *pids == [pid]), "{outcome:?}");
    assert!(lives, "it must not be killed");
    guest.cgroup.remove().unwrap();
    guest.assert_gone();
}

pub fn remove_takes_nested() {
    let guest = Guest::new();
    let inner = guest.layout.v2_mount().unwrap().join("vserver").join(&guest.name).join("guest");
    fs::create_dir_all(inner.join("system.slice/ssh.service")).unwrap();
    fs::create_dir_all(inner.join("a/b/c/d")).unwrap();
    let too_deep = inner.join("1/2/3/4/5/6/7/8/9/10/11/12");
    assert!(fs::create_dir_all(too_deep).is_err(), "nesting is bounded");
    guest.cgroup.remove().unwrap();
    guest.assert_gone();
    guest.cgroup.remove().unwrap();
    assert!(GuestCgroup::open(&guest.layout, guest.cgroup.name()).is_none());
    assert!(matches!(guest.cgroup.apply(&Limits::default()), Err(Error::Gone { .. })));
}

pub fn leftovers() {
    let guest = Guest::new();
    guest.cgroup.apply(&Limits { pids: Some(7), ..Limits::default() }).unwrap();
    let again = GuestCgroup::create(&guest.layout, guest.cgroup.name()).unwrap();
    assert_eq!(again.limits().unwrap().pids, None, "an old limit does not stay");
    let player = guest.run(&["idle"]);
    match GuestCgroup::create(&guest.layout, guest.cgroup.name()) {
        Err(Error::Occupied { pids, .. }) => assert_eq!(pids, [player.pid()]),
        other => panic!("{other:?}"),
    }
    assert_eq!(guest.cgroup.processes().unwrap(), [player.pid()]);
}

pub fn supervisors() {
    let guest = Guest::new();
    let player = guest.run(&["supervise"]);
    let text = fs::read_to_string(format!("/proc/{}/cgroup", player.pid())).unwrap();
    assert!(text.lines().any(|line| line.ends_with("/vserver/.supervisors")), "{text}");
    assert!(!text.contains(&guest.name));
    let mut sleeper = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    GuestCgroup::join_supervisor(&guest.layout, i32::try_from(sleeper.id()).unwrap()).unwrap();
    let moved = fs::read_to_string(format!("/proc/{}/cgroup", sleeper.id())).unwrap();
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    assert!(moved.contains("/vserver/.supervisors"), "{moved}");
    assert!(list(&guest.layout).unwrap().iter().all(|name| !name.as_str().starts_with('.')));
}

pub fn beside_init() {
    const EBUSY: i32 = 16;
    let guest = Guest::new();
    let init = guest.run(&["idle"]);
    let inner = guest.layout.v2_mount().unwrap().join("vserver").join(&guest.name).join("guest");
    // As systemd does: its own cgroup first, then controllers for the services.
    fs::create_dir(inner.join("init.scope")).unwrap();
    fs::write(inner.join("init.scope/cgroup.procs"), init.pid().to_string()).unwrap();
    fs::write(inner.join("cgroup.subtree_control"), "+pids").unwrap();
    let refused = fs::write(inner.join("cgroup.procs"), init.pid().to_string()).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(EBUSY));
    let command = guest.run(&["beside", &init.pid().to_string()]);
    let text = fs::read_to_string(format!("/proc/{}/cgroup", command.pid())).unwrap();
    assert!(text.trim_end().ends_with("/guest/init.scope"), "{text}");
    assert_eq!(guest.cgroup.processes().unwrap().len(), 2);
}
