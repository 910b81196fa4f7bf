//! The CPU token bucket as configured: `sched/`, or the older file `schedule`.

use std::path::Path;

use crate::reader::Reader;

/// One set of numbers. A running process burns one token per tick; `None` is the kernel patch's default.
/// Source: util-vserver, `config-tree.md` §5.3.3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Tokens added per interval (default 1).
    pub fill_rate: Option<i64>,
    /// Ticks (default 4).
    pub interval: Option<i64>,
    /// Tokens at the beginning.
    pub tokens: Option<i64>,
    /// Tokens needed to run again.
    pub tokens_min: Option<i64>,
    /// Size of the bucket (default half a second's ticks).
    pub tokens_max: Option<i64>,
    /// Added to the dynamic priority.
    pub prio_bias: Option<i64>,
    /// Fill rate while the host is idle.
    pub fill_rate2: Option<i64>,
    /// Interval while the host is idle.
    pub interval2: Option<i64>,
    /// The second rate is in use.
    pub idle_time: bool,
    /// The CPU that this is about; `None` is every one.
    pub cpu_id: Option<i64>,
    /// The bucket that this is about.
    pub bucket_id: Option<i64>,
}

/// The bucket of every CPU, and those of single ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sched {
    /// Files directly in `sched/`, or the lines of `schedule`.
    pub bucket: Bucket,
    /// Subdirectories: name and numbers.
    pub per_cpu: Vec<(String, Bucket)>,
}

/// Reads `sched/`, which wins over `schedule` completely.
pub(crate) fn read(reader: &mut Reader, dir: &Path) -> Option<Sched> {
    let (sched, schedule) = (dir.join("sched"), dir.join("schedule"));
    if reader.has_dir(&sched) {
        if reader.has_file(&schedule) {
            reader.warn(&schedule, None, "it is superseded by sched/", "remove it");
        }
        let mut subdirs = reader.names(&sched);
        subdirs.retain(|name| sched.join(name).is_dir());
        let mut per_cpu = Vec::new();
        for name in subdirs {
            let numbers = bucket(reader, &sched.join(&name));
            per_cpu.push((name, numbers));
        }
        for (name, _) in per_cpu.iter().filter(|(_, bucket)| bucket.cpu_id.is_none()) {
            reader.warn(
                &sched.join(name),
                None,
                "it has no cpu-id and so is about every CPU",
                "write the CPU's number to cpu-id",
            );
        }
        return Some(Sched { bucket: bucket(reader, &sched), per_cpu });
    }
    reader.has_file(&schedule).then(|| six_lines(reader, &schedule))
}

pub(crate) fn bucket(reader: &mut Reader, dir: &Path) -> Bucket {
    let mut number = |name: &str, least: i64, most: i64| {
        let path = dir.join(name);
        let value = reader.integer(&path)?;
        if !(least..=most).contains(&value) {
            reader.error(
                &path,
                Some(1),
                format!("{value} is not between {least} and {most}"),
                "write a number of that range",
            );
            return None;
        }
        Some(value)
    };
    // The kernel patch keeps these in 32 bits.
    let most = i64::from(i32::MAX);
    let (fill_rate2, interval2) = (number("fill-rate2", 0, most), number("interval2", 1, most));
    Bucket {
        fill_rate: number("fill-rate", 0, most),
        interval: number("interval", 1, most),
        tokens: number("tokens", 0, most),
        tokens_min: number("tokens-min", 0, most),
        tokens_max: number("tokens-max", 0, most),
        prio_bias: number("prio-bias", -most, most).or_else(|| number("priority-bias", -most, most)),
        fill_rate2,
        interval2,
        cpu_id: number("cpu-id", 0, 65_535),
        bucket_id: number("bucket-id", 0, most),
        // Each number of the second rate puts it to use, too.
        idle_time: Reader::exists(&dir.join("idle-time")) || fill_rate2.is_some() || interval2.is_some(),
    }
}

fn six_lines(reader: &mut Reader, path: &Path) -> Sched {
    reader.warn(path, None, "this format is deprecated", "use sched/");
    let text = reader.text(path).unwrap_or_default();
    let mut values = [None; 6];
    for (slot, (number, line)) in values.iter_mut().zip((1..).zip(text.lines())) {
        *slot = vserver_types::c_integer(line.trim());
        if slot.is_none() {
            reader.error(
                path,
                Some(number),
                format!("'{}' is not an integer", line.escape_debug()),
                "one number per line",
            );
        }
    }
    let [fill_rate, interval, tokens, tokens_min, tokens_max, prio_bias] = values;
    if text.lines().count() < 6 {
        reader.error(
            path,
            None,
            "it has fewer than six lines",
            "fill rate, interval, tokens, min, max, priority bias",
        );
    } else if interval.is_some_and(|n| n < 1)
        || [fill_rate, tokens, tokens_min, tokens_max].iter().flatten().any(|n| *n < 0)
    {
        reader.error(
            path,
            None,
            "a rate or an amount is negative, or the interval is zero",
            "correct it, or use sched/",
        );
    }
    let bucket = Bucket { fill_rate, interval, tokens, tokens_min, tokens_max, prio_bias, ..Bucket::default() };
    Sched { bucket, per_cpu: Vec::new() }
}
