//! Control files of an old configuration's `cgroup/`, written for v1 or v2, on whatever this host has.
//!
//! | v1 | v2 |
//! |---|---|
//! | `memory.limit_in_bytes`, `memory.memsw.limit_in_bytes` | `memory.max`, `memory.swap.max` (the difference) |
//! | `memory.soft_limit_in_bytes` | `memory.low`: who stays below is spared |
//! | `memory.oom_control` | `memory.oom.group`, about |
//! | `cpu.shares` | `cpu.weight` |
//! | `cpu.cfs_quota_us`, `cpu.cfs_period_us`, `cpu.cfs_burst_us` | `cpu.max`, `cpu.max.burst` |
//! | `cpuset.cpus`, `cpuset.mems` | the same |
//! | `cpuset.cpu_exclusive` | `cpuset.cpus.partition` |
//! | `blkio.*` | `io.*`, see `blkio.rs` |
//! | `memory.swappiness`, `cpu.rt_*`, `net_cls.*`, `net_prio.*` | nothing |

use std::time::Duration;

use vserver_types::{Bytes, CpuBucket, Limits, Unenforced};

use crate::knobs::{Wish, same_text};
use crate::{Controller, GuestCgroup, cpu, memory};

/// The kernel's period unless another is set.
const PERIOD: Duration = Duration::from_millis(100);

/// Puts what `limits.raw` says into the other fields. Returns that and what has no field; notes what is malformed.
/// `shares_are_weights` where the host's `cpu` controller is on v2: v1 takes shares exactly as they are.
pub(crate) fn absorb(
    limits: &Limits,
    shares_are_weights: bool,
    report: &mut Vec<Unenforced>,
) -> (Limits, Vec<(String, String)>) {
    let mut result = Limits { raw: Vec::new(), ..limits.clone() };
    let (mut rest, mut total) = (Vec::new(), None);
    for (file, value) in &limits.raw {
        let value = value.trim();
        let understood = match file.as_str() {
            "memory.memsw.limit_in_bytes" => limit(value).map(|limit| total = limit),
            "cpu.shares" if shares_are_weights => {
                value.parse().ok().map(|shares| result.cpu_weight = Some(cpu::shares_to_weight(shares)))
            }
            // Given to the guest by its device policy.
            "devices.allow" | "devices.deny" => Some(()),
            _ => match absorb_one(&mut result, file, value) {
                Absorbed::Yes => Some(()),
                Absorbed::Malformed => None,
                Absorbed::NotHere => {
                    rest.push((file.clone(), value.to_owned()));
                    Some(())
                }
            },
        };
        if understood.is_none() {
            report.push(Unenforced::none(format!("cgroup/{file}"), format!("'{value}' is not a value for it")));
        }
    }
    if let Some(total) = total {
        match result.memory {
            Some(memory) if memory <= total => result.swap = Some(Bytes(total.0 - memory.0)),
            _ => {
                let reason = "it needs a memory limit that is not above it (memory.limit_in_bytes)";
                report.push(Unenforced::none("cgroup/memory.memsw.limit_in_bytes", reason));
            }
        }
    }
    result.cpu = result.cpu.filter(|bucket| bucket.quota != Duration::MAX);
    (result, rest)
}

enum Absorbed {
    Yes,
    Malformed,
    NotHere,
}

fn absorb_one(limits: &mut Limits, file: &str, value: &str) -> Absorbed {
    let understood = match file {
        "memory.limit_in_bytes" | "memory.max" => limit(value).map(|bytes| limits.memory = bytes),
        "memory.swap.max" => limit(value).map(|bytes| limits.swap = bytes),
        "memory.high" => limit(value).map(|bytes| limits.memory_high = bytes),
        "pids.max" => unless_max(value, |count| count.parse().ok()).map(|count| limits.pids = count),
        "cpu.weight" => {
            value.parse().ok().filter(|w| (1..=10_000).contains(w)).map(|weight| limits.cpu_weight = Some(weight))
        }
        "cpu.max" | "cpu.max.burst" | "cpu.cfs_quota_us" | "cpu.cfs_period_us" | "cpu.cfs_burst_us" => {
            absorb_bucket(&mut limits.cpu, file, value)
        }
        "cpuset.cpus" => Some(value.to_owned()).map(|list| limits.cpuset.get_or_insert_default().cpus = Some(list)),
        "cpuset.mems" => Some(value.to_owned()).map(|list| limits.cpuset.get_or_insert_default().mems = Some(list)),
        "cpuset.cpu_exclusive" => flag(value).map(|on| limits.cpuset.get_or_insert_default().cpu_exclusive = on),
        "cpuset.mem_exclusive" => flag(value).map(|on| limits.cpuset.get_or_insert_default().mem_exclusive = on),
        "cpuset.cpus.partition" => match value {
            "root" | "member" => {
                Some(value == "root").map(|on| limits.cpuset.get_or_insert_default().cpu_exclusive = on)
            }
            _ => return Absorbed::NotHere,
        },
        _ => return Absorbed::NotHere,
    };
    if understood.is_some() { Absorbed::Yes } else { Absorbed::Malformed }
}

/// The three numbers come in any order. `Duration::MAX` stands for no quota until all are read: a period or a burst
/// alone has nothing to act on.
fn absorb_bucket(bucket: &mut Option<CpuBucket>, file: &str, value: &str) -> Option<()> {
    let micros = |text: &str| text.parse().ok().map(Duration::from_micros);
    let unlimited = |text: &str| text == "max" || text.starts_with('-');
    let now = bucket.unwrap_or(CpuBucket { quota: Duration::MAX, period: PERIOD, burst: Duration::ZERO });
    let (quota, period) = match file {
        "cpu.max" => {
            value.split_once(char::is_whitespace).map_or((Some(value), None), |(q, p)| (Some(q), Some(p.trim())))
        }
        "cpu.cfs_quota_us" => (Some(value), None),
        "cpu.cfs_period_us" => (None, Some(value)),
        _ => {
            *bucket = Some(CpuBucket { burst: micros(value)?, ..now });
            return Some(());
        }
    };
    let period = period.map_or(Some(now.period), micros)?;
    let quota = match quota {
        Some(text) if unlimited(text) => Duration::MAX,
        Some(text) => micros(text)?,
        None => now.quota,
    };
    *bucket = Some(CpuBucket { quota, period, ..now });
    Some(())
}

/// Whose file it is, or why it is left alone.
pub(crate) fn controller_of(file: &str) -> Result<Controller, &'static str> {
    if !is_a_limit(file) {
        return Err("it is not a limit of a guest; it is left alone");
    }
    Controller::of_file(file).ok_or_else(|| match file.split('.').next() {
        Some("net_cls" | "net_prio") => {
            "it exists on cgroup v1 only; match the guest in nftables instead (socket cgroupv2 level 2)"
        }
        _ => "it belongs to no controller that guests are given",
    })
}

/// Writes a control file that no field stands for, translated if need be.
pub(crate) fn apply(cgroup: &GuestCgroup, file: &str, value: &str, report: &mut Vec<Unenforced>) {
    let setting = format!("cgroup/{file}");
    let controller = match controller_of(file) {
        Ok(controller) => controller,
        Err(reason) => {
            report.push(Unenforced::none(setting, reason));
            return;
        }
    };
    let mut knobs = cgroup.knobs(controller, report);
    match translate(file, value, knobs.v2) {
        Ok(Some((file, note))) => {
            knobs.set(&Wish { setting: &setting, file, value, lifts: false, same: same_enough });
            if let Some(note) = note {
                knobs.partial(&setting, note);
            }
        }
        Ok(None) => {}
        Err(reason) => knobs.none(&setting, reason),
    }
}

/// The file that means the same on this version, and what is lost; nothing if there is nothing to do.
pub(crate) fn translate<'a>(
    file: &'a str,
    value: &str,
    v2: bool,
) -> Result<Option<(&'a str, Option<&'static str>)>, &'static str> {
    match (v2, file) {
        (true, "memory.soft_limit_in_bytes") => Ok(Some(("memory.low", None))),
        (true, "memory.oom_control") => {
            Ok(Some(("memory.oom.group", Some("on cgroup v2 the guest is killed as a whole instead of waiting"))))
        }
        (true, "memory.swappiness") => Err("cgroup v2 has no swappiness of a group"),
        (true, "cpu.rt_runtime_us" | "cpu.rt_period_us") => Err("cgroup v2 gives no real-time share to a group"),
        (_, "freezer.state") if value == "THAWED" => Ok(None),
        (_, "freezer.state") => Err("a guest that is frozen at its start would never finish starting"),
        (false, "memory.low") => {
            let lost = "cgroup v1 prefers to reclaim from guests above it and does not protect those below";
            Ok(Some(("memory.soft_limit_in_bytes", Some(lost))))
        }
        (false, "memory.min" | "memory.oom.group") => Err("cgroup v1 has nothing like it"),
        _ => Ok(Some((file, None))),
    }
}

/// Control files that move processes, run programs on the host or change who may do so are not for configurations.
fn is_a_limit(file: &str) -> bool {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    file.contains('.') && !file.starts_with(['.', '-']) && !file.starts_with("cgroup.") && file.chars().all(harmless)
}

/// Equal as text, as amounts, or as a list that now contains what was written.
fn same_enough(have: &str, want: &str) -> bool {
    let has_line = || want.lines().all(|line| have.lines().any(|shown| same_text(shown, line)));
    let amounts = memory::amount(want).is_some() && memory::same_amount(have, want);
    same_text(have, want) || amounts || has_line() || (want == "-1" && memory::same_amount(have, want))
}

/// A limit on bytes: `Some(None)` is no limit.
fn limit(value: &str) -> Option<Option<Bytes>> {
    unless_max(value, |text| text.parse().ok())
}

fn unless_max<T>(value: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if matches!(value, "max" | "-1") { Some(None) } else { parse(value).map(Some) }
}

fn flag(value: &str) -> Option<bool> {
    match value {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
#[path = "raw_tests.rs"]
mod tests;
