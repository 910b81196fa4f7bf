//! Which files of a pure v2 host are written with what, on plain directories that stand in for the hierarchy.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic; the lint knows only functions marked as tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vserver_cgroup::{GuestCgroup, Kind, Layout};
use vserver_types::{Bytes, CpuBucket, CpuSet, Limits};

/// Control files of a v2 cgroup as a new one has them.
const FILES: [(&str, &str); 9] = [
    ("memory.max", "max"),
    ("memory.high", "max"),
    ("memory.low", "0"),
    ("memory.swap.max", "max"),
    ("pids.max", "max"),
    ("cpu.max", "max 100000"),
    ("cpu.max.burst", "0"),
    ("cpu.weight", "100"),
    ("cpuset.cpus", ""),
];

struct Fake {
    root: tempfile::TempDir,
    cgroup: GuestCgroup,
}

impl Fake {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.controllers"), "cpuset cpu io memory hugetlb pids\n").unwrap();
        fs::write(root.path().join("cgroup.subtree_control"), "memory\n").unwrap();
        let line = format!("41 31 0:38 / {} rw - cgroup2 cgroup2 rw,nsdelegate\n", root.path().display());
        let layout = Layout::from_mountinfo(&line).unwrap();
        assert_eq!(layout.kind(), Kind::V2);
        let cgroup = GuestCgroup::create(&layout, &"web1".parse().unwrap()).unwrap();
        let fake = Self { root, cgroup };
        for (file, value) in FILES {
            fs::write(fake.path(file), format!("{value}\n")).unwrap();
        }
        fake
    }

    fn top(&self) -> PathBuf {
        self.root.path().join("vserver/web1")
    }

    fn path(&self, file: &str) -> PathBuf {
        self.top().join(file)
    }

    fn value(&self, file: &str) -> String {
        read(&self.path(file))
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap().trim().to_owned()
}

fn some_limits() -> Limits {
    let ms = Duration::from_millis;
    Limits {
        memory: Some(Bytes::mib(256)),
        memory_high: Some(Bytes::mib(200)),
        swap: Some(Bytes(0)),
        pids: Some(512),
        cpu: Some(CpuBucket { quota: ms(25), period: ms(100), burst: ms(10) }),
        cpu_weight: Some(50),
        cpuset: Some(CpuSet { cpus: Some("0".into()), ..CpuSet::default() }),
        raw: Vec::new(),
    }
}

#[test]
fn controllers_are_added_to_the_root_and_nothing_else_there() {
    let fake = Fake::new();
    let control = read(&fake.root.path().join("cgroup.subtree_control"));
    assert_eq!(control, "+cpu +cpuset +pids +io", "memory was there, hugetlb is not wanted");
    assert!(fake.top().join("guest").is_dir());
}

#[test]
fn limits_go_to_the_directory_above_the_guests() {
    let fake = Fake::new();
    let limits = some_limits();
    assert_eq!(fake.cgroup.apply(&limits).unwrap(), []);
    for (file, value) in [
        ("memory.max", "268435456"),
        ("memory.high", "209715200"),
        ("memory.swap.max", "0"),
        ("pids.max", "512"),
        ("cpu.max", "25000 100000"),
        ("cpu.max.burst", "10000"),
        ("cpu.weight", "50"),
        ("cpuset.cpus", "0"),
    ] {
        assert_eq!(fake.value(file), value, "{file}");
    }
    assert_eq!(fs::read_dir(fake.top().join("guest")).unwrap().count(), 0);
    assert_eq!(fake.cgroup.limits().unwrap(), limits);
}

#[test]
fn no_limit_lifts_what_was_limited() {
    let fake = Fake::new();
    fake.cgroup.apply(&some_limits()).unwrap();
    assert_eq!(fake.cgroup.apply(&Limits::default()).unwrap(), []);
    assert_eq!(fake.cgroup.limits().unwrap(), Limits::default());
    assert_eq!((fake.value("cpu.max"), fake.value("cpu.max.burst")), ("max 100000".into(), "0".into()));
}

#[test]
fn a_kernel_without_burst_or_swap_says_so() {
    let fake = Fake::new();
    for file in ["cpu.max.burst", "memory.swap.max"] {
        fs::remove_file(fake.path(file)).unwrap();
    }
    let report = fake.cgroup.apply(&some_limits()).unwrap();
    let settings: Vec<_> = report.iter().map(|u| u.setting.as_str()).collect();
    assert_eq!(settings, ["swap limit", "CPU token bucket"]);
    assert_eq!(fake.value("cpu.max"), "25000 100000");
    assert_eq!(fake.cgroup.apply(&Limits::default()).unwrap(), [], "there is nothing to lift");
}

#[test]
fn files_of_a_v1_configuration_are_translated() {
    let fake = Fake::new();
    let raw = [
        ("memory.limit_in_bytes", "64M\n"),
        ("memory.memsw.limit_in_bytes", "80M"),
        ("memory.soft_limit_in_bytes", "32M"),
        ("cpu.shares", "512"),
        ("cpu.cfs_quota_us", "50000"),
        ("memory.swappiness", "10"),
        ("net_cls.classid", "0x10001"),
        ("cgroup.procs", "1"),
    ];
    let raw = raw.map(|(file, value)| (file.to_owned(), value.to_owned())).to_vec();
    let report = fake.cgroup.apply(&Limits { raw, ..Limits::default() }).unwrap();
    assert_eq!(fake.value("memory.max"), "67108864");
    assert_eq!(fake.value("memory.swap.max"), "16777216");
    assert_eq!(fake.value("memory.low"), "32M");
    assert_eq!(fake.value("cpu.weight"), "20");
    assert_eq!(fake.value("cpu.max"), "50000 100000");
    let settings: Vec<_> = report.iter().map(|u| u.setting.as_str()).collect();
    assert_eq!(settings, ["cgroup/memory.swappiness", "cgroup/net_cls.classid", "cgroup/cgroup.procs"]);
}

#[test]
fn figures_are_those_of_the_whole_guest() {
    let fake = Fake::new();
    for (file, text) in [
        ("memory.current", "4096\n"),
        ("memory.peak", "8192\n"),
        ("memory.events", "low 0\noom 2\noom_kill 1\n"),
        ("pids.current", "3\n"),
        ("cpu.stat", "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\nnr_throttled 2\nthrottled_usec 70\n"),
    ] {
        fs::write(fake.path(file), text).unwrap();
    }
    let stats = fake.cgroup.stats().unwrap();
    assert_eq!((stats.memory_current, stats.memory_peak), (Some(Bytes(4096)), Some(Bytes(8192))));
    assert_eq!((stats.memory_limit, stats.pids_limit, stats.pids_current), (None, None, Some(3)));
    assert_eq!(
        (stats.cpu_usage, stats.cpu_user),
        (Some(Duration::from_micros(1500)), Some(Duration::from_millis(1)))
    );
    assert_eq!((stats.oom_kills, stats.throttled_periods), (Some(1), Some(2)));
    assert_eq!(stats.throttled_time, Some(Duration::from_micros(70)));
}
