//! `.defaults/cgroup/base`: where the cgroups of all guests are. compat/config-tree.md §3.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fixture::{Fixture, Guest, eventually};
use crate::trial::Trial;
use crate::{leak, tree};

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("cgroup_base::guests_live_below_it", guests_live_below_it).smoke(),
        Trial::new("cgroup_base::what_holds_a_guest_holds_it_there", what_holds_a_guest_holds_it_there),
        Trial::new("cgroup_base::a_change_counts_from_the_next_start", a_change_counts_from_the_next_start),
        Trial::new("cgroup_base::one_that_was_there_stays", one_that_was_there_stays),
        Trial::new("cgroup_base::what_is_somebody_elses_is_left_alone", what_is_somebody_elses_is_left_alone),
        Trial::new("cgroup_base::what_cannot_be_one", what_cannot_be_one),
    ]
}

const SOON: Duration = Duration::from_secs(20);

fn set(host: &Fixture, base: &str) {
    tree::write(&host.confdir().join(".defaults"), "cgroup/base", &format!("{base}\n"), 0o644);
}

/// Below this base, in the hierarchy of a controller; empty for v2.
fn of(base: &str, controller: &str) -> PathBuf {
    leak::hierarchy_of(controller).join(base)
}

/// Nothing of this base is left in any hierarchy.
fn is_gone(base: &str) -> bool {
    let top = Path::new(base).iter().next().unwrap();
    leak::hierarchies().iter().all(|hierarchy| !hierarchy.join(top).exists())
}

/// Its processes are counted, listed and signalled as those of any guest.
fn is_known(host: &Fixture, guest: &Guest<'_>) {
    let init = guest.init().to_string();
    guest.v(&["status"]).ok();
    host.tool("vserver-stat", &[""; 0]).ok().says(&guest.name);
    let all = host.tool("vps", &["ax"]).ok().out.clone();
    let line = |line: &&str| line.split_whitespace().next() == Some(init.as_str());
    let found = all.lines().find(line).unwrap_or_else(|| panic!("{init} is not in\n{all}"));
    assert!(found.contains(&guest.name), "{found}");
    host.tool("vserver-info", &[&init, "VINFO"]).ok().says(&format!("XID:\t{}", guest.xid));
    guest.exec(&["true"]).ok();
    let xid = guest.xid.to_string();
    host.tool("vkill", &["--xid", &xid, "-s", "0", "--", &init]).ok();
}

fn guests_live_below_it() {
    let host = Fixture::new();
    let (one, two) = (host.guest(), host.guest());
    let base = format!("{}.slice/all", one.name);
    set(&host, &format!("/{base}/"));
    one.v(&["check"]).ok();
    for guest in [&one, &two] {
        guest.start();
        for controller in ["", "pids", "memory"] {
            let dir = of(&base, controller).join(&guest.name);
            assert!(dir.join("guest").is_dir(), "{}", dir.display());
            assert!(!guest.cgroup(controller).exists(), "{}", guest.cgroup(controller).display());
        }
        is_known(&host, guest);
    }
    one.stop();
    assert!(!of(&base, "").join(&one.name).exists());
    is_known(&host, &two);
    // A restart from inside is another life at the same place.
    let init = two.init();
    two.sh("reboot");
    eventually("it has come again", SOON, || two.lives_again(init));
    assert!(of(&base, "").join(&two.name).is_dir());
    two.stop();
    assert!(is_gone(&base), "{:?}", leak::cgroups());
}

/// Limits, addresses and the helpers of its calls.
fn what_holds_a_guest_holds_it_there() {
    let host = Fixture::new();
    let (guest, other) = (host.guest(), host.guest());
    let base = format!("{}.slice", guest.name);
    set(&host, &base);
    guest.set("rlimits/nproc.hard", "30\n").address(0, "127.9.61.1", 8).carry_self();
    other.address(0, "127.9.61.2", 8).start();
    guest.start();
    assert_eq!(fs::read_to_string(of(&base, "pids").join(&guest.name).join("pids.max")).unwrap().trim(), "30");
    host.tool("vlimit", &["--xid", &guest.xid.to_string(), "--nproc", "40"]).ok();
    assert_eq!(fs::read_to_string(of(&base, "pids").join(&guest.name).join("pids.max")).unwrap().trim(), "40");
    let forks = guest.sh("i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done; echo all; kill $(jobs -p)");
    assert!(!forks.out.contains("all"), "{forks:?}");
    // The shell ends at the first that fails; until the others have ended, there is no room for a helper either.
    let count = of(&base, "pids").join(&guest.name).join("pids.current");
    eventually("its processes have ended", SOON, || {
        fs::read_to_string(&count).unwrap().trim().parse::<u32>().unwrap() < 10
    });
    assert_ne!(guest.sh("/self --serve 127.9.61.2:8080").code, 0);
    guest.sh("hostname other && hostname").ok().says("other");
    // The end of its supervisor is the end of it, and the next command clears up.
    let init = guest.init();
    kill(Pid::from_raw(guest.supervisor()), Signal::SIGKILL).unwrap();
    eventually("its init is gone", SOON, || !Path::new(&format!("/proc/{init}/exe")).exists());
    guest.v(&["stop"]).ok();
    other.stop();
    assert!(is_gone(&base), "{:?}", leak::cgroups());
}

fn a_change_counts_from_the_next_start() {
    let host = Fixture::new();
    let (old, new, usual) = (host.guest(), host.guest(), host.guest());
    let bases = ["a", "a/b"].map(|tail| format!("{}{tail}", old.name));
    set(&host, &bases[0]);
    old.start();
    set(&host, &bases[1]);
    // What the base is below must not be a guest's cgroup, and is none here.
    new.start();
    fs::remove_file(host.confdir().join(".defaults/cgroup/base")).unwrap();
    usual.start();
    for guest in [&old, &new, &usual] {
        is_known(&host, guest);
    }
    let stat = host.tool("vserver-stat", &[""; 0]).ok().out.clone();
    assert_eq!(stat.lines().filter(|line| line.contains(&old.name[..old.name.len() - 1])).count(), 3, "{stat}");
    host.v(&["--all", "stop"]).ok();
    assert!(is_gone(&bases[0]), "{:?}", leak::cgroups());
}

/// An administrator's own, with a limit for all guests together.
fn one_that_was_there_stays() {
    let host = Fixture::new();
    let (one, two) = (host.guest(), host.guest());
    let base = format!("{}.mine", one.name);
    let dir = of(&base, "pids");
    fs::create_dir(&dir).unwrap();
    set(&host, &base);
    one.start();
    two.start();
    fs::write(dir.join("pids.max"), "60\n").unwrap();
    let many = "i=0; while [ $i -lt 80 ]; do sleep 5 & i=$((i+1)); done; echo all; kill $(jobs -p)";
    assert!(!one.sh(many).out.contains("all"));
    one.stop();
    two.stop();
    assert!(dir.is_dir(), "it was not ours to remove");
    one.start().stop();
    fs::remove_dir(&dir).unwrap();
    assert!(is_gone(&base), "{:?}", leak::cgroups());
}

fn what_is_somebody_elses_is_left_alone() {
    let host = Fixture::new();
    let (guest, second) = (host.guest(), host.guest());
    let base = format!("{}.theirs", guest.name);
    let theirs = of(&base, "").join("service");
    fs::create_dir_all(&theirs).unwrap();
    set(&host, &base);
    let said = guest.v(&["start"]);
    said.exits(1).says("it is somebody else's, with processes or cgroups in it");
    assert!(theirs.is_dir());
    fs::remove_dir(&theirs).unwrap();
    // With a directory in the place of a guest's.
    guest.start();
    let place = of(&base, "").join(&second.name);
    fs::create_dir_all(place.join("service")).unwrap();
    second.v(&["start"]).exits(1).says("vserver has not made it for a guest");
    assert!(place.is_dir());
    assert!(place.join("service").is_dir());
    fs::remove_dir(place.join("service")).unwrap();
    fs::remove_dir(&place).unwrap();
    // And inside of a guest's own.
    set(&host, &format!("{base}/{}/guest", guest.name));
    second.v(&["start"]).exits(1).says("it is the cgroup of a guest");
    guest.stop();
    fs::remove_dir(of(&base, "")).unwrap();
    assert!(is_gone(&base), "{:?}", leak::cgroups());
}

fn what_cannot_be_one() {
    let host = Fixture::new();
    let guest = host.guest();
    for (base, reason) in [("../elsewhere", "'..' would lead out"), ("vserver/web", "what lies below vserver/")] {
        set(&host, base);
        for verb in ["check", "start"] {
            let said = guest.v(&[verb]);
            assert_ne!(said.code, 0, "{verb}: {said:?}");
            said.says("cgroup/base:1").says(reason);
        }
    }
    assert!(!Path::new(&format!("/run/vserver/{}", guest.name)).exists());
}
