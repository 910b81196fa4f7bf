//! AppArmor: the host's profiles end at the guest, but for the one that the administrator names for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fixture::{Fixture, Guest, eventually};
use crate::leak::POLICY;
use crate::needs::Need;
use crate::trial::Trial;

const SOON: Duration = Duration::from_secs(10);

/// All of them.
pub fn tests() -> Vec<Trial> {
    let with = |name, body| Trial::new(name, body).needs(Need::AppArmor).needs(Need::Tool("apparmor_parser"));
    vec![
        with("apparmor::a_guest_has_a_namespace_of_its_own", a_guest_has_a_namespace_of_its_own).smoke(),
        with("apparmor::profiles_of_the_host_do_not_reach_in", profiles_of_the_host_do_not_reach_in),
        with("apparmor::a_profile_of_the_host_holds_the_guest", a_profile_of_the_host_holds_the_guest),
        with("apparmor::nothing_leads_out", nothing_leads_out),
        with("apparmor::nothing_is_left_of_an_accident", nothing_is_left_of_an_accident),
        with("apparmor::an_unknown_profile_is_one_sentence", an_unknown_profile_is_one_sentence),
        with("apparmor::without_its_files_it_is_said", without_its_files_it_is_said),
        Trial::new("apparmor::a_host_without_it_says_so", a_host_without_it_says_so).needs(Need::NoAppArmor),
    ]
}

/// A loaded profile of the host's; unloaded at the end.
struct Profile(PathBuf);

impl Profile {
    /// Allows everything but what `rules` say. `head` is its name and, perhaps, the path that it attaches to.
    fn load(dir: &Path, head: &str, rules: &str) -> Self {
        let file = dir.join("profile");
        let all = "file, capability, network, signal, ptrace, unix, mount, umount, pivot_root,";
        fs::write(&file, format!("profile {head} flags=(attach_disconnected) {{ {all} {rules} }}\n")).unwrap();
        let profile = Self(file);
        assert!(profile.parser("-r"), "apparmor_parser refused {head}");
        profile
    }

    fn parser(&self, action: &str) -> bool {
        let mut parser = Command::new("apparmor_parser");
        parser.args([action, "-K", "-T"]).arg(&self.0).status().unwrap().success()
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.parser("-R");
    }
}

fn namespace(guest: &Guest<'_>) -> PathBuf {
    Path::new(POLICY).join("namespaces").join(format!("vserver-{}", guest.name))
}

/// As the host sees it.
fn label(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/attr/current")).unwrap().trim().to_owned()
}

/// A process in another namespace would see more of the label of process 1 than the name of its profile.
fn a_guest_has_a_namespace_of_its_own() {
    let host = Fixture::new();
    for (style, userns) in [("plain", "auto"), ("sysv", "auto"), ("plain", "off")] {
        let guest = host.guest_of_style(style);
        guest.set("userns", &format!("{userns}\n"));
        guest.v(&["plan"]).ok().says(&format!("vserver-{}", guest.name));
        guest.start();
        assert!(namespace(&guest).is_dir());
        assert_eq!(label(guest.init()), format!(":vserver-{}:unconfined", guest.name), "{style} {userns}");
        let both = "cat /proc/1/attr/current /proc/self/attr/current";
        assert_eq!(guest.sh(both).ok().out, "unconfined\nunconfined\n", "{style} {userns}");
        assert_eq!(guest.v(&["suexec", "ada", "sh", "-c", both]).ok().out, "unconfined\nunconfined\n");
        guest.v(&["restart"]).ok();
        assert_eq!(label(guest.init()), format!(":vserver-{}:unconfined", guest.name), "{style} {userns}");
        guest.stop();
        assert!(!namespace(&guest).exists());
    }
}

/// The profile attaches to a path that both have. That it would reach in is seen without a namespace.
fn profiles_of_the_host_do_not_reach_in() {
    let host = Fixture::new();
    let guest = host.guest();
    let dir = host.scratch("programs");
    let (program, forbidden) = (dir.join("busybox"), dir.join("forbidden"));
    let inside = guest.root.join(dir.strip_prefix("/").unwrap());
    fs::create_dir_all(&inside).unwrap();
    for place in [&dir, &inside] {
        fs::copy(guest.root.join("bin/busybox"), place.join("busybox")).unwrap();
    }
    let head = format!("{} {}", guest.name, program.display());
    let _profile = Profile::load(&dir, &head, &format!("deny {} w,", forbidden.display()));
    let script = format!("cat /proc/self/attr/current; echo touched >{}", forbidden.display());
    let on_host = Command::new(&program).args(["sh", "-c", &script]).output().unwrap();
    assert!(!on_host.status.success() && !forbidden.exists(), "{on_host:?}");
    let there = program.display().to_string();
    let run = || guest.exec(&[&there, "sh", "-c", &script]);
    guest.start();
    assert_eq!(run().ok().out, "unconfined\n");
    assert_eq!(fs::read_to_string(inside.join("forbidden")).unwrap(), "touched\n");
    guest.stop();
    guest.set("apparmor", "unconfined\n").start();
    assert!(!namespace(&guest).exists());
    assert_eq!(label(guest.init()), "unconfined");
    let held = run();
    assert!(held.code != 0 && held.out.starts_with(&guest.name), "{held:?}");
    guest.stop();
}

/// Its first process, what that starts, and commands that are put into it; of the guest's own file, and of the host's.
fn a_profile_of_the_host_holds_the_guest() {
    let host = Fixture::new();
    let guest = host.guest();
    let profile = Profile::load(&host.scratch("profile"), &guest.name, "deny /forbidden w, deny /root/** w,");
    tell_at_start(&guest, "echo of-init >/forbidden; echo of-init >/allowed");
    let defaults = host.confdir().join(".defaults/apparmor");
    for own in [true, false] {
        if own {
            guest.set("apparmor", &format!("{}\n", guest.name));
        } else {
            fs::remove_file(guest.cfg.join("apparmor")).unwrap();
            fs::write(&defaults, format!("{}\n", guest.name)).unwrap();
        }
        guest.start();
        assert_eq!(label(guest.init()), format!("{0}//&:vserver-{0}:unconfined (enforce)", guest.name));
        eventually("the guest's start has written", SOON, || guest.root.join("allowed").exists());
        assert!(!guest.root.join("forbidden").exists());
        guest.sh("echo x >/forbidden").says("Permission denied");
        guest.sh("echo x >/root/file").says("Permission denied");
        guest.sh("echo x >/tmp/file && cat /proc/self/attr/current").ok().says("unconfined");
        assert!(!guest.root.join("forbidden").exists());
        guest.stop();
        fs::remove_file(guest.root.join("allowed")).unwrap();
    }
    // The guest's own empty line wins over the host's file.
    guest.set("apparmor", "\n").start();
    guest.sh("echo x >/forbidden").ok();
    guest.stop();
    drop(profile);
}

fn tell_at_start(guest: &Guest<'_>, line: &str) {
    crate::tree::write(&guest.root, "etc/rc.start", &format!("#!/bin/sh\n{line}\n"), 0o755);
}

/// Whatever the guest's root asks for, it stays where it is; in the classic mode with every capability that one can give.
fn nothing_leads_out() {
    let host = Fixture::new();
    for userns in ["auto", "off"] {
        let (guest, other) = (host.guest(), host.guest());
        let _profile = Profile::load(&host.scratch(userns), &guest.name, "change_profile, deny /forbidden w,");
        guest.set("userns", &format!("{userns}\n")).set("apparmor", &format!("{}\n", guest.name));
        guest.set("bcapabilities", "MAC_ADMIN\nMAC_OVERRIDE\n");
        other.start();
        guest.start();
        let escapes = [
            "unconfined".to_owned(),
            ":root:unconfined".to_owned(),
            ":root//:unconfined".to_owned(),
            "::unconfined".to_owned(),
            format!(":vserver-{}:unconfined", other.name),
        ];
        for (file, word) in [("current", "changeprofile"), ("exec", "exec")] {
            for wanted in &escapes {
                let ask = format!("printf '{word} {wanted}' >/proc/self/attr/{file}");
                guest.sh(&format!("{ask}; sh -c 'echo x >/forbidden'")).says("Permission denied");
                assert!(!guest.root.join("forbidden").exists(), "{userns} {ask}");
            }
        }
        guest.stop();
        other.stop();
    }
}

/// Killed with its keeper, a guest is cleaned up by the next command; without its supervisor, by the keeper.
fn nothing_is_left_of_an_accident() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let init = guest.init();
    kill(Pid::from_raw(guest.supervisor()), Signal::SIGKILL).unwrap();
    eventually("its init is gone", SOON, || !Path::new(&format!("/proc/{init}/exe")).exists());
    assert!(namespace(&guest).exists(), "nobody is there to remove it");
    guest.v(&["stop"]).ok();
    assert!(!namespace(&guest).exists());
    // A start clears the way as well, and takes what a namespace of that name holds for a rest.
    fs::create_dir(namespace(&guest)).unwrap();
    guest.start();
    let init = guest.init();
    assert_eq!(label(init), format!(":vserver-{}:unconfined", guest.name));
    let supervisor = fs::read_to_string(format!("/proc/{init}/stat")).unwrap();
    let parent = supervisor.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap();
    kill(Pid::from_raw(parent), Signal::SIGKILL).unwrap();
    eventually("the keeper has cleaned up", SOON, || !namespace(&guest).exists());
    eventually("it is put away", SOON, || !guest.is_running());
    // A start that fails leaves none either.
    guest.set("apps/init/cmd.start", "/no/such/program\n");
    assert_ne!(guest.v(&["start"]).code, 0);
    guest.v(&["stop"]);
    assert!(!namespace(&guest).exists());
}

fn an_unknown_profile_is_one_sentence() {
    let host = Fixture::new();
    let guest = host.guest();
    let wanted = format!("{}-nobody", guest.name);
    guest.set("apparmor", &format!("{wanted}\n"));
    let sentence = format!("no profile '{wanted}' is loaded on this host");
    let ran = guest.v(&["start"]);
    ran.exits(1).says(&sentence).says("apparmor_parser -r");
    assert_eq!(ran.err.matches(&sentence).count(), 1, "{}", ran.err);
    assert!(!guest.is_running() && !namespace(&guest).exists());
    assert_ne!(guest.v(&["check"]).says(&sentence).code, 0);
    guest.set("apparmor", ":other:profile\n");
    guest.v(&["start"]).exits(1).says("names a namespace, not a profile of the host");
}

/// Without securityfs there is no namespace, and a profile alone still holds.
fn without_its_files_it_is_said() {
    let host = Fixture::new();
    let guest = host.guest();
    let profile = Profile::load(&host.scratch("profile"), &guest.name, "deny /forbidden w,");
    let over = |target: &str| mount(Some("none"), target, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    over("/sys/kernel/security");
    guest.v(&["start"]).ok().says("apparmor is not enforced").says("mount securityfs on /sys/kernel/security");
    assert_eq!(label(guest.init()), "unconfined");
    host.v(&["--json", &guest.name, "status"]).ok().says("securityfs");
    guest.stop();
    guest.v(&["start", "--strict"]).exits(1).says("securityfs");
    guest.set("apparmor", &format!("{}\n", guest.name));
    guest.v(&["start"]).ok().says("apparmor is only partly enforced");
    assert_eq!(label(guest.init()), format!("{} (enforce)", guest.name));
    guest.sh("echo x >/forbidden").says("Permission denied");
    guest.stop();
    guest.set("apparmor", "unconfined\n");
    assert!(!guest.v(&["start"]).ok().err.contains("apparmor"));
    guest.stop();
    umount2("/sys/kernel/security", MntFlags::empty()).unwrap();
    drop(profile);
}

/// Only if a profile is named.
fn a_host_without_it_says_so() {
    let host = Fixture::new();
    let guest = host.guest();
    assert!(!guest.v(&["start"]).ok().err.contains("apparmor"));
    guest.stop();
    guest.set("apparmor", "guests\n");
    let sentence = "this host's kernel has no AppArmor";
    guest.v(&["check"]).says(sentence);
    guest.v(&["start"]).ok().says("apparmor is not enforced").says(sentence);
    guest.stop();
    guest.v(&["start", "--strict"]).exits(1).says(sentence);
    assert!(!guest.is_running());
    guest.set("apparmor", "unconfined\n");
    assert!(!guest.v(&["start"]).ok().err.contains("apparmor"));
    guest.stop();
}
