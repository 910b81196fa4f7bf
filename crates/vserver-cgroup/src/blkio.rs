//! Block devices: `blkio.*` of v1 and `io.*` of v2, in either direction.

use crate::files;
use crate::knobs::{Knobs, refusal};

/// v1 files of throttling and the key of `io.max` that means the same.
const THROTTLE: [(&str, &str); 4] = [
    ("blkio.throttle.read_bps_device", "rbps"),
    ("blkio.throttle.write_bps_device", "wbps"),
    ("blkio.throttle.read_iops_device", "riops"),
    ("blkio.throttle.write_iops_device", "wiops"),
];

/// Writes a control file of block devices. Each line is a command for one device and is written on its own.
pub(crate) fn apply(knobs: &mut Knobs<'_>, file: &str, value: &str) {
    let setting = format!("cgroup/{file}");
    let Some(dir) = knobs.dir.clone() else {
        knobs.none(&setting, "this host has no io controller");
        return;
    };
    for line in value.lines().filter(|line| !line.trim().is_empty()) {
        let Some(commands) = translate(file, line.trim(), knobs.v2) else {
            knobs.none(&setting, unsayable(line));
            continue;
        };
        // More than one command: the first file that this kernel has (BFQ, then the general weight).
        let there = commands.iter().find(|(target, _)| dir.join(target).exists());
        match there.map(|(target, text)| (target, text, files::write(&dir.join(target), text))) {
            None => {
                let names: Vec<&str> = commands.iter().map(|(target, _)| target.as_str()).collect();
                knobs.none(&setting, format!("this kernel has no {}", names.join(" or ")));
            }
            Some((target, text, Err(error))) => knobs.none(&setting, refusal(target, text, &error)),
            Some((target, text, Ok(()))) => check(knobs, &setting, target, text),
        }
    }
}

/// What is told of a line that has no translation.
pub(crate) fn unsayable(line: &str) -> String {
    format!("'{line}' cannot be said to this host's cgroup version")
}

/// The last word of a command (a number, or `key=number`) must show in the file, on the device's line if there is one.
fn check(knobs: &mut Knobs<'_>, setting: &str, file: &str, text: &str) {
    let shown = knobs.current(file).unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    let holds = shown.lines().any(|line| words.iter().all(|word| line.split_whitespace().any(|w| w == *word)));
    let lifted = matches!(words.last(), Some(&"0" | &"max")) || text.ends_with("=max");
    if !holds && !lifted {
        knobs.none(setting, format!("{file} was set to '{text}' and reads '{shown}'"));
    }
}

/// Alternatives of (file, line), best first; `None` if there is no counterpart.
pub(crate) fn translate(file: &str, line: &str, v2: bool) -> Option<Vec<(String, String)>> {
    let native = if v2 { "io." } else { "blkio." };
    if file.starts_with(native) {
        return Some(vec![(file.to_owned(), line.to_owned())]);
    }
    if v2 { to_v2(file, line) } else { to_v1(file, line) }
}

fn to_v2(file: &str, line: &str) -> Option<Vec<(String, String)>> {
    if let Some((_, key)) = THROTTLE.iter().find(|(name, _)| *name == file) {
        let (device, rate) = line.split_once(char::is_whitespace)?;
        // 0 lifts the limit on v1.
        let rate = if rate.trim() == "0" { "max" } else { rate.trim() };
        return Some(vec![("io.max".to_owned(), format!("{device} {key}={rate}"))]);
    }
    let weight: u64 = line.parse().ok()?;
    let general = format!("default {}", (weight * 10).clamp(1, 10_000));
    match file {
        "blkio.weight" | "blkio.bfq.weight" => Some(vec![
            ("io.bfq.weight".to_owned(), format!("default {}", weight.clamp(1, 1_000))),
            ("io.weight".to_owned(), general),
        ]),
        _ => None,
    }
}

fn to_v1(file: &str, line: &str) -> Option<Vec<(String, String)>> {
    if file == "io.max" {
        let (device, limits) = line.split_once(char::is_whitespace)?;
        let mut limits = limits.split_whitespace();
        let (key, rate) = limits.next()?.split_once('=')?;
        // Several limits of one line would be several files: write them as several lines.
        if limits.next().is_some() {
            return None;
        }
        let (name, _) = THROTTLE.iter().find(|(_, known)| *known == key)?;
        let rate = if rate == "max" { "0" } else { rate };
        return Some(vec![((*name).to_owned(), format!("{device} {rate}"))]);
    }
    let weight: u64 = line.strip_prefix("default ").unwrap_or(line).trim().parse().ok()?;
    let (bfq, old) = match file {
        "io.weight" => (weight / 10, weight / 10),
        "io.bfq.weight" => (weight, weight),
        _ => return None,
    };
    Some(vec![
        ("blkio.bfq.weight".to_owned(), bfq.clamp(1, 1_000).to_string()),
        ("blkio.weight".to_owned(), old.clamp(10, 1_000).to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(file: &str, line: &str, v2: bool) -> Option<(String, String)> {
        translate(file, line, v2).map(|mut all| all.swap_remove(0))
    }

    #[test]
    fn throttling_translates_both_ways() {
        let v1 = ("blkio.throttle.write_bps_device".to_owned(), "8:0 1048576".to_owned());
        let v2 = ("io.max".to_owned(), "8:0 wbps=1048576".to_owned());
        assert_eq!(first(&v1.0, &v1.1, true), Some(v2.clone()));
        assert_eq!(first(&v2.0, &v2.1, false), Some(v1.clone()));
        assert_eq!(first(&v1.0, &v1.1, false), Some(v1));
        assert_eq!(first("blkio.throttle.read_iops_device", "8:0 0", true).unwrap().1, "8:0 riops=max");
        assert_eq!(first("io.max", "8:0 rbps=1 wbps=2", false), None);
    }

    #[test]
    fn weights_are_scaled() {
        let both = translate("blkio.weight", "500", true).unwrap();
        assert_eq!(both[0], ("io.bfq.weight".to_owned(), "default 500".to_owned()));
        assert_eq!(both[1], ("io.weight".to_owned(), "default 5000".to_owned()));
        assert_eq!(first("io.weight", "default 5000", false).unwrap().1, "500");
        assert_eq!(first("blkio.leaf_weight", "x", true), None);
    }
}
