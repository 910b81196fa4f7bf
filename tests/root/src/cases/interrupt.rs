//! Ctrl-C at any moment of build, start and stop: everything or nothing, and nothing left behind.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::fixture::Fixture;
use crate::leak;
use crate::tree;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("interrupt::start", start).within(900),
        Trial::new("interrupt::stop", stop).within(900),
        Trial::new("interrupt::build", build).within(900),
    ]
}

/// How many moments of each verb are tried, spread evenly over its usual time and a little more.
const MOMENTS: u32 = 20;

/// Interrupts a command after some time, as a terminal does: the whole process group. Whether it was still running. Its
/// status is then 130, whether it ended itself or the signal did, unless it had just succeeded.
fn interrupt(mut command: Command, after: Duration) -> bool {
    let mut child = command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sleep(after);
    let running = child.try_wait().unwrap().is_none();
    if running {
        let _ = killpg(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT);
    }
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it did not end after SIGINT");
        sleep(Duration::from_millis(2));
    }
    let status = child.wait().unwrap();
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    assert!(matches!(code, 0 | 130), "it ended with {status}");
    running
}

/// The moments for a verb that takes `usual`.
fn moments(usual: Duration) -> impl Iterator<Item = Duration> {
    (0..MOMENTS).map(move |n| usual * n / (MOMENTS * 4 / 5))
}

fn start() {
    let host = Fixture::new();
    let guest = host.guest();
    let begun = Instant::now();
    guest.start();
    let usual = begun.elapsed();
    guest.stop();
    for moment in moments(usual) {
        let mut command = host.command("vserver");
        command.args([&guest.name, "start"]);
        interrupt(command, moment);
        if guest.is_running() {
            guest.exec(&["true"]).ok();
            guest.stop();
        }
        guest.v(&["status"]).exits(3);
        nothing_of(&guest.name, &guest.cgroup(""), moment);
    }
    guest.start();
}

fn stop() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let begun = Instant::now();
    guest.stop();
    let usual = begun.elapsed();
    for moment in moments(usual) {
        guest.start();
        let mut command = host.command("vserver");
        command.args([&guest.name, "stop"]);
        interrupt(command, moment);
        // Running or stopped: either way a second stop ends it for good.
        guest.stop();
        guest.v(&["status"]).exits(3);
        nothing_of(&guest.name, &guest.cgroup(""), moment);
    }
}

/// The run directory and the cgroup may take a moment to go.
fn nothing_of(name: &str, cgroup: &std::path::Path, moment: Duration) {
    let state = std::path::PathBuf::from(format!("/run/vserver/{name}/state.json"));
    let what = format!("nothing is left of an interruption after {moment:?}");
    crate::fixture::eventually(&what, Duration::from_secs(5), || !cgroup.exists() && !state.exists());
}

fn build() {
    let host = Fixture::new();
    let tarball = tarball(&host);
    let whole = |name: &str, xid: u32| {
        let mut command = host.command("vserver");
        let xid = xid.to_string();
        command.args([name, "build", "-m", "template", "--context", &xid, "--initstyle", "plain", "--"]);
        command.args(["-t", tarball.to_str().unwrap(), "--nodevsanity"]);
        command
    };
    let (name, xid) = host.fresh();
    let begun = Instant::now();
    assert!(whole(&name, xid).status().unwrap().success());
    let usual = begun.elapsed();
    host.v(&["--silent", &name, "delete"]).ok();
    for moment in moments(usual) {
        let interrupted = interrupt(whole(&name, xid), moment);
        let (cfg, root) = (host.confdir().join(&name), host.trees().join(&name));
        if cfg.exists() {
            host.v(&["--silent", &name, "delete"]).ok();
        }
        assert!(
            !cfg.exists() && !root.exists(),
            "interrupted after {moment:?} ({interrupted}): the build left a part"
        );
        let debris: Vec<_> = fs::read_dir(host.trees()).unwrap().flatten().map(|entry| entry.path()).collect();
        assert!(debris.is_empty(), "after {moment:?}: {debris:?}");
        assert!(leak::cgroups().is_empty());
    }
}

/// A template of some 10 MB, so that unpacking takes a while.
fn tarball(host: &Fixture) -> std::path::PathBuf {
    let dir = host.scratch("template");
    let root = dir.join("root");
    tree::busybox(&root);
    for n in 0..400 {
        tree::write(&root, &format!("usr/share/many/{n}"), &"text ".repeat(4000), 0o644);
    }
    let file = dir.join("template.tar");
    let packed = Command::new("tar").arg("-cf").arg(&file).arg("-C").arg(&root).arg(".").status().unwrap();
    assert!(packed.success());
    file
}
