//! CPUs and memory nodes. `Documentation/admin-guide/cgroup-v1/cpusets.rst`, `…/cgroup-v2.rst`.

use std::collections::BTreeSet;
use std::path::Path;

use vserver_types::{CpuSet, Limits};

use crate::knobs::{Knobs, Wish, refusal};
use crate::{Error, files};

const CPUS: &str = "cpuset.cpus";
const MEMS: &str = "cpuset.mems";
/// More CPUs than any kernel is built for.
const MOST: u32 = 1 << 16;

/// Gives a new v1 directory the CPUs and nodes of its parent: it begins with none, and then takes no process (`ENOSPC`).
pub(crate) fn seed_from_parent(dir: &Path) -> Result<(), Error> {
    let Some(parent) = dir.parent() else { return Ok(()) };
    for file in [CPUS, MEMS] {
        if files::read_optional(&dir.join(file))?.is_some_and(|own| own.is_empty()) {
            files::must_write(&dir.join(file), &files::read(&parent.join(file))?)?;
        }
    }
    Ok(())
}

/// Writes CPUs, nodes and exclusiveness.
pub(crate) fn apply(knobs: &mut Knobs<'_>, limits: &Limits) {
    let wanted = limits.cpuset.clone().unwrap_or_default();
    for (setting, file, list) in [("cpuset/cpus", CPUS, &wanted.cpus), ("cpuset/mems", MEMS, &wanted.mems)] {
        if knobs.v2 || knobs.dir.is_none() {
            set_v2(knobs, setting, file, list.as_deref());
        } else {
            set_v1(knobs, setting, file, list.as_deref());
        }
    }
    apply_exclusive(knobs, &wanted);
}

/// The set in force; `None` where the guest may use what the host has.
pub(crate) fn read(knobs: &Knobs<'_>) -> Option<CpuSet> {
    let list = |file: &str| {
        let own = knobs.current(file).filter(|list| !list.is_empty())?;
        (inherited(knobs, file).as_deref() != Some(own.as_str())).then_some(own)
    };
    let cpu_exclusive = knobs.current("cpuset.cpus.partition").as_deref() == Some("root");
    let set = CpuSet { cpus: list(CPUS), mems: list(MEMS), cpu_exclusive, mem_exclusive: false };
    (set != CpuSet::default()).then_some(set)
}

fn set_v2(knobs: &mut Knobs<'_>, setting: &str, file: &str, list: Option<&str>) {
    let kept;
    let list = match list {
        Some(list) if !is_taken(knobs, file, list) => match there(knobs, setting, file, list) {
            None => return,
            part => {
                kept = part;
                kept.as_deref()
            }
        },
        list => list,
    };
    // Nothing written is no command: an empty list is a newline.
    let mut value = format!("{}\n", list.unwrap_or(""));
    if list.is_none() && knobs.current(file).is_some_and(|now| !now.is_empty()) {
        knobs.put(file, &value);
        // Linux 6.1 does not let a cgroup with processes go back to no list of its own (`ENOSPC`): then all there is.
        if knobs.current(file).is_some_and(|now| !now.is_empty()) {
            value = inherited(knobs, file).unwrap_or(value);
        }
    }
    let taken = knobs.set(&Wish { setting, file, value: &value, lifts: list.is_none(), same: same_list });
    // The kernel takes a list of CPUs that are not there, and uses those that are; if there are none, the parent's.
    let effective = knobs.current(&format!("{file}.effective"));
    if taken
        && let (Some(list), Some(effective)) = (list, effective)
        && let Some(used) = members(&effective)
    {
        match members(list) {
            Some(wanted) if !used.is_subset(&wanted) => knobs.none(setting, nothing(list)),
            Some(wanted) if used != wanted => knobs.partial(setting, &only(&effective, list)),
            _ => {}
        }
    }
}

/// A kernel refuses as a whole a list with numbers that it has no room for (`ERANGE`): more than it found possible at boot.
fn is_taken(knobs: &Knobs<'_>, file: &str, list: &str) -> bool {
    knobs.put(file, list);
    knobs.current(file).is_some_and(|now| same_list(&now, list))
}

fn nothing(list: &str) -> String {
    format!("none of '{list}' is usable on this host")
}

fn only(there: &str, list: &str) -> String {
    format!("this host has only {there} of '{list}'")
}

/// What of a list the host has, as the kernel writes it, with a note where that is not all: a host with fewer CPUs than the
/// one that a configuration comes from. A v1 kernel refuses every such list as a whole.
fn there(knobs: &mut Knobs<'_>, setting: &str, file: &str, list: &str) -> Option<String> {
    let Some((wanted, usable)) = members(list).zip(inherited(knobs, file).as_deref().and_then(members)) else {
        return Some(list.to_owned());
    };
    let both: Vec<String> = wanted.intersection(&usable).map(u32::to_string).collect();
    let both = both.join(",");
    match wanted.is_subset(&usable) {
        true => return Some(list.to_owned()),
        false if both.is_empty() => knobs.none(setting, nothing(list)),
        false => knobs.partial(setting, &only(&both, list)),
    }
    Some(both).filter(|both| !both.is_empty())
}

/// A child's list must be part of its parent's at any moment: to move both, the parent first holds old and new.
fn set_v1(knobs: &mut Knobs<'_>, setting: &str, file: &str, list: Option<&str>) {
    let Some(dir) = knobs.dir.clone() else { return };
    let list = match list {
        Some(list) => match there(knobs, setting, file, list) {
            Some(list) => Some(list),
            None => return,
        },
        None => None,
    };
    let given = list.is_some();
    let wanted = list.or_else(|| inherited(knobs, file));
    let (Some(wanted), Some(now)) = (wanted, knobs.current(file)) else {
        if given {
            knobs.none(setting, format!("cannot read {file}"));
        }
        return;
    };
    if same_list(&now, &wanted) {
        return;
    }
    let both = format!("{now},{wanted}");
    let inner = dir.join("guest").join(file);
    let steps = [(dir.join(file), both.as_str()), (inner, wanted.as_str())];
    for (path, value) in steps {
        if let Err(error) = files::write(&path, value) {
            knobs.put(file, &now);
            knobs.none(setting, refusal(file, &wanted, &error));
            return;
        }
    }
    knobs.set(&Wish { setting, file, value: &wanted, lifts: false, same: same_list });
}

fn apply_exclusive(knobs: &mut Knobs<'_>, wanted: &CpuSet) {
    const SETTING: &str = "cpuset/cpu_exclusive";
    if wanted.mem_exclusive {
        let reason =
            "cgroup v2 has no exclusive nodes, and on v1 it would take all nodes from the host's other cpusets";
        knobs.none("cpuset/mem_exclusive", reason);
    }
    if !knobs.v2 {
        if wanted.cpu_exclusive {
            knobs.none(SETTING, "on cgroup v1 it would take all CPUs from the host's other cpusets");
        }
        return;
    }
    let value = if wanted.cpu_exclusive { "root" } else { "member" };
    let same = |have: &str, want: &str| have == want;
    let file = "cpuset.cpus.partition";
    knobs.set(&Wish { setting: SETTING, file, value, lifts: !wanted.cpu_exclusive, same });
    // A partition that is "root invalid (…)" would keep its place in line and become valid by surprise.
    if wanted.cpu_exclusive && knobs.current(file).is_some_and(|now| now != "root") {
        knobs.put(file, "member");
    }
}

/// What `vserver/` may use, and a guest without a list of its own with it.
fn inherited(knobs: &Knobs<'_>, file: &str) -> Option<String> {
    let base = knobs.dir.as_ref()?.parent()?;
    let list = if knobs.v2 { format!("{file}.effective") } else { file.to_owned() };
    files::read(&base.join(list)).ok()
}

/// Whether two lists name the same members.
fn same_list(have: &str, want: &str) -> bool {
    members(have).is_some_and(|have| members(want).is_some_and(|want| have == want))
}

/// The members of a list in the kernel's format; `None` if it is not one.
pub(crate) fn members(list: &str) -> Option<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse::<u32>().ok()?, last.trim().parse::<u32>().ok()?);
        if last >= MOST || first > last {
            return None;
        }
        found.extend(first..=last);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sets() {
        assert!(same_list("0-3,7", "7,0,1,2-3\n"));
        assert!(same_list("", "\n"));
        assert!(!same_list("0", "0-1"));
        for bad in ["x", "3-1", "0-99999999", "1-"] {
            assert_eq!(members(bad), None, "{bad}");
        }
    }
}
