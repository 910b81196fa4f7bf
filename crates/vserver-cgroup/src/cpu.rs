//! CPU time: the token bucket and the share. `Documentation/scheduler/sched-bwc.rst`.

use std::time::Duration;

use cgroups_rs::cpu::CpuController;
use vserver_types::{CpuBucket, Limits};

use crate::knobs::{Knobs, Wish, same_text};

const SETTING: &str = "CPU token bucket";
/// Bounds of a period in µs (`min_cfs_quota_period`, `max_cfs_quota_period`); a quota has the lower bound, too.
const SHORTEST: u128 = 1_000;
const LONGEST: u128 = 1_000_000;
/// Shares of v1 that correspond to a weight of 100.
const NORMAL_SHARES: u64 = 1024;

/// A bucket in µs as the kernel takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fitted {
    quota: u128,
    period: u128,
    burst: u128,
    /// What differs from what was asked for.
    note: Option<&'static str>,
}

/// Writes quota, period, burst and weight.
pub(crate) fn apply(knobs: &mut Knobs<'_>, limits: &Limits) {
    let bucket = limits.cpu.map(fit);
    if let Some(note) = bucket.and_then(|b| b.note) {
        knobs.partial(SETTING, note);
    }
    let burst_file = if knobs.v2 { "cpu.max.burst" } else { "cpu.cfs_burst_us" };
    let burst = bucket.map_or(0, |b| b.burst).to_string();
    // The kernel refuses any quota below the burst, so an old burst that changes gives way first.
    if knobs.current(burst_file).is_some_and(|now| now != "0" && now != burst) {
        knobs.put(burst_file, "0");
    }
    if knobs.v2 || knobs.dir.is_none() {
        let value = bucket.map_or_else(|| "max 100000".to_owned(), |b| format!("{} {}", b.quota, b.period));
        knobs.set(&Wish {
            setting: SETTING,
            file: "cpu.max",
            value: &value,
            lifts: bucket.is_none(),
            same: same_max,
        });
    } else {
        apply_v1(knobs, bucket);
    }
    apply_burst(knobs, burst_file, &burst);
    apply_weight(knobs, limits.cpu_weight);
}

/// The bucket and the weight in force; a weight of 100 is none.
pub(crate) fn read(knobs: &Knobs<'_>) -> (Option<CpuBucket>, Option<u32>) {
    let Some(dir) = knobs.dir.clone() else {
        return (None, None);
    };
    let controller = CpuController::new(dir, knobs.v2);
    let quota = controller.cfs_quota().ok().filter(|us| (1..i64::MAX).contains(us));
    let micros = |us: u64| Duration::from_micros(us);
    let bucket = quota.zip(controller.cfs_period().ok()).map(|(quota, period)| {
        let burst_file = if knobs.v2 { "cpu.max.burst" } else { "cpu.cfs_burst_us" };
        let burst = knobs.current(burst_file).and_then(|text| text.parse().ok()).unwrap_or(0);
        CpuBucket { quota: micros(quota.unsigned_abs()), period: micros(period), burst: micros(burst) }
    });
    let share = controller.shares().ok();
    // Rounded up, as `weight_to_shares` rounds down: what was written reads back.
    let weight = if knobs.v2 { share } else { share.map(|shares| (shares * 100).div_ceil(NORMAL_SHARES)) };
    (bucket, weight.and_then(|w| u32::try_from(w).ok()).filter(|w| *w != 100))
}

/// `cpu.weight` for the `cpu.shares` of an old configuration, as systemd and OCI runtimes count.
pub(crate) fn shares_to_weight(shares: u64) -> u32 {
    let weight = 1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142;
    u32::try_from(weight).unwrap_or(10_000)
}

fn weight_to_shares(weight: u32) -> u64 {
    (u64::from(weight) * NORMAL_SHARES / 100).max(2)
}

fn apply_v1(knobs: &mut Knobs<'_>, bucket: Option<Fitted>) {
    const PERIOD: &str = "cpu.cfs_period_us";
    const QUOTA: &str = "cpu.cfs_quota_us";
    let lifts = bucket.is_none();
    if let Some(b) = bucket {
        knobs.set(&Wish { setting: SETTING, file: PERIOD, value: &b.period.to_string(), lifts, same: same_text });
    }
    let quota = bucket.map_or_else(|| "-1".to_owned(), |b| b.quota.to_string());
    knobs.set(&Wish { setting: SETTING, file: QUOTA, value: &quota, lifts, same: same_text });
}

fn apply_burst(knobs: &mut Knobs<'_>, file: &str, burst: &str) {
    if burst != "0" && knobs.dir.is_some() && knobs.current(file).is_none() {
        knobs.partial(SETTING, "this kernel saves no unused time up (cpu.max.burst, 5.14); the rate holds");
        return;
    }
    knobs.set(&Wish {
        setting: SETTING,
        file,
        value: burst,
        lifts: burst == "0" || knobs.dir.is_none(),
        same: same_text,
    });
}

fn apply_weight(knobs: &mut Knobs<'_>, weight: Option<u32>) {
    let asked = weight.unwrap_or(100).clamp(1, 10_000);
    let (file, value) = match knobs.v2 {
        true => ("cpu.weight", asked.to_string()),
        false => ("cpu.shares", weight_to_shares(asked).to_string()),
    };
    knobs.set(&Wish { setting: "CPU share", file, value: &value, lifts: weight.is_none(), same: same_text });
}

/// The nearest bucket within the kernel's bounds, at the same rate where that is possible.
fn fit(bucket: CpuBucket) -> Fitted {
    let (mut quota, mut period) = (bucket.quota.as_micros(), bucket.period.as_micros().max(1));
    let wanted = period.clamp(SHORTEST, LONGEST);
    (quota, period) = (quota * wanted / period, wanted);
    if quota < SHORTEST {
        // A longer period lets a small share reach the smallest quota.
        let longer = if quota == 0 { LONGEST } else { (period * SHORTEST).div_ceil(quota).min(LONGEST) };
        (quota, period) = (quota * longer / period, longer);
    }
    let mut note = None;
    if quota < SHORTEST {
        (quota, note) = (SHORTEST, Some("the smallest share that the kernel can give is 1 ms in 1 s"));
    }
    let burst = bucket.burst.as_micros().min(quota);
    if bucket.burst.as_micros() > quota {
        note = note.or(Some("the kernel saves up at most one period's quota"));
    }
    Fitted { quota, period, burst, note }
}

/// Two `cpu.max` lines; without a quota the period says nothing.
fn same_max(have: &str, want: &str) -> bool {
    let unlimited = |text: &str| text.starts_with("max");
    same_text(have, want) || unlimited(have) && unlimited(want)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(quota: u64, period: u64, burst: u64) -> CpuBucket {
        let us = Duration::from_micros;
        CpuBucket { quota: us(quota), period: us(period), burst: us(burst) }
    }

    #[test]
    fn what_fits_is_left_alone() {
        let fitted = fit(bucket(25_000, 100_000, 25_000));
        assert_eq!(fitted, Fitted { quota: 25_000, period: 100_000, burst: 25_000, note: None });
    }

    #[test]
    fn a_small_quota_is_stretched_at_the_same_rate() {
        let fitted = fit(bucket(100, 10_000, 0));
        assert_eq!((fitted.quota, fitted.period, fitted.note), (1_000, 100_000, None));
        assert_eq!(fit(bucket(2_000_000, 4_000_000, 0)).quota, 500_000);
        assert!(fit(bucket(1, 1_000_000, 0)).note.is_some());
        assert!(fit(bucket(0, 0, 0)).note.is_some());
    }

    #[test]
    fn a_burst_above_the_quota_is_cut_and_said() {
        let fitted = fit(bucket(25_000, 100_000, 500_000));
        assert_eq!(fitted.burst, 25_000);
        assert!(fitted.note.is_some());
    }

    #[test]
    fn weights_survive_shares() {
        for weight in 1..=10_000 {
            assert_eq!((weight_to_shares(weight) * 100).div_ceil(NORMAL_SHARES), u64::from(weight));
        }
        assert_eq!((shares_to_weight(2), shares_to_weight(1024), shares_to_weight(262_144)), (1, 39, 10_000));
    }
}
