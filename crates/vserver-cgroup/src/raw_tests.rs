//! Tests of `raw.rs`.

use super::*;

fn absorbed(raw: &[(&str, &str)], v2: bool) -> (Limits, Vec<(String, String)>, Vec<Unenforced>) {
    let raw = raw.iter().map(|(file, value)| ((*file).to_owned(), (*value).to_owned())).collect();
    let mut report = Vec::new();
    let (limits, rest) = absorb(&Limits { raw, ..Limits::default() }, v2, &mut report);
    (limits, rest, report)
}

#[test]
fn v1_memory_becomes_memory_and_swap() {
    let raw = [("memory.limit_in_bytes", "64M\n"), ("memory.memsw.limit_in_bytes", "96M")];
    let (limits, rest, report) = absorbed(&raw, true);
    assert_eq!((limits.memory, limits.swap), (Some(Bytes::mib(64)), Some(Bytes::mib(32))));
    assert!(rest.is_empty() && report.is_empty());
    let (_, _, report) = absorbed(&raw[1..], true);
    assert_eq!(report.len(), 1);
}

#[test]
fn quota_and_period_meet_in_any_order() {
    let wanted = CpuBucket {
        quota: Duration::from_micros(5_000),
        period: Duration::from_micros(20_000),
        burst: Duration::from_micros(1_000),
    };
    let v1 = [("cpu.cfs_quota_us", "5000"), ("cpu.cfs_burst_us", "1000"), ("cpu.cfs_period_us", "20000")];
    assert_eq!(absorbed(&v1, true).0.cpu, Some(wanted));
    assert_eq!(absorbed(&[("cpu.max", "5000 20000"), ("cpu.max.burst", "1000")], false).0.cpu, Some(wanted));
    assert_eq!(absorbed(&[("cpu.max", "max 20000")], false).0.cpu, None);
    assert_eq!(absorbed(&[("cpu.cfs_period_us", "20000")], false).0.cpu, None);
    assert_eq!(absorbed(&[("cpu.cfs_quota_us", "-1")], false).0.cpu, None);
}

#[test]
fn shares_are_kept_on_v1_and_become_a_weight_on_v2() {
    assert_eq!(absorbed(&[("cpu.shares", "1024")], true).0.cpu_weight, Some(39));
    let (limits, rest, _) = absorbed(&[("cpu.shares", "1024")], false);
    assert_eq!((limits.cpu_weight, rest.len()), (None, 1));
}

#[test]
fn nonsense_is_named() {
    let raw =
        [("memory.max", "lots"), ("pids.max", ""), ("cpu.weight", "0"), ("cpu.max", "5 x"), ("pids.max", "max")];
    let (limits, rest, report) = absorbed(&raw, true);
    assert_eq!(limits, Limits::default());
    assert!(rest.is_empty());
    assert_eq!(report.iter().map(|u| u.setting.as_str()).collect::<Vec<_>>().len(), 4);
}

#[test]
fn what_has_no_counterpart_is_refused_with_a_reason() {
    for (v2, file) in [(true, "memory.swappiness"), (true, "cpu.rt_runtime_us"), (false, "memory.oom.group")] {
        assert!(translate(file, "1", v2).is_err(), "{file}");
    }
    assert_eq!(translate("memory.soft_limit_in_bytes", "1M", true), Ok(Some(("memory.low", None))));
    assert_eq!(translate("memory.swappiness", "10", false), Ok(Some(("memory.swappiness", None))));
    assert_eq!(translate("freezer.state", "THAWED", true), Ok(None));
}

#[test]
fn a_configuration_cannot_name_what_is_not_a_limit() {
    for bad in
        ["cgroup.procs", "cgroup.kill", "tasks", "release_agent", "../memory.max", "memory.max/..", ".x", "a b."]
    {
        assert!(!is_a_limit(bad), "{bad}");
    }
    assert!(is_a_limit("memory.oom.group") && is_a_limit("hugetlb.2MB.max"));
}

#[test]
fn reading_back_allows_what_kernels_rewrite() {
    assert!(same_enough("67108864", "64M"));
    assert!(same_enough("9223372036854771712", "-1"));
    assert!(same_enough("oom_kill_disable 0\nunder_oom 0", "under_oom 0"));
    assert!(!same_enough("60", "10"));
}
