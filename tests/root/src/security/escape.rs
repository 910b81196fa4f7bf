//! E01–E14: leaving the file tree or the namespaces.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::bench::{BOTH, Mode, guest};
use crate::fixture::{Fixture, Guest, eventually};
use crate::trial::Trial;

/// Every row.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("security::e01_double_chroot", double_chroot).smoke(),
        Trial::new("security::e02_no_way_up", || each(&[("dotdot", &["HELD"])])),
        Trial::new("security::e03_file_handles", file_handles).smoke(),
        Trial::new("security::e04_inherited_descriptors", inherited_descriptors).smoke(),
        Trial::new("security::e05_descriptors_between_guests", abstract_sockets),
        Trial::new("security::e06_dev_replaced_by_links", replaced_dev).smoke(),
        Trial::new("security::e07_proc_replaced_by_a_link", replaced_proc),
        Trial::new("security::e08_mount_target_is_a_link", mount_target_is_a_link),
        Trial::new("security::e09_no_propagation", no_propagation),
        Trial::new("security::e10_masks_cannot_be_undone", || {
            each(&[("remount_proc_sys", &["EPERM"]), ("umount_mask", &["EPERM"]), ("mount_proc", &["EPERM"])]);
        }),
        Trial::new("security::e11_no_nested_user_namespace", || {
            let rows: [(&str, &[&str]); 4] = [
                ("unshare_user", &["EPERM"]),
                ("clone_user", &["EPERM"]),
                ("clone3_user", &["ENOSYS"]),
                ("setns_bad", &["EPERM"]),
            ];
            each(&rows);
        }),
        Trial::new("security::e12_cgroups", cgroups),
        Trial::new("security::e13_device_nodes", device_nodes).smoke(),
        Trial::new("security::e14_foreign_processes", foreign_processes).smoke(),
    ]
}

/// Runs a check of the probe in both modes.
fn each(rows: &[(&str, &[&str])]) {
    each_in(&Fixture::new(), rows);
}

fn each_in(host: &Fixture, rows: &[(&str, &[&str])]) {
    for mode in BOTH {
        let guest = guest(host, mode);
        guest.start();
        for (check, right) in rows {
            let answer = guest.exec(&["/probe", check]).ok().out.trim().to_owned();
            assert!(right.contains(&answer.as_str()), "{mode:?} {check}: {answer}");
        }
    }
}

fn double_chroot() {
    let host = Fixture::new();
    let canary = host.scratch("canary").join("file");
    fs::write(&canary, "only the host may read this").unwrap();
    for mode in BOTH {
        let guest = guest(&host, mode);
        guest.start();
        let answer = guest.exec(&["/probe", "dblchroot", canary.to_str().unwrap()]).out;
        assert_eq!(answer.trim(), "HELD", "{mode:?}");
    }
}

/// Also with the capability that the call asks for.
fn file_handles() {
    let host = Fixture::new();
    for mode in BOTH {
        for caps in ["", "DAC_READ_SEARCH\n"] {
            let guest = guest(&host, mode);
            if !caps.is_empty() {
                guest.set("bcapabilities", caps);
            }
            guest.start();
            assert_eq!(guest.exec(&["/probe", "handle_root"]).out.trim(), "EPERM", "{mode:?} {caps:?}");
        }
    }
}

/// The caller has directories of the host open, also as its standard input: none of them arrives.
fn inherited_descriptors() {
    let host = Fixture::new();
    for mode in BOTH {
        let guest = guest(&host, mode);
        let vserver = host.command("vserver").get_program().to_string_lossy().into_owned();
        let confdir = host.confdir();
        let run = |what: &str| {
            let line = format!("exec 5</ 6</etc 7</root; exec {vserver} --confdir {} {what} </", confdir.display());
            let output = Command::new("sh").args(["-c", &line]).stderr(Stdio::inherit()).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        run(&format!("{} start", guest.name));
        let fds = run(&format!("{} exec /probe fds", guest.name));
        let numbers: Vec<_> = fds.lines().filter_map(|fd| fd.split(' ').next()).collect();
        assert_eq!(numbers, ["0", "1", "2"], "{mode:?} {fds}");
        assert!(fds.lines().all(|fd| fd.contains("pipe:") || fd.contains("/dev/null")), "{mode:?} {fds}");
        assert_eq!(guest.sh("pwd -P").out.trim(), "/");
        let init = fs::read_dir(format!("/proc/{}/fd", guest.init())).unwrap().flatten();
        for fd in init.filter_map(|fd| fs::read_link(fd.path()).ok()) {
            let text = fd.to_string_lossy().into_owned();
            assert!(!["/", "/etc", "/root"].contains(&text.as_str()), "{mode:?} init holds {text}");
        }
    }
}

/// Two guests on the host's network meet at an abstract socket only where the kernel has no Landlock scopes, and then
/// that is said at start.
fn abstract_sockets() {
    let host = Fixture::new();
    let (one, two) = (guest(&host, Mode::User), guest(&host, Mode::User));
    let started = one.v(&["start"]);
    two.start();
    let name = format!("escape-{}", std::process::id());
    let mut listener = host.command("vserver");
    let mut child = listener.args([&one.name, "exec", "/probe", "abstract_listen", &name, "300"]).spawn().unwrap();
    let connect = |guest: &Guest<'_>| guest.exec(&["/probe", "abstract_connect", &name]).out.trim().to_owned();
    eventually("within a guest it works", Duration::from_secs(10), || connect(&one) == "OK");
    let answer = connect(&two);
    let _ = child.kill();
    let _ = child.wait();
    let scoped = !started.err.contains("abstract unix sockets");
    assert_eq!(answer, if scoped { "EPERM" } else { "OK" }, "{}", started.err);
}

/// A tree whose `/dev` is a link out: a clean refusal, and nothing there is touched.
fn replaced_dev() {
    let host = Fixture::new();
    let outside = host.scratch("outside");
    for mode in BOTH {
        let guest = guest(&host, mode);
        let _ = fs::remove_dir_all(guest.root.join("dev"));
        symlink(&outside, guest.root.join("dev")).unwrap();
        refused(&guest);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{mode:?}");
    }
    // Links below /dev are never looked at: the guest gets a /dev of our own.
    let below = guest(&host, Mode::User);
    let _ = fs::remove_dir_all(below.root.join("dev"));
    fs::create_dir(below.root.join("dev")).unwrap();
    symlink("/proc/sysrq-trigger", below.root.join("dev/null")).unwrap();
    symlink(&outside, below.root.join("dev/pts")).unwrap();
    below.start();
    below.sh("echo x > /dev/null && test -c /dev/null && test -c /dev/console && test -e /dev/pts/ptmx").ok();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

fn replaced_proc() {
    let host = Fixture::new();
    for mode in BOTH {
        let guest = guest(&host, mode);
        let _ = fs::remove_dir_all(guest.root.join("proc"));
        fs::create_dir_all(guest.root.join("tmp/fake/self")).unwrap();
        symlink("tmp/fake", guest.root.join("proc")).unwrap();
        refused(&guest);
    }
}

fn mount_target_is_a_link() {
    let host = Fixture::new();
    let outside = host.scratch("outside");
    let guest = guest(&host, Mode::User);
    fs::create_dir_all(guest.root.join("vol")).unwrap();
    symlink(&outside, guest.root.join("vol/a")).unwrap();
    guest.set("fstab", "none /vol/a tmpfs size=1m 0 0\n");
    refused(&guest);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

fn refused(guest: &Guest<'_>) {
    let ran = guest.v(&["start"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains(guest.name.as_str()) && ran.err.contains("symbolic link"), "{}", ran.err);
    assert!(!guest.is_running());
}

/// A mount of the host made after the start is not seen inside, and the guest holds none of the host's mounts.
fn no_propagation() {
    let host = Fixture::new();
    let guest = guest(&host, Mode::User);
    guest.start();
    let place = guest.root.join("tmp/late");
    fs::create_dir_all(&place).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&place).status().unwrap();
    assert!(mounted.success());
    let inside = guest.sh("grep -c ' /tmp/late ' /proc/self/mounts");
    let unmounted = Command::new("umount").arg(&place).status().unwrap();
    assert_eq!(inside.out.trim(), "0");
    assert!(unmounted.success(), "the guest keeps the host's mount busy");
    let mounts = guest.sh("cat /proc/self/mountinfo").out;
    assert!(!mounts.contains("/sys/fs/cgroup/memory"), "{mounts}");
}

/// Nothing of the control groups above its own can be written, and its limits stay.
fn cgroups() {
    let host = Fixture::new();
    each_in(&host, &[("cgroup_mount", &["EPERM"]), ("cgroup2_mount", &["EPERM"]), ("release_agent", &["HELD"])]);
    for mode in BOTH {
        let guest = guest(&host, mode);
        guest.set("rlimits/nproc", "60\n").start();
        guest.sh(
            "for f in /sys/fs/cgroup/*.max /sys/fs/cgroup/cgroup.freeze /sys/fs/cgroup/cgroup.kill; do echo 1 > $f; done; \
             echo $$ > /sys/fs/cgroup/../cgroup.procs",
        );
        assert!(guest.is_running(), "{mode:?}");
        let limit = fs::read_to_string(guest.cgroup("pids").join("pids.max")).unwrap();
        assert_eq!(limit.trim(), "60", "{mode:?}");
        let inside = fs::read_to_string(format!("/proc/{}/cgroup", guest.init())).unwrap();
        assert!(
            inside.lines().any(|line| line.starts_with("0::/") && line.contains(&format!("{}/guest", guest.name)))
        );
    }
}

/// Two layers: nodes in the tree are dead, and the device program refuses what is not listed.
fn device_nodes() {
    let rows: [(&str, &[&str]); 4] = [
        ("mknod_block", &["EPERM"]),
        ("mknod_mem", &["EPERM"]),
        ("open_disks", &["HELD"]),
        ("mount_block", &["EPERM"]),
    ];
    let host = Fixture::new();
    each_in(&host, &rows);
    for mode in BOTH {
        let guest = guest(&host, mode);
        let node = guest.root.join("memory");
        let made = Command::new("mknod").arg(&node).args(["c", "1", "5"]).status().unwrap();
        assert!(made.success());
        guest.start();
        let answer = guest.exec(&["/probe", "open", "/memory"]).out;
        assert!(["EACCES", "EPERM"].contains(&answer.trim()), "{mode:?} a node in the tree opened: {answer}");
        guest.sh("echo > /dev/null && head -c 1 /dev/urandom > /dev/null").ok();
    }
}

fn foreign_processes() {
    let host = Fixture::new();
    each_in(&host, &[("kill_scan", &["HELD"]), ("magic_links", &["HELD"])]);
    let guest = guest(&host, Mode::User);
    guest.start();
    let own = std::process::id();
    assert_ne!(guest.sh(&format!("kill -0 {own}")).code, 0, "the test itself can be seen from inside");
    let seen: usize = guest.sh("ls -d /proc/[0-9]* | wc -l").out.trim().parse().unwrap();
    assert!(seen < 10, "{seen} processes are seen inside");
}
