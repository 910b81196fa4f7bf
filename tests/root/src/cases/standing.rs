//! Settings that a guest's processes are born with: sysctl, badness, ionice, nice, uts, environment, personality.
//! compat/config-tree.md §5.2–5.4, §5.12.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::fixture::{Fixture, Guest};
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("standing::sysctl_of_the_guests_own_namespaces", sysctl_of_the_guests_own_namespaces).smoke(),
        Trial::new("standing::sysctl_faults", sysctl_faults),
        Trial::new("standing::badness_ionice_and_nice", badness_ionice_and_nice).needs(Need::Tool("ionice")),
        Trial::new("standing::oom_adjust", oom_adjust),
        Trial::new("standing::names", names),
        Trial::new("standing::environment_is_exactly_the_file", environment_is_exactly_the_file),
        Trial::new("standing::personality", personality),
    ]
}

fn sysctl(guest: &Guest<'_>, entry: &str, setting: &str, value: &str) {
    guest.set(&format!("sysctl/{entry}/setting"), &format!("{setting}\n"));
    guest.set(&format!("sysctl/{entry}/value"), value);
}

/// Applied inside; those that are not namespaced would change the host and are refused, which is said.
fn sysctl_of_the_guests_own_namespaces() {
    let host = Fixture::new();
    let before = fs::read_to_string("/proc/sys/kernel/msgmax").unwrap();
    for userns in ["auto", "off"] {
        let guest = host.guest();
        guest.set("userns", &format!("{userns}\n"));
        sysctl(&guest, "0", "kernel.msgmax", "12345\n");
        sysctl(&guest, "1", "fs/mqueue/msg_max", "17");
        sysctl(&guest, "2", "kernel.sem", "100 3200 32 128\n");
        sysctl(&guest, "3", "kernel.panic", "77\n");
        sysctl(&guest, "4", "net.ipv4.ip_forward", "1\n");
        guest.v(&["start"]).ok().says("sysctl kernel/panic is not enforced").says("sysctl net/ipv4/ip_forward");
        let inside = |name: &str| guest.sh(&format!("cat /proc/sys/{name}")).ok().out.clone();
        assert_eq!(inside("kernel/msgmax"), "12345\n", "userns {userns}");
        assert_eq!(inside("fs/mqueue/msg_max"), "17\n");
        assert_eq!(inside("kernel/sem").split_whitespace().collect::<Vec<_>>(), ["100", "3200", "32", "128"]);
        guest.stop();
    }
    assert_eq!(fs::read_to_string("/proc/sys/kernel/msgmax").unwrap(), before);
    assert_ne!(fs::read_to_string("/proc/sys/kernel/panic").unwrap(), "77\n");
}

/// Both files must be there, and a value that the kernel refuses undoes the start.
fn sysctl_faults() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("sysctl/0/setting", "kernel.msgmax\n");
    guest.v(&["start"]).exits(1).says("sysctl/0/value").says("does not exist");
    sysctl(&guest, "0", "../../etc/passwd", "x");
    guest.v(&["start"]).exits(1).says("sysctl/0/setting");
    sysctl(&guest, "0", "kernel.msgmax", "many\n");
    guest.v(&["start"]).exits(1).says("kernel/msgmax").says("many");
    assert!(!guest.is_running());
}

/// Also a negative bias and a negative nice level, with which a guest could not raise itself; also commands that are put
/// into it. The bias is clamped to what the kernel takes.
fn badness_ionice_and_nice() {
    let host = Fixture::new();
    let adjust = |guest: &Guest<'_>, pid: i32| {
        let _ = guest;
        fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().to_owned()
    };
    for (written, found) in [("500\n", "500"), ("-300\n", "-300"), ("99999999999\n", "1000")] {
        let guest = host.guest();
        let ran = guest.set("badness", written).v(&["start"]);
        if ran.ok().err.contains("badness is not enforced") {
            assert!(written.starts_with('-') && ran.err.contains("CAP_SYS_RESOURCE"), "{}", ran.err);
            guest.stop();
            continue;
        }
        assert_eq!(adjust(&guest, guest.init()), found);
        assert_eq!(guest.sh("cat /proc/self/oom_score_adj").ok().out.trim(), found);
        guest.stop();
    }
    let guest = host.guest();
    guest.set("ionice/class", "2\n").set("ionice/priority", "6\n").set("nice", "-5\n").start();
    let ionice = Command::new("ionice").args(["-p", &guest.init().to_string()]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ionice.stdout).trim(), "best-effort: prio 6");
    let nice = |what: &str| guest.sh(&format!("cut -d' ' -f19 /proc/{what}/stat")).ok().out.trim().to_owned();
    assert_eq!((nice("1"), nice("self")), ("-5".to_owned(), "-5".to_owned()));
}

/// flags.md §3: a process lowers its own bias, and without the flag none does. What it is born with stays what `badness` says.
fn oom_adjust() {
    let host = Fixture::new();
    let lower = "echo -1000 >/proc/self/oom_score_adj; cat /proc/self/oom_score_adj";
    for (userns, badness) in [("auto", Some("100")), ("off", Some("100")), ("auto", None)] {
        let guest = host.guest();
        guest.set("userns", &format!("{userns}\n"));
        if let Some(bias) = badness {
            guest.set("badness", &format!("{bias}\n"));
        }
        let born = || guest.sh("cat /proc/1/oom_score_adj /proc/self/oom_score_adj").ok().out.clone();
        guest.start();
        let usual = born();
        guest.sh(lower).says("Permission denied");
        guest.stop();
        guest.set("ccapabilities", "oom_adjust\n");
        let ran = guest.v(&["start"]);
        if ran.ok().err.contains("oom_adjust is not enforced") {
            assert!(ran.err.contains("CAP_SYS_RESOURCE"), "{}", ran.err);
            guest.sh(lower).says("Permission denied");
            guest.stop();
            continue;
        }
        assert_eq!(born(), usual, "{userns} {badness:?}");
        assert_eq!(guest.sh(lower).ok().out, "-1000\n");
        assert_eq!(guest.v(&["suexec", "ada", "sh", "-c", lower]).ok().out, "-1000\n");
        // What its first process starts may too.
        crate::tree::write(&guest.root, "etc/rc.start", &format!("#!/bin/sh\n({lower}) >/score 2>&1\n"), 0o755);
        guest.v(&["restart"]).ok();
        let score = || fs::read_to_string(guest.root.join("score")).unwrap_or_default();
        crate::fixture::eventually("its start has lowered itself", Duration::from_secs(10), || score() == "-1000\n");
        // Up and down again.
        let again = "for n in 500 -1000 0; do echo $n >/proc/self/oom_score_adj || exit 1; done";
        guest.sh(again).ok();
        guest.stop();
    }
}

/// Node and domain name are set, at most 64 bytes; the four others cannot be, which is said unless they are the host's.
fn names() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("uts/nodename", "node.example\n").set("uts/domainname", "nis.example\n");
    guest.set("uts/release", "2.6.22\n").set("uts/sysname", "Linux\n");
    let ran = guest.v(&["start"]);
    ran.ok().says("uts/release is not enforced");
    assert!(!ran.err.contains("uts/sysname"), "{}", ran.err);
    guest.sh("uname -n; cat /proc/sys/kernel/domainname").ok().says("node.example\nnis.example\n");
    guest.stop();
    fs::remove_file(guest.cfg.join("uts/release")).unwrap();
    let quiet = guest.set("uts/machine", "i686\n").v(&["start"]);
    assert!(!quiet.ok().err.contains("uts/"), "{}", quiet.err);
    guest.sh("uname -m").ok().says("i686");
    guest.stop();
    guest.set("uts/nodename", &"x".repeat(65));
    guest.v(&["start"]).exits(1).says("uts/nodename");
}

/// The whole environment of the first process: the guest's file replaces the host's, which replaces the default.
fn environment_is_exactly_the_file() {
    let host = Fixture::new();
    let guest = host.guest();
    let environment = || {
        let mut command = guest.host_command(&["start"]);
        assert!(command.env("SECRET", "of the caller").status().unwrap().success());
        let text = fs::read_to_string(format!("/proc/{}/environ", guest.init())).unwrap();
        let mut all: Vec<String> = text.split('\0').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
        guest.stop();
        all.retain(|pair| pair != "container=vserver");
        all
    };
    assert_eq!(environment(), ["PATH=/bin:/usr/bin:/sbin:/usr/sbin"]);
    crate::tree::write(&host.confdir(), ".defaults/apps/init/environment", "HOST=1\n", 0o644);
    assert_eq!(environment(), ["HOST=1"]);
    guest.set("apps/init/environment", "PATH=/sbin\nTWO=words here \n\nLAST=no newline");
    assert_eq!(environment(), ["PATH=/sbin", "TWO=words here ", "LAST=no newline"]);
}

/// The execution domain and its flags, also for commands that are put into the guest.
fn personality() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("personality", "linux32\n# comment\nADDR_NO_RANDOMIZE\n").start();
    assert_eq!(guest.sh("uname -m").ok().out.trim(), if cfg!(target_arch = "x86_64") { "i686" } else { "armv8l" });
    let found = fs::read_to_string(format!("/proc/{}/personality", guest.init())).unwrap();
    assert_eq!(u32::from_str_radix(found.trim(), 16).unwrap(), 0x0004_0008);
}
