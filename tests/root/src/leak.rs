//! What a test must leave as it was.
//!
//! Only what belongs to this test is looked at, since others run beside it: its own mount and network namespace, the
//! cgroups named after it, its own run directories, the processes below its warden.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The prefix of every guest's name in one test; the warden is the parent of the body, so both agree.
pub fn prefix(warden: u32) -> String {
    format!("rt{warden}x")
}

/// The machine as far as this test could change it, as lines.
pub struct Snapshot(BTreeSet<String>);

impl Snapshot {
    /// Looks. On the machine's own network others have addresses that come and go.
    pub fn take(host_network: bool) -> Self {
        let mut lines = BTreeSet::new();
        lines.extend(mounts());
        lines.extend(cgroups().iter().map(|dir| format!("cgroup {}", dir.display())));
        lines.extend(policies().iter().map(|path| format!("AppArmor {}", path.display())));
        if !host_network {
            lines.extend(addresses());
        }
        for dir in ["/run/vserver", "/run/vservers", "/run/vservers.rev", "/run/vshelper"] {
            lines.extend(files_below(Path::new(dir)).iter().map(|file| format!("file {}", file.display())));
        }
        // Nothing in a test may reach the machine's own configuration; others work there meanwhile.
        let ours = prefix(std::process::id());
        for dir in ["/etc/vservers", "/vservers", "/var/lib/vservers", "/run/netns"] {
            let names = names_in(Path::new(dir)).into_iter().filter(|name| name.starts_with(&ours));
            lines.extend(names.map(|name| format!("file {dir}/{name}")));
        }
        Self(lines)
    }

    /// What is there now and was not, and what was there and is not.
    pub fn difference(&self, now: &Self) -> Vec<String> {
        let new = now.0.difference(&self.0).cloned();
        new.chain(self.0.difference(&now.0).map(|line| format!("gone: {line}"))).collect()
    }
}

/// Our namespace's mounts without their numbers.
fn mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    // What another program of the host changes on a whole cgroup hierarchy is no mount that was left behind.
    let steady = |line: &str| line.replace(",clone_children", "");
    text.lines().map(|line| format!("mount {}", steady(line.splitn(5, ' ').last().unwrap_or(line)))).collect()
}

fn addresses() -> Vec<String> {
    let output = Command::new("ip").args(["-o", "addr"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // Lifetimes of learned addresses count down.
    text.lines().map(|line| format!("address {}", line.split("valid_lft").next().unwrap_or(line))).collect()
}

/// Every cgroup directory of this test's guests, in every hierarchy; parents before children.
pub fn cgroups() -> BTreeSet<PathBuf> {
    cgroups_of(&prefix(std::process::id()))
}

/// Those of guests whose names begin so.
pub fn cgroups_of(prefix: &str) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for hierarchy in hierarchies() {
        // A base of the test's own is at the top.
        for parent in [hierarchy.join("vserver"), hierarchy] {
            let ours = names_in(&parent).into_iter().filter(|name| name.starts_with(prefix));
            ours.for_each(|name| collect_dirs(&parent.join(name), &mut found));
        }
    }
    found
}

/// AppArmor's own files (Linux 4.11).
pub const POLICY: &str = "/sys/kernel/security/apparmor/policy";

/// Policy namespaces and profiles of this test's: below their directories, names of profiles have a number behind them.
pub fn policies() -> Vec<PathBuf> {
    let prefix = prefix(std::process::id());
    let in_dir = |kind: &str| {
        let dir = Path::new(POLICY).join(kind);
        let ours = names_in(&dir).into_iter().filter(|name| name.contains(&prefix));
        ours.map(|name| dir.join(name)).collect::<Vec<_>>()
    };
    ["namespaces", "profiles"].into_iter().flat_map(in_dir).collect()
}

/// Mount points of all cgroup hierarchies.
pub fn hierarchies() -> BTreeSet<PathBuf> {
    let text = fs::read_to_string("/proc/mounts").unwrap();
    let fields = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields.filter(|f| f.len() > 2 && f[2].starts_with("cgroup")).map(|f| PathBuf::from(f[1])).collect()
}

/// The v1 hierarchy with a controller, else the v2 one.
pub fn hierarchy_of(controller: &str) -> PathBuf {
    let text = fs::read_to_string("/proc/mounts").unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    let v1 = lines.iter().find(|f| f[2] == "cgroup" && f[3].split(',').any(|option| option == controller));
    let v2 = lines.iter().find(|f| f[2] == "cgroup2");
    PathBuf::from(v1.or(v2).expect("no cgroup hierarchy is mounted")[1])
}

fn collect_dirs(dir: &Path, into: &mut BTreeSet<PathBuf>) {
    into.insert(dir.to_owned());
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_dirs(&entry.path(), into);
        }
    }
}

/// Files below a directory; lock files are kept by design, and directories hold nothing by themselves.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if path.file_name() != Some("lock".as_ref()) {
                found.extend(files_below(&path));
            }
        } else {
            found.push(path);
        }
    }
    found
}

fn names_in(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// A process below this one.
pub struct Process {
    /// Its number on the host.
    pub pid: i32,
    parent: i32,
    state: char,
    command: String,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) state {} parent {}", self.pid, self.command, self.state, self.parent)
    }
}

/// Every process whose chain of parents leads here, zombies too.
pub fn descendants() -> Vec<Process> {
    let mut all: BTreeMap<i32, Process> = BTreeMap::new();
    for name in names_in(Path::new("/proc")) {
        if let Some(process) = name.parse().ok().and_then(read_process) {
            all.insert(process.pid, process);
        }
    }
    let me = i32::try_from(std::process::id()).unwrap();
    let below = |pid: &i32| {
        let mut at = *pid;
        while let Some(process) = all.get(&at) {
            if process.parent == me {
                return true;
            }
            at = process.parent;
        }
        false
    };
    let pids: Vec<i32> = all.keys().copied().filter(below).collect();
    pids.iter().filter_map(|pid| all.remove(pid)).collect()
}

fn read_process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let mut fields = tail.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let command = head.split_once('(')?.1.to_owned();
    Some(Process { pid, parent, state, command })
}
