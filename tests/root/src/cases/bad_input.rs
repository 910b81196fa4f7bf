//! Bad input: one clear sentence, the right exit code, nothing lost or half made.

use std::fs;
use std::process::Command;

use crate::fixture::{Fixture, Ran};
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("bad_input::no_such_guest", no_such_guest).smoke(),
        Trial::new("bad_input::bad_name", bad_name),
        Trial::new("bad_input::unknown_command", unknown_command),
        Trial::new("bad_input::bad_address", bad_address),
        Trial::new("bad_input::address_of_another_guest", address_of_another_guest),
        Trial::new("bad_input::context_in_use", context_in_use),
        Trial::new("bad_input::missing_init", missing_init),
        Trial::new("bad_input::all_faults_of_a_configuration_at_once", all_faults_of_a_configuration_at_once),
        Trial::new(
            "bad_input::every_kind_of_fault_before_anything_starts",
            every_kind_of_fault_before_anything_starts,
        ),
        Trial::new("bad_input::a_refusal_tells_the_other_faults", a_refusal_tells_the_other_faults),
        Trial::new("bad_input::full_disk_during_build", full_disk_during_build).needs(Need::Tool("tar")),
        Trial::new("bad_input::tree_without_idmapped_mounts", tree_without_idmapped_mounts),
        Trial::new("bad_input::build_over_something", build_over_something),
        Trial::new("bad_input::missing_tree", missing_tree),
    ]
}

/// One sentence or a few, no traceback, no debug formatting.
#[track_caller]
fn clear(ran: &Ran, code: i32, words: &[&str]) {
    ran.exits(code);
    for word in words {
        assert!(ran.err.contains(word), "'{word}' is not in: {}", ran.err);
    }
    let ugly = ["panicked", "Os {", "Error {", "RUST_BACKTRACE", "Some("];
    assert!(ugly.iter().all(|word| !ran.err.contains(word)), "{}", ran.err);
    assert!(ran.err.lines().count() <= 12, "{}", ran.err);
}

/// compat/commands.md §3.1
fn no_such_guest() {
    let host = Fixture::new();
    for verb in ["start", "stop", "status", "running", "enter", "delete"] {
        clear(&host.v(&["nobody", verb]), 5, &["Can not find a vserver-setup at", "nobody"]);
    }
    clear(&host.v(&["nobody", "exec", "true"]), 5, &["Can not find a vserver-setup at"]);
}

fn bad_name() {
    let host = Fixture::new();
    for name in ["a b", "-x", "..", "a/../b", "ü", &"x".repeat(51)] {
        let ran = host.v(&["--", name, "build", "-m", "skeleton"]);
        assert!(ran.code != 0 && !ran.err.is_empty() && !ran.err.contains("panicked"), "{name}: {ran:?}");
    }
    assert_eq!(fs::read_dir(host.trees()).unwrap().count(), 0);
    let visible =
        fs::read_dir(host.confdir()).unwrap().flatten().filter(|e| !e.file_name().to_string_lossy().starts_with('.'));
    assert_eq!(visible.count(), 0);
}

fn unknown_command() {
    let host = Fixture::new();
    let guest = host.guest();
    clear(&guest.v(&["explode"]), 2, &["Usage"]);
    clear(&guest.v(&[]), 2, &["Usage"]);
}

fn bad_address() {
    let host = Fixture::new();
    let (name, xid) = host.fresh();
    let xid = xid.to_string();
    for address in ["nodev:300.1.2.3/8", "nodev:127.0.0.1/99", "nodev:", "nodev:127.0.0.1/255.0.255.0"] {
        let ran = host.v(&[&name, "build", "-m", "skeleton", "--context", &xid, "--interface", address]);
        assert!(ran.code != 0 && !ran.err.contains("panicked"), "{address}: {ran:?}");
        assert!(!host.confdir().join(&name).exists() && !host.trees().join(&name).exists(), "{address}");
    }
    let guest = host.guest();
    guest.set("interfaces/0/ip", "127.0.0.300\n").set("interfaces/0/nodev", "");
    clear(&guest.v(&["start"]), 1, &["interfaces/0/ip", "127.0.0.300"]);
}

fn address_of_another_guest() {
    let host = Fixture::new();
    let (one, two) = (host.guest(), host.guest());
    one.address(0, "127.9.1.1", 8).start();
    two.address(0, "127.9.1.1", 8);
    clear(&two.v(&["start"]), 1, &["127.9.1.1", &one.name]);
    assert!(!two.is_running() && one.is_running());
}

fn context_in_use() {
    let host = Fixture::new();
    let (one, two) = (host.guest(), host.guest());
    one.start();
    let xid = one.xid.to_string();
    two.set("context", &format!("{xid}\n"));
    clear(&two.v(&["start"]), 1, &[&xid]);
    let (name, _) = host.fresh();
    let built = host.v(&[name.as_str(), "build", "-m", "skeleton", "--context", &xid]);
    clear(&built, 1, &[&format!("Context '{xid}' is already in use. Please select another one.")]);
    assert!(!host.confdir().join(&name).exists());
    assert!(one.is_running());
}

fn missing_init() {
    let host = Fixture::new();
    let guest = host.guest();
    fs::remove_file(guest.root.join("sbin/init")).unwrap();
    clear(&guest.v(&["start"]), 1, &["/sbin/init", &guest.name]);
    assert!(!guest.is_running());
}

/// Every fault is named with its file, and its line where there is one.
fn all_faults_of_a_configuration_at_once() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("context", "many\n").set("rlimits/rss", "lots\n").set("sched/fill-rate", "-\n");
    guest.set("bcapabilities", "CHOWN\nNO_SUCH_CAPABILITY\n").set("cflags", "sched_hard\n");
    let ran = guest.v(&["start"]);
    clear(&ran, 1, &["context", "rlimits/rss", "sched/fill-rate", "bcapabilities:2"]);
    assert!(!guest.is_running());
}

/// The list on one guest: `check` and `start` say the same of each, with file, line, reason and remedy, and no
/// script has run.
fn every_kind_of_fault_before_anything_starts() {
    let host = Fixture::new();
    let (guest, other) = (host.guest(), host.guest());
    let ran_before = host.scratch("marks").join("ran");
    guest.set("scripts/initialize", &format!(": >'{}'\n", ran_before.display()));
    guest.set("context", &format!("{}\n", other.xid));
    guest.set("apps/init/depends", &format!("# needs\n{}\n", other.name));
    other.set("apps/init/depends", &format!("{}\n", guest.name));
    guest.set("rlimits/rss", "1G\n").set("cflags", "hide_netif\nvirt_memm\n");
    guest.set("fstab", "none /tmp tmpfs defaults 0 0\n/srv /srv/data none bind 0 0\n");
    std::os::unix::fs::symlink("/outside/of/it", guest.root.join("srv")).unwrap();
    let (name, needed) = (&guest.name, &other.name);
    let circle =
        format!("apps/init/depends:2: guests depend on each other in a circle: {name} -> {needed} -> {name} (");
    let clash = format!("context:1: context {} belongs to guest '{needed}' already (", other.xid);
    let mut expected = vec![
        circle.as_str(),
        clash.as_str(),
        "rlimits/rss:1: Invalid limit: '1G' has the unknown suffix 'G' (",
        "cflags:2: Unknown flag 'virt_memm' (did you mean 'virt_mem'?)",
        "fstab:2: the target '/srv/data' leads out of the guest's tree: ",
    ];
    let told = |expected: &[&str]| {
        for verb in ["check", "start"] {
            let ran = guest.v(&[verb]);
            ran.exits(1);
            for fault in expected {
                ran.says(&format!("{}/{fault}", guest.cfg.display()));
            }
        }
    };
    told(&expected);
    // A tree that is not there has no links.
    fs::remove_dir_all(&guest.root).unwrap();
    expected[4] = "vdir: it leads to '";
    told(&expected);
    assert!(!ran_before.exists() && !guest.is_running(), "nothing of it was done");
}

/// Each of these alone forbids the start; whoever meets one hears of the others.
fn a_refusal_tells_the_other_faults() {
    let host = Fixture::new();
    let (guest, other) = (host.guest(), host.guest());
    other.start();
    guest.set("context", &format!("{}\n", other.xid)).set("apps/init/depends", "nobody\n");
    std::os::unix::fs::symlink("/outside/of/it", guest.root.join("srv")).unwrap();
    guest.set("fstab", "none /srv tmpfs defaults 0 0\n");
    let others = ["fstab:1: the target '/srv' leads out", "apps/init/depends:1: there is no guest 'nobody'"];
    clear(&guest.v(&["start"]), 1, &[&others[..], &["context:1:"]].concat());
    fs::remove_file(guest.cfg.join("fstab")).unwrap();
    clear(&guest.v(&["start"]), 1, &[&format!("context {}", other.xid), others[1]]);
    fs::remove_file(guest.root.join("sbin/init")).unwrap();
    guest.set("context", &format!("{}\n", guest.xid));
    clear(&guest.v(&["start"]), 1, &["/sbin/init", others[1]]);
    // A need that nobody has does not keep a guest from an explicit start.
    guest.set("apps/init/cmd.start", "/bin/init\n");
    assert_eq!(guest.v(&["check"]).code, 1);
    guest.start();
}

fn full_disk_during_build() {
    let host = Fixture::new();
    let trees = host.trees();
    let small = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(&trees).status().unwrap();
    assert!(small.success());
    let source = host.scratch("root");
    crate::tree::busybox(&source.join("tree"));
    let file = source.join("t.tar");
    let tar = Command::new("tar").arg("-cf").arg(&file).arg("-C").arg(source.join("tree")).arg(".").status().unwrap();
    assert!(tar.success());
    let (name, xid) = host.fresh();
    let xid = xid.to_string();
    let ran = host.v(&[&name, "build", "-m", "template", "--context", &xid, "--", "-t", file.to_str().unwrap()]);
    let empty = fs::read_dir(&trees).unwrap().count() == 0;
    let configured = host.confdir().join(&name).exists();
    nix::mount::umount(&trees).unwrap();
    clear(&ran, 1, &["is full"]);
    assert!(empty && !configured, "a failed build leaves nothing");
}

/// ramfs has no idmapped mounts on any kernel.
fn tree_without_idmapped_mounts() {
    let host = Fixture::new();
    let guest = host.guest();
    let away = guest.root.with_extension("away");
    fs::rename(&guest.root, &away).unwrap();
    fs::create_dir(&guest.root).unwrap();
    assert!(Command::new("mount").args(["-t", "ramfs", "none"]).arg(&guest.root).status().unwrap().success());
    assert!(Command::new("cp").arg("-a").arg(away.join(".")).arg(&guest.root).status().unwrap().success());
    let ran = guest.v(&["start"]);
    let running = guest.is_running();
    if running {
        guest.stop();
    }
    nix::mount::umount(&guest.root).unwrap();
    clear(&ran, 1, &["userns", "idmapped"]);
    assert!(!running);
}

/// compat/commands.md §4
fn build_over_something() {
    let host = Fixture::new();
    let guest = host.guest();
    let before = fs::read_to_string(guest.root.join("etc/inittab")).unwrap();
    let ran = host.v(&[guest.name.as_str(), "build", "-m", "skeleton"]);
    clear(&ran, 1, &["exist already; please", "--force"]);
    assert_eq!(fs::read_to_string(guest.root.join("etc/inittab")).unwrap(), before);
    let none = host.v(&[guest.name.as_str(), "build"]);
    clear(&none, 1, &["No build-method specified"]);
    clear(&host.v(&[guest.name.as_str(), "build", "-m", "magic"]), 1, &["Unknown build-method 'magic'"]);
}

fn missing_tree() {
    let host = Fixture::new();
    let guest = host.guest();
    fs::remove_dir_all(&guest.root).unwrap();
    clear(&guest.v(&["start"]), 1, &[&guest.name]);
    assert!(!guest.is_running());
}
