//! Where the measuring happens, and its cleaning up, whatever happens.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::lxc::Lxc;
use super::nspawn::Nspawn;
use super::ours::Ours;
use super::runc::Runc;
use super::{life, net, store};
use crate::shell::{KEEP, command, run, say};
use crate::{Outcome, busybox, install};

/// Where running guests leave their traces, ours and LXC's; they must exist to be covered. On a host with systemd all of
/// `/run` is in memory, so that is what is measured.
pub const RUN_DIRECTORIES: [&str; 6] =
    ["/run/vserver", "/run/vservers", "/run/vservers.rev", "/run/vshelper", "/run/lxc", "/var/log/vserver"];

/// What every runtime can do with one guest that it holds.
pub trait Runtime {
    /// Its name in the result.
    fn name(&self) -> &'static str;
    /// Makes it run the guest in a tree whose `/sbin/init` is to be PID 1.
    fn configure(&self, tree: &Path) -> Outcome;
    /// Starts the guest and returns when it runs.
    fn start(&self) -> Outcome;
    /// Ends the guest without asking it.
    fn kill(&self) -> Outcome;
    /// Runs a command inside; fails if the command does.
    fn exec(&self, argv: &[&str]) -> Outcome;
    /// The processes on the host that stay with the guest.
    fn monitors(&self) -> Vec<i32> {
        Vec::new()
    }
    /// Whether it can boot a whole distribution in the background, as a guest.
    fn boots(&self) -> bool {
        false
    }
}

/// Measures the set and prints it.
pub fn perform(set: &str, bin: &Path, json: bool) -> Outcome {
    let home = PathBuf::from(format!("{KEEP}/bench-{}", std::process::id()));
    let before = cgroups();
    let outcome = prepare().and_then(|()| match set {
        "net" => net::measure(bin, &home, json),
        store::CACHE => store::cache::measure(bin, &home, json),
        _ => measure(bin, &home, json),
    });
    for dir in cgroups().iter().rev().filter(|dir| !before.contains(*dir)) {
        // Only empty ones go: whatever somebody else has made meanwhile is in use.
        let _ = fs::remove_dir(dir);
    }
    let _ = fs::remove_dir_all(&home);
    outcome
}

fn prepare() -> Outcome {
    run(&mut command("ip", &["link", "set", "lo", "up"]))?;
    own_run_directories()
}

/// Ours are measured as they are installed, like those of the peers: pages of a file that a linker has just written lie in the
/// cache one by one, those of a copy many together, which makes a tenth of a start.
fn measure(bin: &Path, home: &Path, json: bool) -> Outcome {
    let tree = home.join("tree");
    plant(&tree)?;
    let installed_at = home.join("programs");
    install::programs(bin, &installed_at).map_err(|error| format!("could not install the programs: {error}"))?;
    let all: Vec<Box<dyn Runtime>> = vec![
        Box::new(Ours::new(&installed_at.join("sbin"), home)),
        Box::new(Lxc::new(home)),
        Box::new(Runc::new(home)),
        Box::new(Nspawn::new(home)),
    ];
    let (here, missing): (Vec<_>, Vec<_>) = all.into_iter().partition(|runtime| installed(runtime.as_ref()));
    for runtime in missing {
        say(&format!("{} is not installed, so it is not compared", runtime.name()));
    }
    let figures = life::measure(&here, &tree)?;
    if !json {
        println!("{:<42} {:>12} | {:<46} | ratio | goal", "work (medians)", "ours", "peers");
    }
    for figure in &figures {
        println!("{}", if json { figure.json("life") } else { figure.line() });
    }
    Ok(())
}

fn installed(runtime: &dyn Runtime) -> bool {
    let program = match runtime.name() {
        "lxc" => "lxc-start",
        "systemd-nspawn" => "systemd-nspawn",
        "runc" => "runc",
        _ => return true,
    };
    crate::shell::find(program).is_some()
}

/// Empty ones over the host's, in this mount namespace.
fn own_run_directories() -> Outcome {
    let over = |dir| run(&mut command("mount", &["-t", "tmpfs", "-o", "mode=755", "none", dir]));
    RUN_DIRECTORIES.into_iter().try_for_each(over)
}

/// The shell-only guest: an init that waits and ends when it is told to.
pub fn plant(tree: &Path) -> Outcome {
    let program = busybox::on_host().ok_or("this host has no static busybox (Debian: busybox-static)")?;
    busybox::tree(&program, tree)?;
    let init = "#!/bin/sh\ntrap exit INT TERM\nsleep 86400 &\nwait\n";
    busybox::write(tree, "sbin/init", init, 0o755).map_err(|error| format!("{}: {error}", tree.display()))
}

/// Directories on the first two levels of every hierarchy: where the runtimes put theirs.
fn cgroups() -> BTreeSet<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let hierarchies = fields.filter(|f| f.len() > 2 && f[2].starts_with("cgroup")).map(|f| PathBuf::from(f[1]));
    let mut found = BTreeSet::new();
    for hierarchy in hierarchies {
        for dir in dirs_in(&hierarchy) {
            found.extend(dirs_in(&dir));
            found.insert(dir);
        }
    }
    found
}

fn dirs_in(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).collect()
}
