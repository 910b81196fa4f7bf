//! Memory and swap. v2: `Documentation/admin-guide/cgroup-v2.rst`; v1: `…/cgroup-v1/memory.rst`.

use vserver_types::{Bytes, Limits};

use crate::knobs::{Knobs, Wish};

/// v1 writes "no limit" as the largest number of pages that it can count, which depends on the page size.
const UNLIMITED: u64 = 1 << 62;
/// Limits are rounded down to whole pages; the largest page of any machine that we run on.
const PAGE: u64 = 64 << 10;

/// Writes the limits on memory and swap; `None` lifts a limit.
pub(crate) fn apply(knobs: &mut Knobs<'_>, limits: &Limits) {
    if knobs.v2 || knobs.dir.is_none() {
        set(knobs, "memory reclaim threshold", "memory.high", limits.memory_high);
        set(knobs, "swap limit", "memory.swap.max", limits.swap);
        set(knobs, "memory limit", "memory.max", limits.memory);
    } else {
        apply_v1(knobs, limits);
    }
}

/// The limits that are in force: memory, reclaim threshold, swap.
pub(crate) fn read(knobs: &Knobs<'_>) -> (Option<Bytes>, Option<Bytes>, Option<Bytes>) {
    let value = |file| knobs.current(file).and_then(|text| amount(&text)).map(Bytes);
    if knobs.v2 {
        return (value("memory.max"), value("memory.high"), value("memory.swap.max"));
    }
    let (memory, total) = (value("memory.limit_in_bytes"), value("memory.memsw.limit_in_bytes"));
    let swap = memory.zip(total).map(|(memory, total)| Bytes(total.0.saturating_sub(memory.0)));
    (memory, value("memory.soft_limit_in_bytes"), swap)
}

/// A limit in bytes as control files have it; `None` is no limit. Understands suffixes.
pub(crate) fn amount(text: &str) -> Option<u64> {
    text.trim().parse::<Bytes>().ok().map(|bytes| bytes.0).filter(|bytes| *bytes < UNLIMITED)
}

/// Whether both mean the same limit, up to rounding down to pages.
pub(crate) fn same_amount(have: &str, want: &str) -> bool {
    match (amount(have), amount(want)) {
        (None, None) => true,
        (Some(have), Some(want)) => have <= want && want - have < PAGE,
        _ => false,
    }
}

fn apply_v1(knobs: &mut Knobs<'_>, limits: &Limits) {
    const LIMIT: &str = "memory.limit_in_bytes";
    const TOTAL: &str = "memory.memsw.limit_in_bytes";
    let total = limits.memory.zip(limits.swap).map(|(memory, swap)| Bytes(memory.0.saturating_add(swap.0)));
    if limits.swap.is_some() && limits.memory.is_none() {
        knobs.none("swap limit", "cgroup v1 limits swap only together with memory; set a memory limit, too");
    }
    // The kernel holds memory ≤ memory + swap at any moment, so the order depends on the direction.
    let now = knobs.current(TOTAL).and_then(|text| amount(&text));
    if raises(now, total.map(|bytes| bytes.0)) {
        set(knobs, "swap limit", TOTAL, total);
        set(knobs, "memory limit", LIMIT, limits.memory);
    } else {
        set(knobs, "memory limit", LIMIT, limits.memory);
        set(knobs, "swap limit", TOTAL, total);
    }
    if limits.memory_high.is_some() {
        let reason = "cgroup v1 reclaims memory above it only when the host runs short";
        knobs.partial("memory reclaim threshold", reason);
    }
    set(knobs, "memory reclaim threshold", "memory.soft_limit_in_bytes", limits.memory_high);
}

fn raises(now: Option<u64>, then: Option<u64>) -> bool {
    match (now, then) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(now), Some(then)) => then >= now,
    }
}

fn set(knobs: &mut Knobs<'_>, setting: &str, file: &str, limit: Option<Bytes>) {
    let none = if knobs.v2 { "max" } else { "-1" };
    let value = limit.map_or_else(|| none.to_owned(), |bytes| bytes.0.to_string());
    knobs.set(&Wish { setting, file, value: &value, lifts: limit.is_none(), same: same_amount });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_has_three_spellings() {
        for text in ["max", "-1", "9223372036854771712"] {
            assert_eq!(amount(text), None, "{text}");
        }
        assert_eq!(amount("0\n"), Some(0));
        assert_eq!(amount("64M"), Some(64 << 20));
    }

    #[test]
    fn rounding_down_to_a_page_is_the_same_limit() {
        assert!(same_amount("999424", "1000000"));
        assert!(!same_amount("1003520", "1000000"));
        assert!(!same_amount("max", "1000000"));
    }

    #[test]
    fn the_sum_goes_first_exactly_when_it_grows() {
        assert!(raises(Some(1), Some(2)) && raises(Some(1), None) && raises(None, None));
        assert!(!raises(None, Some(1)) && !raises(Some(2), Some(1)));
    }
}
