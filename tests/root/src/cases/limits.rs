//! The CPU token bucket's rate, pids, cpuset, and changing them on a running context.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::fixture::{Fixture, Guest};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("limits::token_bucket_holds_a_quarter", token_bucket_holds_a_quarter).smoke(),
        Trial::new("limits::without_sched_hard_there_is_no_cap", without_sched_hard_there_is_no_cap),
        Trial::new("limits::vsched_on_a_running_guest", vsched_on_a_running_guest),
        Trial::new("limits::processes", processes).smoke(),
        Trial::new("limits::cpuset", cpuset),
        Trial::new("limits::soft_memory_bound", soft_memory_bound),
        Trial::new("limits::cgroup_files_of_either_version", cgroup_files_of_either_version),
        Trial::new("limits::every_key_of_cpuset", every_key_of_cpuset),
        Trial::new("limits::a_bucket_by_its_other_names", a_bucket_by_its_other_names),
        Trial::new("limits::idle_time_is_left_to_the_guest", idle_time_is_left_to_the_guest),
        Trial::new("limits::exclusive_cpus_are_had_or_said", exclusive_cpus_are_had_or_said),
        Trial::new("limits::totals_of_the_ipc_namespace", totals_of_the_ipc_namespace),
        Trial::new("limits::totals_that_hold_per_process", totals_that_hold_per_process),
        Trial::new("limits::ulimits_of_the_first_process", ulimits_of_the_first_process),
    ]
}

/// CPU time that the guest's cgroup has used. The v2 hierarchy counts it even where v1 has the controller.
pub fn cpu_used(guest: &Guest<'_>) -> Duration {
    let text = fs::read_to_string(guest.cgroup("").join("cpu.stat")).unwrap();
    let usec = text.lines().find_map(|line| line.strip_prefix("usage_usec ")).unwrap();
    Duration::from_micros(usec.trim().parse().unwrap())
}

/// A process that never rests, inside.
pub fn busy(host: &Fixture, guest: &Guest<'_>) -> Child {
    let mut command = host.command("vserver");
    command.args([guest.name.as_str(), "exec", "sh", "-c", "while :; do :; done"]).spawn().unwrap()
}

/// Ends the caller's process; the supervisor ends what it was relaying for.
pub fn rest(_guest: &Guest<'_>, mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Percent of one CPU over some time.
fn share(guest: &Guest<'_>, time: Duration) -> f64 {
    let (used, begun) = (cpu_used(guest), Instant::now());
    sleep(time);
    (cpu_used(guest) - used).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0
}

/// A guest that comes before all others where CPU time is shared out, so that a loaded machine shows its limit too: what
/// others take it could not have. Lasts as long as this.
pub struct Ahead(PathBuf);

/// The file of either version, what puts a directory ahead of its neighbours, and what every directory begins with.
const WEIGHTS: [(&str, &str, &str); 2] = [("cpu.shares", "262144", "1024"), ("cpu.weight", "10000", "100")];

impl Ahead {
    pub fn of(guest: &Guest<'_>) -> Self {
        let dir = guest.cgroup("cpu");
        let all = dir.parent().unwrap().to_owned();
        for (file, most, _) in WEIGHTS {
            // One of the two is not there.
            let set = |dir: &Path| fs::exists(dir.join(file)).unwrap() && fs::write(dir.join(file), most).is_ok();
            let _ = set(&all) && set(&dir);
        }
        Self(all)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        for (file, _, usual) in WEIGHTS {
            if self.0.join(file).exists() {
                let _ = fs::write(self.0.join(file), usual);
            }
        }
    }
}

/// How often a guest's share is measured: another test may have put its own guest ahead, or all back to their places.
const WINDOWS: usize = 8;

/// Of several times in a row, the guest uses this much of one CPU in one, and more in none.
#[track_caller]
fn reaches(guest: &Guest<'_>, time: Duration, range: std::ops::RangeInclusive<f64>) {
    let mut seen = Vec::new();
    while seen.len() < WINDOWS {
        let _ahead = Ahead::of(guest);
        let percent = share(guest, time);
        seen.push(percent);
        assert!(percent <= *range.end(), "it used {seen:.1?} % of one CPU");
        if range.contains(&percent) {
            return;
        }
    }
    panic!("it used only {seen:.1?} % of one CPU");
}

/// The original's bucket is per CPU: on one CPU a quarter of the ticks is a quarter of it.
pub fn quarter(guest: &Guest<'_>) {
    guest.set("cflags", "sched_hard\n").set("sched/fill-rate", "1\n").set("sched/interval", "4\n");
    guest.set("cpuset/name", &format!("{}\n", guest.name)).set("cpuset/cpus", "0\n").set("cpuset/mems", "0\n");
}

fn token_bucket_holds_a_quarter() {
    let host = Fixture::new();
    let guest = host.guest();
    quarter(&guest);
    guest.start();
    let child = busy(&host, &guest);
    sleep(Duration::from_secs(2));
    reaches(&guest, Duration::from_secs(10), 23.5..=26.5);
    rest(&guest, child);
}

/// compat/config-tree.md §5.3.3: the six lines of `schedule`, and the bucket of one CPU, are the same quarter.
fn a_bucket_by_its_other_names() {
    let host = Fixture::new();
    for files in [
        &[("schedule", "1\n4\n500\n100\n500\n0\n")][..],
        &[("sched/0/fill-rate", "1\n"), ("sched/0/interval", "4\n")],
    ] {
        let guest = host.guest();
        quarter(&guest);
        for file in ["sched/fill-rate", "sched/interval"] {
            fs::remove_file(guest.cfg.join(file)).unwrap();
        }
        for (file, content) in files {
            guest.set(file, content);
        }
        guest.start();
        let child = busy(&host, &guest);
        sleep(Duration::from_secs(1));
        reaches(&guest, Duration::from_secs(5), 22.0..=28.0);
        rest(&guest, child);
        guest.stop();
    }
}

/// The same: with a second rate, or `idle-time`, a guest gets what nobody else wants.
fn idle_time_is_left_to_the_guest() {
    let host = Fixture::new();
    for (file, content) in [("sched/idle-time", ""), ("sched/fill-rate2", "1\n")] {
        let guest = host.guest();
        quarter(&guest);
        guest.set(file, content);
        guest.v(&["start"]).ok().says("sched/idle-time");
        let child = busy(&host, &guest);
        reaches(&guest, Duration::from_secs(3), 30.0..=110.0);
        rest(&guest, child);
        guest.stop();
    }
}

/// compat/config-tree.md §5.3.5: exclusive CPUs and memory nodes, where no other cgroup has them; else the start says so. The
/// guest has its CPU in either case.
fn exclusive_cpus_are_had_or_said() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("cpuset/name", &format!("{}\n", guest.name)).set("cpuset/cpus", "0\n").set("cpuset/mems", "0\n");
    guest.set("cpuset/cpus_exclusive", "1\n").set("cpuset/mems_exclusive", "1\n");
    let started = guest.v(&["start"]);
    started.ok();
    let dir = guest.cgroup("cpuset");
    let files = ["cpuset.cpu_exclusive", "cpuset.cpus.partition"];
    let found = files.iter().find_map(|file| fs::read_to_string(dir.join(file)).ok()).unwrap_or_default();
    assert_ne!(["1", "root"].contains(&found.trim()), started.err.contains("cpuset/cpu_exclusive"), "{found}");
    started.says("cpuset/mem_exclusive");
    guest.sh("grep Cpus_allowed_list /proc/self/status").ok().says("\t0\n");
}

fn without_sched_hard_there_is_no_cap() {
    let host = Fixture::new();
    let guest = host.guest();
    quarter(&guest);
    fs::remove_file(guest.cfg.join("cflags")).unwrap();
    guest.start();
    let child = busy(&host, &guest);
    reaches(&guest, Duration::from_secs(3), 30.0..=110.0);
    rest(&guest, child);
}

fn vsched_on_a_running_guest() {
    let host = Fixture::new();
    let guest = host.guest();
    quarter(&guest);
    guest.start();
    let child = busy(&host, &guest);
    let xid = guest.xid.to_string();
    host.tool("vsched", &["--xid", &xid, "--fill-rate", "1", "--interval", "10"]).ok();
    sleep(Duration::from_secs(1));
    reaches(&guest, Duration::from_secs(5), 8.0..=12.0);
    rest(&guest, child);
}

fn processes() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("rlimits/nproc", "20\n").start();
    let ran = guest.sh("i=0; while [ $i -lt 60 ]; do sleep 30 & i=$((i+1)); done; echo all");
    assert!(!ran.out.contains("all") && ran.err.contains("fork"), "{ran:?}");
    let xid = guest.xid.to_string();
    host.tool("vlimit", &["--xid", &xid, "--nproc", "200"]).ok();
    guest.sh("i=0; while [ $i -lt 60 ]; do sleep 1 & i=$((i+1)); done; echo all").ok().says("all");
    host.tool("vlimit", &["--xid", &xid, "--nproc", "1"]).ok();
    let full = guest.v(&["exec", "true"]);
    assert!(full.exits(255).err.contains("it has as many processes as it may"), "{full:?}");
}

fn cpuset() {
    let host = Fixture::new();
    let guest = host.guest();
    quarter(&guest);
    guest.start();
    let allowed = guest.sh("grep Cpus_allowed_list /proc/self/status").ok().out.clone();
    assert_eq!(allowed.split_whitespace().last(), Some("0"));
}

/// compat/config-tree.md §5.3.2: soft is clamped to hard, units are setrlimit's.
fn ulimits_of_the_first_process() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("ulimits/nofile.hard", "512\n").set("ulimits/nofile.soft", "128\n").set("ulimits/core", "0\n").start();
    for pid in ["1", "self"] {
        let limits = guest.sh(&format!("cat /proc/{pid}/limits")).ok().out.clone();
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned();
        let numbers: Vec<&str> = files.split_whitespace().skip(3).take(2).collect();
        assert_eq!(numbers, ["128", "512"], "process {pid}");
    }
}

/// compat/config-tree.md §5.3.1: `shmem`, `nsems` and `semary` are counted by the guest's own IPC namespace.
fn totals_of_the_ipc_namespace() {
    let host = Fixture::new();
    let guest = host.guest();
    guest
        .set("rlimits/shmem", "1000\n")
        .set("rlimits/nsems.hard", "500\n")
        .set("rlimits/semary.hard", "20\n")
        .start();
    assert_eq!(guest.sh("cat /proc/sys/kernel/shmall").ok().out.trim(), "1000");
    let sem = guest.sh("cat /proc/sys/kernel/sem").ok().out.clone();
    assert_eq!(sem.split_whitespace().collect::<Vec<_>>(), ["32000", "500", "500", "20"]);
    assert_ne!(fs::read_to_string("/proc/sys/kernel/shmall").unwrap().trim(), "1000");
}

/// The same: what nothing counts for a guest holds for each of its processes, and the start says so.
fn totals_that_hold_per_process() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("rlimits/openfd", "300\n").set("rlimits/memlock", "16\n").set("rlimits/msgqueue", "4096\n");
    guest.set("rlimits/locks", "5\n");
    let started = guest.v(&["start"]);
    started.ok();
    for name in ["rlimits/openfd", "rlimits/memlock", "rlimits/msgqueue", "rlimits/locks"] {
        started.says(name);
    }
    let limits = guest.sh("cat /proc/self/limits").ok().out.clone();
    for (title, hard) in [("Max open files", "300"), ("Max locked memory", "65536"), ("Max msgqueue size", "4096")] {
        let line = limits.lines().find(|line| line.starts_with(title)).unwrap();
        assert_eq!(line[title.len()..].split_whitespace().nth(1), Some(hard), "{line}");
    }
}

/// The content of the first of these control files that is there.
fn control(guest: &Guest<'_>, controller: &str, files: [&str; 2]) -> String {
    let dir = guest.cgroup(controller);
    let found = files.iter().find_map(|file| fs::read_to_string(dir.join(file)).ok());
    found.unwrap_or_else(|| panic!("none of {files:?} in {}", dir.display())).trim().to_owned()
}

/// compat/config-tree.md §5.3.1: above `rss.soft`, in pages, the guest is slowed down and pages are taken from it.
fn soft_memory_bound() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("rlimits/rss.soft", "8192\n").set("rlimits/rss.hard", "16384\n").start();
    let cgroup = guest.cgroup("memory");
    let bound = |files: [&str; 2]| {
        let found = files.iter().find_map(|file| fs::read_to_string(cgroup.join(file)).ok());
        found.expect("a memory controller").trim().parse::<u64>().unwrap()
    };
    assert_eq!(bound(["memory.high", "memory.soft_limit_in_bytes"]), 32 << 20);
    assert_eq!(bound(["memory.max", "memory.limit_in_bytes"]), 64 << 20);
}

/// compat/config-tree.md §5.3.6: names of v1 and of v2 mean the same whichever hierarchy the host has.
fn cgroup_files_of_either_version() {
    let host = Fixture::new();
    let (old, new) = (host.guest(), host.guest());
    old.set("cgroup/memory.limit_in_bytes", "64M\n").set("cgroup/memory.memsw.limit_in_bytes", "64M\n");
    old.set("cgroup/cpu.shares", "512\n").set("cgroup/cpu.cfs_period_us", "50000\n");
    old.set("cgroup/cpu.cfs_quota_us", "25000\n").set("cgroup/pids.max", "77\n");
    new.set("cgroup/memory.max", "67108864\n")
        .set("cgroup/cpu.weight", "20\n")
        .set("cgroup/cpu.max", "25000 50000\n");
    new.set("cgroup/pids.max", "77\n");
    for guest in [&old, &new] {
        guest.start();
        assert_eq!(control(guest, "memory", ["memory.limit_in_bytes", "memory.max"]), "67108864");
        assert_eq!(control(guest, "pids", ["pids.max", "pids.max"]), "77");
        let quota = control(guest, "cpu", ["cpu.cfs_quota_us", "cpu.max"]);
        assert!(quota == "25000" || quota == "25000 50000", "{quota}");
        let weight: u64 = control(guest, "cpu", ["cpu.shares", "cpu.weight"]).parse().unwrap();
        // Shares become 1 + (512 - 2) * 9999 / 262142 = 20; a weight keeps its relation to the default, 100 to 1024.
        assert!(weight == 20 || weight == if guest.name == old.name { 512 } else { 204 }, "{weight}");
    }
}

/// compat/config-tree.md §5.3.5: `name` is required, `cpus` and `mems` are lists; the exclusive keys need a partition of
/// the host's own, which a shared CPU cannot give: whatever does not hold is said, and the guest starts.
fn every_key_of_cpuset() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("cpuset/name", &format!("{}\n", guest.name)).set("cpuset/cpus", "0\n").set("cpuset/mems", "0\n");
    guest.set("cpuset/virtualized", "1\n").start();
    let status = guest.sh("cat /proc/self/status").ok().out.clone();
    for (key, wanted) in [("Cpus_allowed_list:", "0"), ("Mems_allowed_list:", "0")] {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        assert_eq!(line.trim(), wanted, "{key}");
    }
}
