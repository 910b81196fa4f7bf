//! Making, killing, freezing, removing.

use std::fs;
use std::time::{Duration, Instant};

use vserver_cgroup::{Error, GuestCgroup, list};
use vserver_types::Limits;

use crate::support::{Guest, v1_only};

pub fn kill_ends_a_fork_storm() {
    let guest = Guest::new();
    guest
        .cgroup
        .apply(&Limits {
            pids: Some(60),
            ..Limits::default()
        })
        .unwrap();
    let _player = guest.run(&["storm"]);
    storm_ends(&guest);
}

pub fn kill_without_v2() {
    let Some(layout) = v1_only() else { return };
    let guest = Guest::on_v1(layout);
    guest
        .cgroup
        .apply(&Limits {
            pids: Some(60),
            ..Limits::default()
        })
        .unwrap();
    let _player = guest.run(&["storm"]);
    storm_ends(&guest);
}

fn storm_ends(guest: &Guest) {
    std::thread::sleep(Duration::from_millis(600));
    assert!(guest.cgroup.populated().unwrap());
    assert!(guest.cgroup.processes().unwrap().len() > 5);
    assert!(
        list(&guest.layout)
            .unwrap()
            .iter()
            .any(|name| name.as_str() == guest.name)
    );
    let begin = Instant::now();
    guest.cgroup.kill().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(guest.cgroup.processes().unwrap(), []);
    assert!(!guest.cgroup.populated().unwrap());
    guest.cgroup.remove().unwrap();
    guest.assert_gone();
}

pub fn freeze_and_thaw() {
    let layouts = [None, v1_only()];
    let guests = layouts.into_iter().enumerate().filter_map(|(i, layout)| match layout {
        Some(layout) => Some(Guest::on_v1(layout)),
        None => (i == 0).then(Guest::new),
    });
    for guest in guests {
        let mut player = guest.run(&["tick"]);
        guest.cgroup.freeze().unwrap();
        assert!(guest.cgroup.is_frozen().unwrap());
        let ticks = || fs::read_to_string(format!("/proc/{}/schedstat", player.pid())).unwrap();
        let before = ticks();
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(ticks(), before, "a frozen process does not run");
        guest.cgroup.thaw().unwrap();
        std::thread::sleep(Duration::from_millis(60));
        assert_ne!(ticks(), before);
        guest.cgroup.freeze().unwrap();
        guest.cgroup.kill().unwrap();
        assert!(!player.child.wait().unwrap().success());
    }
}

pub fn f22_foreign_process() {
    let guest = Guest::new();
    let Some(mount) = guest.layout.v2_mount() else { return };
    let mut foreign = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let procs = mount.join("vserver").join(&guest.name).join("cgroup.procs");
    // Where v2 has controllers, the kernel itself keeps processes out of the inner directory.
    if fs::write(&procs, foreign.id().to_string()).is_ok() {
        guest.cgroup.kill().unwrap();
        match guest.cgroup.remove() {
            Err(Error::Busy { pids, .. }) => assert_eq!(pids, [i32::try_from(foreign.id()).unwrap()]),
            other => panic!("{other:?}"),
        }
        assert!(foreign.try_wait().unwrap().is_none(), "it must not be killed");
    }
    foreign.kill().unwrap();
    foreign.wait().unwrap();
    guest.cgroup.remove().unwrap();
    guest.assert_gone();
}

pub fn remove_takes_nested() {
    let guest = Guest::new();
    if let Some(mount) = guest.layout.v2_mount() {
        let inner = mount.join("vserver").join(&guest.name).join("guest");
        fs::create_dir_all(inner.join("system.slice/ssh.service")).unwrap();
        fs::create_dir_all(inner.join("a/b/c/d")).unwrap();
        let too_deep = inner.join("1/2/3/4/5/6/7/8/9/10/11/12");
        assert!(fs::create_dir_all(too_deep).is_err(), "nesting is bounded");
    }
    guest.cgroup.remove().unwrap();
    guest.assert_gone();
    guest.cgroup.remove().unwrap();
    assert!(GuestCgroup::open(&guest.layout, guest.cgroup.name()).is_none());
    assert!(matches!(
        guest.cgroup.apply(&Limits::default()),
        Err(Error::Gone { .. })
    ));
}

pub fn leftovers() {
    let guest = Guest::new();
    guest
        .cgroup
        .apply(&Limits {
            pids: Some(7),
            ..Limits::default()
        })
        .unwrap();
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
    assert!(
        text.lines().any(|line| line.ends_with("/vserver/.supervisors")),
        "{text}"
    );
    assert!(!text.contains(&guest.name));
    let mut sleeper = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    GuestCgroup::join_supervisor(&guest.layout, i32::try_from(sleeper.id()).unwrap()).unwrap();
    let moved = fs::read_to_string(format!("/proc/{}/cgroup", sleeper.id())).unwrap();
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    assert!(moved.contains("/vserver/.supervisors"), "{moved}");
    assert!(
        list(&guest.layout)
            .unwrap()
            .iter()
            .all(|name| !name.as_str().starts_with('.'))
    );
}
