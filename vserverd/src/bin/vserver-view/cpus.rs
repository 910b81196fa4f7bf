//! `/proc/stat`, `/proc/cpuinfo` and `/sys/devices/system/cpu/online` of a guest: of its CPUs only, counted from 0, as
//! sched_getaffinity(2) counts them. A token bucket takes away time, not CPUs. proc_stat(5), proc_cpuinfo(5).

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use crate::tasks::Tasks;

/// Ticks per second in `/proc/stat`: `USER_HZ` of every architecture that we run on.
const TICKS: u128 = 100;

/// CPUs that the host shows in its `/proc/stat`.
pub fn online(stat: &str) -> BTreeSet<u32> {
    let words = stat.lines().filter_map(|line| line.strip_prefix("cpu")?.split(' ').next()?.parse().ok());
    words.collect()
}

/// The host's CPUs that are the guest's, at least one.
pub fn usable(online: &BTreeSet<u32>, own: Option<BTreeSet<u32>>) -> BTreeSet<u32> {
    let both: BTreeSet<u32> = own.map(|own| own.intersection(online).copied().collect()).unwrap_or_default();
    if both.is_empty() { online.clone() } else { both }
}

/// What a guest has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// Since its start.
    pub elapsed: Duration,
    /// CPU time in programs.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// When it started, seconds since 1970.
    pub begun: u64,
}

/// The guest's `/proc/stat` with `count` CPUs. A cgroup counts time for all CPUs together, so each is shown to have its part.
pub fn stat(count: usize, work: &Work, tasks: &Tasks) -> String {
    let count = count.max(1) as u128;
    let ticks = |time: Duration| time.as_nanos() * TICKS / 1_000_000_000;
    let (user, system) = (ticks(work.user), ticks(work.system));
    let idle = (ticks(work.elapsed) * count).saturating_sub(user + system);
    let mut text = String::new();
    writeln!(text, "cpu  {user} 0 {system} {idle} 0 0 0 0 0 0").ok();
    for cpu in 0..count {
        let part = |whole: u128| whole / count + u128::from(cpu < whole % count);
        writeln!(text, "cpu{cpu} {} 0 {} {} 0 0 0 0 0 0", part(user), part(system), part(idle)).ok();
    }
    // Interrupts and switches are the host's.
    let (Tasks { blocked, newest, .. }, running) = (tasks, tasks.with_the_reader());
    writeln!(text, "intr 0\nctxt 0\nbtime {}\nprocesses {newest}", work.begun).ok();
    writeln!(text, "procs_running {running}\nprocs_blocked {blocked}\nsoftirq 0 0 0 0 0 0 0 0 0 0 0").ok();
    text
}

/// The parts of the host's `/proc/cpuinfo` that are about `cpus`, and those that are about none.
pub fn cpuinfo(host: &str, cpus: &BTreeSet<u32>) -> String {
    let mut text = String::new();
    let mut next = 0;
    for block in host.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let Some(number) = block.lines().find_map(processor) else {
            writeln!(text, "{}\n", block.trim_end()).ok();
            continue;
        };
        if !cpus.contains(&number) {
            continue;
        }
        for line in block.trim_end().lines() {
            match line.split_once(':').filter(|_| processor(line).is_some()) {
                Some((key, _)) => writeln!(text, "{key}: {next}").ok(),
                None => writeln!(text, "{line}").ok(),
            };
        }
        text.push('\n');
        next += 1;
    }
    text
}

fn processor(line: &str) -> Option<u32> {
    let (key, value) = line.split_once(':')?;
    if key.trim() == "processor" { value.trim().parse().ok() } else { None }
}

/// A list of `count` CPUs from 0 on.
pub fn list(count: usize) -> String {
    match count {
        0 | 1 => "0\n".to_owned(),
        more => format!("0-{}\n", more - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 1\ncpu2 1 1\ncpu11 1 1\nintr 5 5\n";

    #[test]
    fn cpus_are_those_of_both() {
        let host = online(STAT);
        assert_eq!(host, BTreeSet::from([0, 2, 11]));
        assert_eq!(usable(&host, Some(BTreeSet::from([2, 3, 11]))), BTreeSet::from([2, 11]));
        assert_eq!(usable(&host, Some(BTreeSet::from([5]))), host);
        assert_eq!(usable(&host, None), host);
    }

    #[test]
    fn time_is_spread_and_adds_up() {
        let work = Work {
            elapsed: Duration::from_secs(10),
            user: Duration::from_millis(1010),
            system: Duration::from_millis(500),
            begun: 1_700_000_000,
        };
        let text = stat(2, &work, &Tasks { running: 3, blocked: 1, newest: 77, total: 9 });
        assert!(text.starts_with(
            "cpu  101 0 50 1849 0 0 0 0 0 0\ncpu0 51 0 25 925 0 0 0 0 0 0\ncpu1 50 0 25 924 0 0 0 0 0 0\nintr 0\n"
        ));
        assert!(text.contains("btime 1700000000\nprocesses 77\nprocs_running 4\nprocs_blocked 1\n"));
        assert!(stat(0, &Work { elapsed: Duration::ZERO, ..work }, &Tasks::default()).contains("cpu0 101 0 50 0 "));
    }

    #[test]
    fn processors_are_counted_anew() {
        let host = "processor\t: 0\nmodel\t\t: A\n\nprocessor\t: 1\nmodel\t\t: B\n\nprocessor\t: 2\nmodel\t\t: C\n\nHardware\t: x\n";
        let text = cpuinfo(host, &BTreeSet::from([1, 2]));
        assert_eq!(text, "processor\t: 0\nmodel\t\t: B\n\nprocessor\t: 1\nmodel\t\t: C\n\nHardware\t: x\n\n");
        assert_eq!((list(1), list(4)), ("0\n".to_owned(), "0-3\n".to_owned()));
    }
}
