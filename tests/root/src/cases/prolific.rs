//! Guests inside of a guest: `cflags` `prolific`.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use crate::fixture::{Fixture, Guest, Ran, eventually, program};
use crate::leak;
use crate::tree;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("prolific::a_guest_inside_of_a_guest", a_guest_inside_of_a_guest),
        Trial::new("prolific::the_inner_guest_is_apart", the_inner_guest_is_apart),
        Trial::new("prolific::the_outer_guest_takes_the_inner_along", the_outer_guest_takes_the_inner_along),
        Trial::new("prolific::limits_hold_or_are_told", limits_hold_or_are_told),
        Trial::new("prolific::what_cannot_be_is_told", what_cannot_be_is_told),
        Trial::new("prolific::without_the_flag_there_is_none", without_the_flag_there_is_none),
        Trial::new("prolific::the_door_is_for_root_alone", the_door_is_for_root_alone),
    ]
}

/// `exec` hands over the caller's environment, which names the test's own configuration.
const ENVIRONMENT: [&str; 3] = ["/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"];

/// A guest that has our programs, and a configured guest `inner` in its tree.
fn outer<'f>(host: &'f Fixture, style: &str, cflags: &str) -> Guest<'f> {
    let outer = host.guest_of_style(style);
    outer.set("cflags", cflags);
    let sbin = outer.root.join("usr/sbin");
    for name in ["vserver", "vserver-supervisor", "vserver-view"] {
        fs::copy(program(name), sbin.join(name)).unwrap();
    }
    symlink("vserver", sbin.join("vserver-stat")).unwrap();
    tree::busybox(&outer.root.join("vservers/inner"));
    for (file, content) in
        [("name", "inner\n"), ("context", "77\n"), ("uts/nodename", "inside.test\n"), ("apps/init/style", "plain\n")]
    {
        set(&outer, file, content);
    }
    symlink("/vservers/inner", outer.root.join("etc/vservers/inner/vdir")).unwrap();
    symlink("/var/run/vservers/inner", outer.root.join("etc/vservers/inner/run")).unwrap();
    outer
}

/// Writes one file of the inner guest's configuration.
fn set(outer: &Guest<'_>, file: &str, content: &str) {
    tree::write(&outer.root.join("etc/vservers/inner"), file, content, 0o644);
}

/// One of our programs, in the outer guest.
fn tool(outer: &Guest<'_>, arguments: &[&str]) -> Ran {
    outer.exec(&[&ENVIRONMENT[..], arguments].concat())
}

/// `vserver inner …` there.
fn v(outer: &Guest<'_>, arguments: &[&str]) -> Ran {
    tool(outer, &[&["vserver", "inner"], arguments].concat())
}

/// Runs a line of shell in the inner guest.
fn inside(outer: &Guest<'_>, script: &str) -> Ran {
    v(outer, &["exec", "/bin/sh", "-c", script])
}

/// What the outer guest has besides its files: mounts, cgroups, and processes but for those that look. Where controllers are
/// handed down its own processes go to a cgroup aside, and stay there.
fn traces(outer: &Guest<'_>) -> String {
    let script = "cat /proc/mounts; find /sys/fs/cgroup -mindepth 1 -type d | grep -v /vserver.around
        ps -o comm | grep -E 'memfd|vserver|init|sleep'";
    outer.sh(script).out.clone()
}

fn a_guest_inside_of_a_guest() {
    let host = Fixture::new();
    let outer = outer(&host, "plain", "prolific\n");
    outer.v(&["start"]).ok().says("cflags prolific is only partly enforced");
    set(&outer, "fstab", "none /tmp tmpfs size=1m 0 0\n/var/log /root none bind,ro 0 0\n");
    set(&outer, "scripts/post-start", "#!/bin/sh\necho \"$2 $1\" >/var/log/script\n");
    outer.sh("chmod 755 /etc/vservers/inner/scripts/post-start").ok();
    let before = traces(&outer);
    v(&outer, &["start"]).ok().says("devices is not enforced").says("addresses is not enforced");
    v(&outer, &["status"]).ok().says("Vserver 'inner' is running at context '77'");
    let ran = inside(&outer, "echo $(hostname) $(cat /proc/1/comm) $(ls /); echo x >/var/written");
    assert!(ran.ok().out.starts_with("inside.test init bin dev etc"), "{}", ran.out);
    assert!(!ran.out.contains("vservers"), "another root: {}", ran.out);
    outer.sh("grep x /vservers/inner/var/written").ok();
    outer.sh("grep inner /var/log/script").ok();
    inside(&outer, "grep inner /root/script && grep ' /tmp tmpfs' /proc/mounts && ! touch /root/x").ok();
    // Everybody counts right: the outer guest its two, the host all of them as the outer's.
    tool(&outer, &["vserver-stat"]).ok().says("inner");
    let stat = host.tool("vserver-stat", &[] as &[&str]);
    assert!(!stat.ok().out.contains("inner"), "{}", stat.out);
    let count = |line: &str| line.split_whitespace().nth(1).and_then(|count| count.parse::<u32>().ok());
    let all = stat.out.lines().find(|line| line.contains(&outer.name)).and_then(count).unwrap();
    assert!(all >= 6, "two inits, two sleeps, a supervisor and its keeper: {}", stat.out);
    v(&outer, &["stop"]).ok();
    eventually("nothing is left inside", Duration::from_secs(5), || traces(&outer) == before);
    outer.sh("test ! -e /run/vserver/inner && test ! -e /run/vservers/inner").ok();
    v(&outer, &["start"]).ok();
    v(&outer, &["restart"]).ok();
    v(&outer, &["stop", "--kill"]).ok();
    eventually("nothing is left again", Duration::from_secs(5), || traces(&outer) == before);
}

fn the_inner_guest_is_apart() {
    let host = Fixture::new();
    let outer = outer(&host, "plain", "prolific\n");
    outer.start();
    v(&outer, &["start"]).ok();
    outer.sh("sleep 4242 >/dev/null 2>&1 </dev/null &").ok();
    let seen = inside(&outer, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
    assert!(!seen.ok().out.contains("4242") && !seen.out.contains("vserver-"), "{}", seen.out);
    // No door of its own, the masks of every guest, and none can be taken off; devices are those of the outer one.
    inside(&outer, "test ! -e /dev/.vserver && test ! -s /proc/interrupts && test ! -s /proc/cmdline").ok();
    for refused in [
        "umount /proc/interrupts",
        "umount /proc",
        "mount -t proc proc /tmp",
        "mount -t tmpfs none /tmp",
        "unshare -m true",
        "mknod /tmp/null c 1 3",
        "echo x >/proc/sys/kernel/core_pattern",
        "hostname another",
        "chroot /proc/1/root/.. ls /vservers",
    ] {
        assert_ne!(inside(&outer, refused).code, 0, "{refused}");
    }
    inside(&outer, "echo x >/dev/null && head -c 4 /dev/urandom >/tmp/random && test -s /tmp/random").ok();
    v(&outer, &["stop"]).ok();
}

fn the_outer_guest_takes_the_inner_along() {
    let host = Fixture::new();
    for style in ["plain", "sysv"] {
        let outer = outer(&host, style, "prolific\n");
        for kill in [&["stop"][..], &["stop", "--kill"]] {
            outer.start();
            v(&outer, &["start"]).ok();
            inside(&outer, "sleep 4243 >/dev/null 2>&1 </dev/null &").ok();
            // The rest is the warden's to see.
            outer.v(kill).ok();
            assert!(leak::cgroups_of(&outer.name).is_empty());
            // What the inner guest's state says is of its last life, and no trouble to the next one.
            outer.start();
            v(&outer, &["start"]).ok();
            outer.stop();
        }
    }
}

/// Where the outer guest has the controllers on v2, they are handed down; else it is told that nothing limits.
fn limits_hold_or_are_told() {
    let host = Fixture::new();
    let outer = outer(&host, "plain", "prolific\n");
    set(&outer, "rlimits/nproc.hard", "12\n");
    outer.start();
    let started = v(&outer, &["start"]);
    if outer.sh("grep -qw pids /sys/fs/cgroup/cgroup.controllers").code == 0 {
        assert_eq!(outer.sh("cat /sys/fs/cgroup/vserver/inner/pids.max").ok().out, "12\n");
        let forks = inside(&outer, "i=0; while [ $i -lt 20 ]; do sleep 9 & i=$((i+1)); done; wait");
        assert_ne!(forks.code, 0, "{forks:?}");
    } else {
        started.ok().says("process limit is not enforced");
    }
    v(&outer, &["stop"]).ok();
}

fn what_cannot_be_is_told() {
    let host = Fixture::new();
    let outer = outer(&host, "plain", "prolific\n");
    outer.start();
    v(&outer, &["start", "--strict"]).says("addresses is not enforced");
    assert_ne!(v(&outer, &["running"]).code, 0);
    set(&outer, "spaces/net", "");
    let refused = v(&outer, &["start"]);
    refused.says("inside of another guest it cannot have a network stack of its own");
    assert_ne!(refused.code, 0);
    v(&outer, &["check"]).says("network stack of its own");
    fs::remove_file(outer.root.join("etc/vservers/inner/spaces/net")).unwrap();
    set(&outer, "interfaces/0/ip", "192.0.2.7\n");
    set(&outer, "interfaces/0/dev", "lo\n");
    set(&outer, "cflags", "fork_rss\nprolific\n");
    set(&outer, "apps/vdevmap/a/device", "/dev/full\n");
    set(&outer, "sysctl/0/setting", "kernel.shmmni\n");
    set(&outer, "sysctl/0/value", "99\n");
    let started = v(&outer, &["start"]);
    started.ok().says("cflags fork_rss is not enforced").says("cflags prolific is not enforced");
    started.says("apps/vdevmap is not enforced");
    assert_eq!(inside(&outer, "cat /proc/sys/kernel/shmmni").out, "99\n");
    v(&outer, &["stop"]).ok();
    // A tree that is built there has no device nodes.
    tool(&outer, &["vserver", "bare", "build", "-m", "skeleton"]).ok().says("no device nodes were made");
    outer.sh("test -L /vservers/bare/dev/fd && test ! -e /vservers/bare/dev/null").ok();
}

fn without_the_flag_there_is_none() {
    let host = Fixture::new();
    let outer = outer(&host, "plain", "");
    outer.start();
    let refused = v(&outer, &["start"]);
    refused.says("guest 'inner' cannot be started: this is a guest, or another container, that may make no guests");
    assert_ne!(refused.code, 0);
    v(&outer, &["check"]).says("prolific");
    outer.stop();
    // Its root would be the host's.
    outer.set("cflags", "prolific\n").set("userns", "off\n");
    outer.v(&["start"]).ok().says("cflags prolific is not enforced: without a user namespace");
    outer.sh("test ! -e /dev/.vserver").ok();
    assert_ne!(v(&outer, &["start"]).code, 0);
}

/// The procfs without masks that lets the kernel make others.
fn the_door_is_for_root_alone() {
    let host = Fixture::new();
    let outer = outer(&host, "plain", "prolific\n");
    outer.start();
    outer.sh("test -e /dev/.vserver/proc/self").ok();
    assert_ne!(outer.v(&["suexec", "ada", "ls", "/dev/.vserver"]).code, 0);
    for refused in [
        "umount /proc/interrupts",
        "umount /dev/.vserver/proc",
        "echo x >/dev/.vserver/proc/sys/kernel/core_pattern",
        "echo b >/dev/.vserver/proc/sysrq-trigger",
        "head -c 1 /dev/.vserver/proc/kcore",
        "chmod 666 /dev/.vserver/proc/kcore",
        "echo 1 >/dev/.vserver/proc/irq/default_smp_affinity",
    ] {
        assert_ne!(outer.sh(refused).code, 0, "{refused}");
    }
    // It shows the guest's own processes.
    let (own, door) = (outer.sh("cat /proc/1/comm"), outer.sh("cat /dev/.vserver/proc/1/comm"));
    assert_eq!(own.ok().out, door.ok().out);
}
