//! Capabilities, namespaces and limits one by one, in tables: what a guest that has it can do, and one that lacks it cannot.
//! `flags.md` §2, §3, §7, §8.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::{Child, Stdio};
use std::time::Duration;

use vserver_types::{CapSet, Capability};

use crate::fixture::{Fixture, Guest, eventually};
use crate::security::bench::{self, Mode};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("each::bcapability_and_its_lack", bcapability_and_its_lack),
        Trial::new("each::bcapability_has_its_bit", bcapability_has_its_bit),
        Trial::new("each::namespace_of_umask", namespace_of_umask),
        Trial::new("each::hard_limits_and_who_raises_them", hard_limits_and_who_raises_them),
        Trial::new("each::state_flags_are_of_the_start_only", state_flags_are_of_the_start_only),
    ]
}

/// Capability, mode, what else is taken away, and what only its owner can do. Of the rest (LEASE, AUDIT_WRITE …) only the bit
/// is looked at; `flags::bcapabilities_are_a_list_of_changes` has SETUID and SETGID.
const DEEDS: [(&str, Mode, &str, &str); 12] = [
    ("CHOWN", Mode::User, "", "chown 1000 /deeds/own"),
    ("DAC_OVERRIDE", Mode::User, "", "echo >/deeds/theirs"),
    ("DAC_READ_SEARCH", Mode::User, "~DAC_OVERRIDE", "cat /deeds/theirs"),
    ("FOWNER", Mode::User, "", "chmod 600 /deeds/theirs"),
    ("FSETID", Mode::User, "", "chmod 2755 /deeds/other-group && test -g /deeds/other-group"),
    ("KILL", Mode::User, "", "kill -0 $(cat /deeds/pid)"),
    ("SYS_PTRACE", Mode::User, "", "/probe ptrace_pid $(cat /deeds/pid) | grep -q OK"),
    ("SYS_CHROOT", Mode::User, "", "chroot / true"),
    ("SETFCAP", Mode::User, "", "/probe file_capability | grep -q OK"),
    ("SYS_BOOT", Mode::User, "", "/probe reboot_badmagic | grep -q EINVAL"),
    ("NET_BIND_SERVICE", Mode::Classic, "", "/probe bind 127.9.60.1 80 | grep -q OK"),
    ("SYS_NICE", Mode::Classic, "", "renice -n -5 -p $$"),
];

fn bcapability_and_its_lack() {
    let host = Fixture::new();
    for (capability, mode, beside, deed) in DEEDS {
        for (sign, can) in [("", true), ("~", false)] {
            let guest = bench::guest(&host, mode);
            guest.address(0, "127.9.60.1", 8).set("bcapabilities", &format!("{sign}{capability}\n{beside}\n"));
            prepare(&guest);
            guest.start();
            let mut sleeper = sleeper(&guest);
            let ran = guest.sh(deed);
            assert_eq!(ran.code == 0, can, "{sign}{capability}: {deed}: {ran:?}");
            sleeper.kill().unwrap();
            sleeper.wait().unwrap();
            guest.stop();
        }
    }
}

/// Files of root's and of another user's, and a place where everybody may write.
fn prepare(guest: &Guest<'_>) {
    let dir = guest.root.join("deeds");
    fs::create_dir(&dir).unwrap();
    let files = [("", 0, 0o1777), ("own", 0, 0o644), ("theirs", 1000, 0o400), ("other-group", 0, 0o755)];
    for (name, uid, mode) in files {
        let path = dir.join(name);
        if !name.is_empty() {
            fs::write(&path, "x\n").unwrap();
        }
        let gid = if name == "other-group" { 1000 } else { uid };
        chown(&path, Some(uid), Some(gid)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// A process of another user's inside, whose pid is in `/deeds/pid`.
fn sleeper(guest: &Guest<'_>) -> Child {
    let mut command = guest.host_command(&["suexec", "1000", "sh", "-c", "echo $$ >/deeds/pid; exec sleep 60"]);
    let sleeper = command.stdin(Stdio::null()).spawn().unwrap();
    eventually("somebody else sleeps inside", Duration::from_secs(20), || {
        guest.sh("grep -q sleep /proc/$(cat /deeds/pid)/comm").code == 0
    });
    sleeper
}

/// All names in two guests: each has its half and nothing of the other.
fn bcapability_has_its_bit() {
    // Of a classic guest: with any of these its root would be the host's, or the clock its own.
    const NEVER: [Capability; 4] =
        [Capability::SYS_MODULE, Capability::SYS_RAWIO, Capability::SYS_ADMIN, Capability::SYS_TIME];
    let never = NEVER.iter().fold(0, |bits, capability| bits | 1 << capability.0);
    let host = Fixture::new();
    let held = status(&fs::read_to_string("/proc/self/status").unwrap(), "CapBnd");
    for half in [0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa_u64] {
        let wanted = CapSet::ALL.0 & half;
        let guest = bench::guest(&host, Mode::Classic);
        guest.set("bcapabilities", &format!("~all\n{}\n", CapSet(wanted)));
        guest.start();
        let text = guest.sh("cat /proc/self/status").ok().out.clone();
        // What the host's root lacks itself it cannot give.
        assert_eq!(status(&text, "CapBnd"), wanted & !never & held, "{text}");
        guest.stop();
    }
}

fn status(text: &str, key: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
    u64::from_str_radix(value.trim(), 16).unwrap()
}

/// Each name of `umask` allows its own kind of namespace and no other; `fs` is nobody's to refuse. clone(2) gives the numbers.
fn namespace_of_umask() {
    const SPACES: [(&str, u32); 8] = [
        ("newns", 0x0002_0000),
        ("newuts", 0x0400_0000),
        ("newipc", 0x0800_0000),
        ("newuser", 0x1000_0000),
        ("newpid", 0x2000_0000),
        ("newnet", 0x4000_0000),
        ("newcgroup", 0x0200_0000),
        ("newtime", 0x80),
    ];
    const FS: u32 = 0x200;
    let host = Fixture::new();
    for (name, own) in SPACES {
        let guest = bench::guest(&host, Mode::User);
        guest.set("umask", &format!("{name}\n")).start();
        let asked = |flag: u32| format!("/probe unshare {flag}; ");
        let script: String = SPACES.iter().map(|(_, flag)| asked(*flag)).chain([asked(FS)]).collect();
        let answers = guest.sh(&script).ok().out.clone();
        let expected = SPACES.iter().map(|(_, flag)| if *flag == own { "OK" } else { "EPERM" }).chain(["OK"]);
        assert_eq!(answers.lines().collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{name}");
        guest.stop();
    }
}

/// `set_rlimit`: what has no file has no bound but the host's own; one that has a file is raised by the guest's root with the
/// flag, as far as `rlimits/` goes and the host has CAP_SYS_RESOURCE to use, and by nobody else. The capability stays out.
fn hard_limits_and_who_raises_them() {
    let host = Fixture::new();
    let free = bench::guest(&host, Mode::User);
    free.start();
    for flag in ["t", "f", "d", "s", "c", "v"] {
        assert_eq!(free.sh(&format!("ulimit -H{flag}")).ok().out.trim(), "unlimited", "ulimit -H{flag}");
    }
    let cases =
        [(Mode::User, ""), (Mode::User, "set_rlimit\n"), (Mode::Classic, ""), (Mode::Classic, "set_rlimit\n")];
    for (mode, ccaps) in cases {
        let guest = bench::guest(&host, mode);
        guest.set("ulimits/nofile", "100\n").set("rlimits/nofile", "1000\n").set("ccapabilities", ccaps).start();
        assert_eq!(guest.sh("ulimit -Hn").ok().out.trim(), "100");
        let held = |text: &str| status(text, "CapEff") & 1 << Capability::SYS_RESOURCE.0 != 0;
        assert!(!held(&guest.sh("cat /proc/self/status").ok().out));
        let can = held(&fs::read_to_string("/proc/self/status").unwrap()) && !ccaps.is_empty();
        let raised = guest.sh("ulimit -n 200 && ulimit -Hn");
        assert_eq!((raised.code == 0, raised.out.trim() == "200"), (can, can), "{mode:?} {ccaps} {raised:?}");
        // Its own only, by root only, and no further than all of them together.
        assert_ne!(guest.v(&["suexec", "1000", "sh", "-c", "ulimit -n 200"]).code, 0, "{mode:?} {ccaps}");
        assert_ne!(guest.sh("ulimit -n 1001").code, 0, "{mode:?} {ccaps}");
        assert_ne!(guest.sh("ulimit -r 50").code, 0, "priorities are the host's");
        // What raises nothing is the kernel's business, and what was is told.
        guest.sh("ulimit -n 50 && ulimit -n && ulimit -Hn").ok().says("50\n50\n");
        guest.stop();
    }
}

/// `state_setup` and `state_init` belong to the making of a context, `state_admin` to the host: a guest that begins with any of
/// them in its file runs as one without, and none is left.
fn state_flags_are_of_the_start_only() {
    let host = Fixture::new();
    let guest = bench::guest(&host, Mode::User);
    guest.set("cflags", "state_setup\nstate_init\nstate_admin\n").set("nflags", "state_setup\nstate_admin\n");
    guest.start();
    guest.sh("cat /proc/1/comm; hostname").ok().says("init");
    let said = host.tool("vattribute", &["--get", "--xid", &guest.name]).ok().out.clone();
    assert!(said.contains("hide_netif,state_admin,sc_helper"), "{said}");
    // Once only.
    for list in ["~state_admin,state_setup", "state_admin,state_init"] {
        host.tool("vattribute", &["--set", "--xid", &guest.name, "--flag", list]).ok();
    }
    let said = host.tool("vattribute", &["--get", "--xid", &guest.name]).ok().out.clone();
    assert!(said.contains("hide_netif,sc_helper"), "{said}");
}
