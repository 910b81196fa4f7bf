//! Limits that hold.

use std::time::{Duration, Instant};

use vserver_types::{Bytes, CpuBucket, CpuSet, Limits};

use crate::support::Guest;

pub fn written_lifted_and_read_back() {
    let guest = Guest::new();
    let ms = Duration::from_millis;
    let first = Limits {
        memory: Some(Bytes::mib(64)),
        swap: Some(Bytes::mib(16)),
        pids: Some(100),
        cpu: Some(CpuBucket { quota: ms(50), period: ms(100), burst: ms(20) }),
        cpu_weight: Some(33),
        ..Limits::default()
    };
    // Up, down, burst above the next quota, and off again: each order of writes has its trap.
    let second = Limits {
        memory: Some(Bytes::mib(256)),
        swap: Some(Bytes(0)),
        pids: Some(10),
        cpu: Some(CpuBucket { quota: ms(10), period: ms(50), burst: ms(10) }),
        ..Limits::default()
    };
    let third = Limits { memory: Some(Bytes::mib(32)), ..Limits::default() };
    for limits in [&first, &second, &first, &third, &Limits::default(), &first] {
        assert_eq!(guest.cgroup.apply(limits).unwrap(), [], "{limits:?}");
        assert_eq!(guest.cgroup.limits().unwrap(), *limits);
    }
    assert_eq!(guest.cgroup.stats().unwrap().memory_limit, first.memory);
    assert_eq!(guest.cgroup.stats().unwrap().pids_limit, first.pids);
}

pub fn quarter_of_a_cpu() {
    let guest = Guest::new();
    let cpu =
        CpuBucket { quota: Duration::from_millis(25), period: Duration::from_millis(100), burst: Duration::ZERO };
    assert_eq!(guest.cgroup.apply(&Limits { cpu: Some(cpu), ..Limits::default() }).unwrap(), []);
    let _busy = [guest.run(&["busy"]), guest.run(&["busy"])];
    let figures = || {
        let stats = guest.cgroup.stats().unwrap();
        let used = stats.cpu_usage.unwrap().as_secs_f64() / cpu.quota.as_secs_f64();
        (used, stats.periods.unwrap(), stats.throttled_periods.unwrap())
    };
    // By the kernel's own count, so that it does not matter what else this machine does meanwhile.
    let (used, periods, throttled) = figures();
    let end = Instant::now() + Duration::from_secs(300);
    let (used, periods, throttled) = loop {
        std::thread::sleep(cpu.period);
        let now = figures();
        let passed = (now.0 - used, now.1 - periods, now.2 - throttled);
        if passed.2 >= 40 {
            break passed;
        }
        assert!(Instant::now() < end, "{passed:?}");
    };
    // The three are not read at one moment, and each CPU may keep a slice of 5 ms for the next period.
    let slack = 2.0 + f64::from(u32::try_from(std::thread::available_parallelism().unwrap().get()).unwrap()) * 0.2;
    assert!(used <= periods as f64 + slack, "{used} quotas in {periods} periods");
    assert!(used >= throttled as f64 - slack, "{used} quotas, though it was out of them {throttled} times");
}

pub fn memory_over_the_limit() {
    let guest = Guest::new();
    let limits = Limits { memory: Some(Bytes::mib(32)), swap: Some(Bytes(0)), ..Limits::default() };
    assert_eq!(guest.cgroup.apply(&limits).unwrap(), []);
    let mut idle = guest.run(&["idle"]);
    let mut eater = guest.run(&["eat", "96"]);
    assert_eq!(eater.line(), "", "it must be killed before it has all");
    assert!(!eater.child.wait().unwrap().success());
    assert!(idle.child.try_wait().unwrap().is_none(), "the other process lives");
    let stats = guest.cgroup.stats().unwrap();
    assert_eq!(stats.oom_kills, Some(1));
    assert!(stats.memory_peak.unwrap() <= Bytes::mib(33), "{stats:?}");
    // Raised, the same need is met.
    guest.cgroup.apply(&Limits { memory: Some(Bytes::mib(160)), ..limits }).unwrap();
    assert_eq!(guest.run(&["eat", "96"]).line(), "ate 96");
}

pub fn process_limit() {
    const EAGAIN: i32 = 11;
    let guest = Guest::new();
    assert_eq!(guest.cgroup.apply(&Limits { pids: Some(10), ..Limits::default() }).unwrap(), []);
    // The forking process is one of the ten.
    assert_eq!(guest.run(&["fork", "40"]).line(), format!("9 {EAGAIN}"));
}

pub fn cpuset_of_a_running_guest() {
    let guest = Guest::new();
    let player = guest.run(&["idle"]);
    let allowed = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", player.pid())).unwrap();
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t").map(str::to_owned)).unwrap()
    };
    let all = allowed();
    for cpus in ["0", "1", "0-1"] {
        let set = CpuSet { cpus: Some(cpus.into()), ..CpuSet::default() };
        assert_eq!(guest.cgroup.apply(&Limits { cpuset: Some(set), ..Limits::default() }).unwrap(), [], "{cpus}");
        assert_eq!(allowed(), cpus);
    }
    let nowhere = CpuSet { cpus: Some("4000".into()), ..CpuSet::default() };
    let report = guest.cgroup.apply(&Limits { cpuset: Some(nowhere), ..Limits::default() }).unwrap();
    assert_eq!(report.len(), 1, "{report:?}");
    assert_eq!(guest.cgroup.apply(&Limits::default()).unwrap(), []);
    assert_eq!(allowed(), all);
}
