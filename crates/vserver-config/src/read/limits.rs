//! `rlimits/`, `ulimits/`, `cpuset/`, `cgroup/`, `nice`, `ionice/`: what a guest may use.

use std::collections::BTreeMap;
use std::path::Path;

use vserver_types::{CpuSet, Resource, ResourceLimit, Ulimit};

use crate::cpus;
use crate::model::{IoNice, ULIMITS, raised};
use crate::reader::{Reader, is_backup};

use super::amount::limit;

/// Files of `.defaults/cgroup` that are about the hierarchy, not about a guest.
pub(crate) const HIERARCHY: [&str; 6] = ["mnt", "subsys", "inherit", "base", "per-ss", "name"];

/// R4. The plain file sets all three bounds, `.min`, `.soft` and `.hard` then override one each.
pub(super) fn rlimits(reader: &mut Reader, dir: &Path) -> BTreeMap<Resource, ResourceLimit> {
    let mut limits = BTreeMap::new();
    for resource in Resource::ALL {
        let mut file = |suffix: &str| limit(reader, &dir.join(format!("{resource}{suffix}")));
        let all = file("");
        let found =
            ResourceLimit { min: file(".min").or(all), soft: file(".soft").or(all), hard: file(".hard").or(all) };
        if found != ResourceLimit::default() {
            limits.insert(resource, found);
        }
    }
    limits
}

/// R4 in the units of setrlimit(2). The plain file sets both bounds; the soft one is clamped to the hard one.
pub(super) fn ulimits(reader: &mut Reader, dir: &Path) -> Vec<Ulimit> {
    let dir = dir.join("ulimits");
    let mut limits = Vec::new();
    for resource in ULIMITS {
        let mut file = |suffix: &str| limit(reader, &dir.join(format!("{resource}{suffix}")));
        let both = file("");
        let (hard, soft) = (file(".hard").or(both), file(".soft").or(both));
        if hard.is_some() || soft.is_some() {
            let hard = hard.unwrap_or(raised(resource));
            limits.push(Ulimit { resource, soft: soft.map(|soft| soft.min(hard)), hard });
        }
    }
    limits
}

/// `cpuset/`; an empty directory, which build makes, is no cpuset. Both spellings of the exclusive flags are read.
pub(super) fn cpuset(reader: &mut Reader, dir: &Path) -> Option<CpuSet> {
    let dir = dir.join("cpuset");
    let mut list = |name: &str| {
        let path = dir.join(name);
        let text = reader.scalar(&path).filter(|text| !text.is_empty())?;
        if cpus::parse(&text).is_none() {
            let message = format!("'{}' is not a list of numbers", text.escape_debug());
            reader.error(&path, Some(1), message, "write it like 0-3,7");
            return None;
        }
        Some(text)
    };
    let (cpus, mems) = (list("cpus"), list("mems"));
    let mut exclusive = |name: &str, alias: &str| {
        let (real, other) = (reader.scalar(&dir.join(name)), reader.scalar(&dir.join(alias)));
        if real.is_some() && other.is_some() && real != other {
            reader.warn(&dir.join(alias), None, format!("it differs from {name}, which counts"), "remove it");
        }
        real.or(other).is_some_and(|text| text == "1")
    };
    let cpu_exclusive = exclusive("cpu_exclusive", "cpus_exclusive");
    let mem_exclusive = exclusive("mem_exclusive", "mems_exclusive");
    let any = cpus.is_some() || mems.is_some();
    any.then_some(CpuSet { cpus, mems, cpu_exclusive, mem_exclusive })
}

/// Control files of the guest's `cgroup/`, which replaces `.defaults/cgroup/` as a whole and wins over `nocgroup`.
pub(super) fn cgroup(reader: &mut Reader, dir: &Path, defaults: &Path) -> Vec<(String, String)> {
    let (own, inherited) = (dir.join("cgroup"), defaults.join("cgroup"));
    let from = match (reader.has_dir(&own), reader.has(&dir.join("nocgroup"))) {
        (true, _) => own,
        (false, true) => return Vec::new(),
        (false, false) => inherited,
    };
    let mut names = reader.names(&from);
    names.retain(|name| !HIERARCHY.contains(&name.as_str()) && !is_backup(name));
    let mut files = Vec::new();
    for name in names {
        if let Some(value) = reader.text(&from.join(&name)) {
            files.push((name, value.trim_end_matches('\n').to_owned()));
        }
    }
    files
}

/// `nice`; the kernel brings a number outside −20…19 back to the nearest of these.
pub(super) fn nice(reader: &mut Reader, dir: &Path) -> Option<i32> {
    let path = dir.join("nice");
    let value: i32 = reader.parsed(&path, "a number")?;
    let held = value.clamp(-20, 19);
    if held != value {
        let message = format!("{value} is not between -20 and 19, and is taken as {held}");
        reader.warn(&path, Some(1), message, "-20 is served first, 19 last");
    }
    Some(held)
}

/// `ionice/class` and `ionice/priority`; a level alone means class 2.
pub(super) fn ionice(reader: &mut Reader, dir: &Path) -> Option<IoNice> {
    let dir = dir.join("ionice");
    let mut number = |name: &str, least: u8, most: u8| {
        let path = dir.join(name);
        let value: u8 = reader.parsed(&path, "a number")?;
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
    let (class, priority) = (number("class", 1, 3), number("priority", 0, 7));
    (class.is_some() || priority.is_some()).then(|| IoNice { class: class.unwrap_or(2), priority })
}
