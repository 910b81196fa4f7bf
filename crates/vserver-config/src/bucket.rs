//! From tokens and ticks to quota, period and burst.
//!
//! The original has one bucket per CPU: with a fill of 1/4 a guest may use 25 % of *each* CPU. The kernel's CFS bandwidth
//! has one for the whole guest, so the shares of the CPUs that count are added up, and what one CPU leaves another may
//! take. Which CPUs count:
//!
//! * all of the host, or those of the guest's `cpuset/cpus` if it has one;
//! * with a file `cpu-id` directly in `sched/`, that one alone;
//! * a subdirectory with a `cpu-id` sets the share of that CPU; if `sched/` itself has neither `fill-rate` nor
//!   `interval`, the CPUs of such subdirectories are the only ones.
//!
//! So "25 % of one CPU" is `sched/{fill-rate=1,interval=4,cpu-id=0}`, or the same without `cpu-id` and a `cpuset/cpus` of
//! one CPU. `cpu-id` chooses how much, not where: to hold the guest to that CPU as well, use the cpuset.
//!
//! The period is 100 ms or the longest `interval`, whichever is more, and at most 1 s; the burst is `tokens-max` of all
//! CPUs that count, at most one period's quota. Source: `config-tree.md` §5.3.3, `Documentation/scheduler/sched-bwc.rst`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vserver_types::{CpuBucket, Unenforced};

use crate::catalog;
use crate::sched::{Bucket, Sched};

/// Shortest period that is chosen: the kernel's own default.
const PERIOD: Duration = Duration::from_millis(100);
/// The kernel's longest period.
const LONGEST: Duration = Duration::from_secs(1);
/// The kernel's least quota.
const LEAST: Duration = Duration::from_millis(1);

/// Numbers of one CPU, defaults filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    fill: u64,
    interval: u64,
    tokens_max: u64,
    explicit_max: bool,
}

impl Share {
    fn of(bucket: &Bucket, above: &Bucket, hz: u32) -> Self {
        let pick = |own: Option<i64>, above: Option<i64>| own.or(above).and_then(|n| u64::try_from(n).ok());
        let max = pick(bucket.tokens_max, above.tokens_max);
        Self {
            fill: pick(bucket.fill_rate, above.fill_rate).unwrap_or(1),
            interval: pick(bucket.interval, above.interval).unwrap_or(4).max(1),
            tokens_max: max.unwrap_or_else(|| u64::from(hz / 2)),
            explicit_max: max.is_some(),
        }
    }

    /// CPU time in `period` on one CPU, never more than the whole of it.
    fn quota(self, period: Duration) -> Duration {
        scale(period, self.fill.min(self.interval), self.interval)
    }
}

/// The quota of a guest whose buckets are `sched`, which may use `cpus`.
pub(crate) fn quota(sched: &Sched, cpus: &BTreeSet<u32>, hz: u32) -> (Option<CpuBucket>, Vec<Unenforced>) {
    let hz = hz.max(1);
    let mut lost = unexpressed(sched);
    let shares = shares(sched, cpus, hz);
    let ticks = shares.values().map(|share| share.interval).max().unwrap_or(0);
    let period = scale(Duration::from_secs(1), ticks, u64::from(hz)).clamp(PERIOD, LONGEST);
    let total = |period: Duration| shares.values().map(|share| share.quota(period)).sum::<Duration>();
    if shares.is_empty() {
        lost.push(Unenforced::none(
            "sched/cpu-id",
            "none of the CPUs that it names is the guest's; there is no quota",
        ));
        return (None, lost);
    }
    // A tiny share needs a longer period to reach the kernel's least quota.
    let period = [period, LONGEST].into_iter().find(|period| total(*period) >= LEAST).unwrap_or(LONGEST);
    let quota = total(period).max(LEAST);
    if total(period) < LEAST {
        lost.push(Unenforced::partial("sched/fill-rate", "the kernel's least quota, 1 ms in each second, is more"));
    }
    let wanted: Duration =
        shares.values().map(|share| scale(Duration::from_secs(1), share.tokens_max, u64::from(hz))).sum();
    if wanted > quota && shares.values().any(|share| share.explicit_max) {
        let reason =
            format!("{wanted:?} of CPU time were to be saved up; the kernel saves at most one quota, {quota:?}");
        lost.push(Unenforced::partial("sched/tokens-max", reason));
    }
    (Some(CpuBucket { quota, period, burst: wanted.min(quota) }), lost)
}

/// A relative share, 100 being the kernel patch's default fill of 1/4.
pub(crate) fn weight(sched: &Sched) -> u32 {
    let share = Share::of(&sched.bucket, &Bucket::default(), 1);
    let weight = u128::from(share.fill) * 400 / u128::from(share.interval);
    u32::try_from(weight.clamp(1, 10_000)).unwrap_or(10_000)
}

/// Whether the second rate is in use: then there is no quota, as the original let such a guest have what was idle.
pub(crate) fn uses_idle_time(sched: &Sched) -> bool {
    let idle = |bucket: &Bucket| bucket.idle_time || bucket.fill_rate2.is_some() || bucket.interval2.is_some();
    idle(&sched.bucket) || sched.per_cpu.iter().any(|(_, bucket)| idle(bucket))
}

/// What no kernel interface can say.
pub(crate) fn unexpressed(sched: &Sched) -> Vec<Unenforced> {
    let all = || std::iter::once(&sched.bucket).chain(sched.per_cpu.iter().map(|(_, bucket)| bucket));
    let mut lost = Vec::new();
    let mut note = |given: bool, name: &str| {
        if given {
            let setting = format!("sched/{name}");
            lost.push(Unenforced::none(setting.as_str(), catalog::how(&setting)));
        }
    };
    note(all().any(|bucket| bucket.tokens_min.is_some_and(|n| n > 0)), "tokens-min");
    note(all().any(|bucket| bucket.tokens.is_some()), "tokens");
    note(all().any(|bucket| bucket.prio_bias.is_some_and(|n| n != 0)), "prio-bias");
    note(all().any(|bucket| bucket.bucket_id.is_some()), "bucket-id");
    lost
}

/// The CPUs that count, with their shares.
fn shares(sched: &Sched, cpus: &BTreeSet<u32>, hz: u32) -> BTreeMap<u32, Share> {
    let top = &sched.bucket;
    let id = |bucket: &Bucket| bucket.cpu_id.and_then(|id| u32::try_from(id).ok());
    let has_rate = top.fill_rate.is_some() || top.interval.is_some();
    let everywhere = has_rate || sched.per_cpu.is_empty();
    let mut shares = BTreeMap::new();
    for cpu in cpus.iter().filter(|cpu| everywhere && id(top).is_none_or(|id| id == **cpu)) {
        shares.insert(*cpu, Share::of(top, &Bucket::default(), hz));
    }
    for (_, bucket) in &sched.per_cpu {
        for cpu in cpus.iter().filter(|cpu| id(bucket).is_none_or(|id| id == **cpu)) {
            shares.insert(*cpu, Share::of(bucket, top, hz));
        }
    }
    shares
}

/// `time × numerator / denominator`, without overflow.
fn scale(time: Duration, numerator: u64, denominator: u64) -> Duration {
    let nanos = time.as_nanos().saturating_mul(numerator.into()) / u128::from(denominator.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bucket(fill: i64, interval: i64) -> Bucket {
        Bucket { fill_rate: Some(fill), interval: Some(interval), ..Bucket::default() }
    }

    fn of(sched: &Sched, cpus: &[u32]) -> CpuBucket {
        quota(sched, &cpus.iter().copied().collect(), 250).0.unwrap()
    }

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_quarter_of_one_cpu_can_be_said_in_three_ways() {
        let quarter =
            |sched: &Sched, cpus: &[u32]| assert_eq!(of(sched, cpus).quota, MS(25), "{sched:?} on {cpus:?}");
        quarter(&Sched { bucket: bucket(1, 4), per_cpu: vec![] }, &[0]);
        quarter(&Sched { bucket: Bucket { cpu_id: Some(1), ..bucket(1, 4) }, per_cpu: vec![] }, &[0, 1, 2, 3]);
        let one = Bucket { cpu_id: Some(0), ..bucket(1, 4) };
        quarter(&Sched { bucket: Bucket::default(), per_cpu: vec![("cpu0".into(), one)] }, &[0, 1, 2, 3]);
    }

    #[test]
    fn shares_of_several_cpus_add_up_and_one_may_differ() {
        let per_cpu = vec![("cpu1".into(), Bucket { cpu_id: Some(1), ..bucket(1, 10) })];
        let sched = Sched { bucket: Bucket { tokens_max: Some(500), ..bucket(1, 4) }, per_cpu };
        let expected = CpuBucket { quota: MS(35), period: MS(100), burst: MS(35) };
        assert_eq!(of(&sched, &[0, 1]), expected);
        let lost = quota(&sched, &[0, 1].into(), 250).1;
        assert_eq!(lost.iter().map(|lost| lost.setting.as_str()).collect::<Vec<_>>(), ["sched/tokens-max"]);
    }

    #[test]
    fn the_period_follows_the_interval_within_what_the_kernel_takes() {
        let long = Sched { bucket: bucket(30, 100), per_cpu: vec![] };
        assert_eq!((of(&long, &[0]).quota, of(&long, &[0]).period), (MS(120), MS(400)));
        let longest = Sched { bucket: bucket(1, 1000), per_cpu: vec![] };
        assert_eq!((of(&longest, &[0]).quota, of(&longest, &[0]).period), (MS(1), MS(1000)));
        let tiny = Sched { bucket: bucket(1, 100_000), per_cpu: vec![] };
        assert_eq!(of(&tiny, &[0]).quota, MS(1));
        assert_eq!(quota(&tiny, &[0].into(), 250).1.len(), 1);
    }

    #[test]
    fn a_small_bucket_is_a_small_burst() {
        let sched = Sched { bucket: Bucket { tokens_max: Some(2), ..bucket(1, 4) }, per_cpu: vec![] };
        assert_eq!(of(&sched, &[0]).burst, MS(8));
    }

    #[test]
    fn a_cpu_that_the_guest_has_not_is_said() {
        let sched = Sched { bucket: Bucket { cpu_id: Some(7), ..bucket(1, 4) }, per_cpu: vec![] };
        let (none, lost) = quota(&sched, &[0, 1].into(), 250);
        assert_eq!((none, lost.len()), (None, 1));
    }

    proptest! {
        #[test]
        fn the_kernel_takes_every_bucket(
            fill in 0..=i64::from(i32::MAX), interval in 1..=i64::from(i32::MAX), max in 0..=i64::from(i32::MAX),
            hz in 0u32..=10_000, cpus in prop::collection::btree_set(0u32..64, 1..8),
        ) {
            let sched = Sched { bucket: Bucket { tokens_max: Some(max), ..bucket(fill, interval) }, per_cpu: vec![] };
            let bucket = quota(&sched, &cpus, hz).0.unwrap();
            prop_assert!(bucket.period >= LEAST && bucket.period <= LONGEST);
            prop_assert!(bucket.quota >= LEAST && bucket.burst <= bucket.quota);
            prop_assert!(bucket.quota <= bucket.period * 8);
            prop_assert!((1..=10_000).contains(&weight(&sched)));
        }
    }
}
