//! `rlimits/`, `ulimits/`, `cpuset/`, `cgroup/`, `nice`, `ionice/`, `sysctl/`.

use std::path::Path;

use vserver_types::{CpuSet, Resource, ResourceLimit, Rlimit, Ulimit};

use super::super::editor::Editor;
use crate::model::{GuestConfig, ULIMITS};
use crate::read::{HIERARCHY, parse_limit};
use crate::reader::{Reader, is_backup};

pub(super) fn plan(editor: &mut Editor<'_>, defaults: &Path, now: &GuestConfig, wanted: &GuestConfig) {
    for resource in Resource::ALL {
        let limit = |config: &GuestConfig| config.rlimits.get(&resource).copied().unwrap_or_default();
        if limit(now) != limit(wanted) {
            total(editor, resource, limit(wanted));
        }
    }
    for resource in ULIMITS {
        let limit = |config: &GuestConfig| config.ulimits.iter().find(|limit| limit.resource == resource).copied();
        if limit(now) != limit(wanted) {
            per_process(editor, resource, limit(wanted));
        }
    }
    if now.cpuset != wanted.cpuset {
        cpuset(editor, wanted.cpuset.as_ref());
    }
    if now.cpuset_virtualized != wanted.cpuset_virtualized {
        editor.scalar("cpuset/virtualized", Some(if wanted.cpuset_virtualized { "1" } else { "0" }));
    }
    if now.cgroup != wanted.cgroup {
        cgroup(editor, defaults, &wanted.cgroup);
    }
    if now.nice != wanted.nice {
        editor.scalar("nice", wanted.nice.map(|nice| nice.to_string()).as_deref());
    }
    if now.ionice != wanted.ionice {
        let level = wanted.ionice.and_then(|ionice| ionice.priority);
        editor.scalar("ionice/class", wanted.ionice.map(|ionice| ionice.class.to_string()).as_deref());
        editor.scalar("ionice/priority", level.map(|level| level.to_string()).as_deref());
    }
    if now.sysctl != wanted.sysctl {
        sysctl(editor, &wanted.sysctl);
    }
}

/// One file for three equal bounds, else one for each.
fn total(editor: &mut Editor<'_>, resource: Resource, wanted: ResourceLimit) {
    let ResourceLimit { min, soft, hard } = wanted;
    let file = |suffix: &str| format!("rlimits/{resource}{suffix}");
    let all = hard.filter(|_| min == hard && soft == hard);
    limit(editor, &file(""), all);
    for (suffix, own) in [(".min", min), (".soft", soft), (".hard", hard)] {
        limit(editor, &file(suffix), own.filter(|_| all.is_none()));
    }
}

fn per_process(editor: &mut Editor<'_>, resource: Resource, wanted: Option<Ulimit>) {
    let file = |suffix: &str| format!("ulimits/{resource}{suffix}");
    let (soft, hard) = (wanted.and_then(|wanted| wanted.soft), wanted.map(|wanted| wanted.hard));
    let both = hard.filter(|_| soft == hard);
    limit(editor, &file(""), both);
    limit(editor, &file(".soft"), soft.filter(|_| both.is_none()));
    limit(editor, &file(".hard"), hard.filter(|_| both.is_none()));
}

fn limit(editor: &mut Editor<'_>, file: &str, wanted: Option<Rlimit>) {
    let Some(wanted) = wanted else { return editor.remove(file) };
    let now = editor.text(file);
    if now.as_deref().and_then(|now| parse_limit(now).ok()).flatten() == Some(wanted) {
        return;
    }
    let rest = now.as_deref().and_then(|text| text.split_once('\n')).map_or("", |(_, rest)| rest);
    editor.put(file, format!("{}\n{rest}", number(wanted)));
}

/// The two largest numbers mean something else, which is found when it is read back.
fn number(limit: Rlimit) -> String {
    match limit {
        Rlimit::Value(value) => value.to_string(),
        Rlimit::Infinity => "inf".to_owned(),
    }
}

/// The names that the original reads; a value under the other name would count where that one is missing.
fn cpuset(editor: &mut Editor<'_>, wanted: Option<&CpuSet>) {
    let CpuSet { cpus, mems, cpu_exclusive, mem_exclusive } = &wanted.cloned().unwrap_or_default();
    for (file, list) in [("cpuset/cpus", cpus), ("cpuset/mems", mems)] {
        if editor.value(file).filter(|text| !text.is_empty()) != *list {
            editor.scalar(file, list.as_deref());
        }
    }
    for (file, alias, set) in [
        ("cpuset/cpu_exclusive", "cpuset/cpus_exclusive", *cpu_exclusive),
        ("cpuset/mem_exclusive", "cpuset/mems_exclusive", *mem_exclusive),
    ] {
        let now = editor.value(file).or_else(|| editor.value(alias)).is_some_and(|text| text == "1");
        if wanted.is_some() && now != set {
            editor.scalar(file, Some(if set { "1" } else { "0" }));
            editor.remove(alias);
        }
    }
}

/// An own directory replaces the host's as a whole.
fn cgroup(editor: &mut Editor<'_>, defaults: &Path, wanted: &[(String, String)]) {
    if !editor.is_dir("cgroup") {
        editor.directory("cgroup");
        // Otherwise the guest would leave a cgroup that it shares with others.
        let name = Reader::default().text(&defaults.join("cgroup/name"));
        name.into_iter().for_each(|name| editor.put("cgroup/name", name));
    }
    let not_ours = |name: &String| HIERARCHY.contains(&name.as_str()) || is_backup(name);
    for name in editor.names("cgroup").into_iter().filter(|name| !not_ours(name)) {
        if wanted.iter().all(|(shall, _)| *shall != name) {
            editor.remove(&format!("cgroup/{name}"));
        }
    }
    for (name, value) in wanted {
        let file = format!("cgroup/{name}");
        if editor.text(&file).is_none_or(|text| text.trim_end_matches('\n') != value) {
            editor.put(&file, format!("{value}\n"));
        }
    }
}

/// Entries have names that mean nothing but their order. Those that fit stay; new ones come behind them.
fn sysctl(editor: &mut Editor<'_>, wanted: &[(String, String)]) {
    let (mut left, mut last) = (wanted, String::new());
    let entries = editor.names("sysctl");
    let taken = |path: &str| entries.iter().any(|entry| path.strip_prefix("sysctl/") == Some(entry));
    for entry in &entries {
        let setting = editor.text(&format!("sysctl/{entry}/setting")).unwrap_or_default();
        let setting = setting.lines().next().unwrap_or_default().trim().replace('.', "/");
        match left.split_first() {
            Some(((name, value), rest)) if *name == setting => {
                editor.put(&format!("sysctl/{entry}/value"), value.clone());
                (left, last) = (rest, entry.clone());
            }
            _ => editor.set_aside(&format!("sysctl/{entry}")),
        }
    }
    let prefix = if last.is_empty() { "0".to_owned() } else { last };
    let mut free = (0..).map(|number: u32| format!("sysctl/{prefix}-{number:04}")).filter(|entry| !taken(entry));
    for ((name, value), entry) in left.iter().zip(&mut free) {
        editor.put(&format!("{entry}/setting"), format!("{}\n", name.replace('/', ".")));
        editor.put(&format!("{entry}/value"), value.clone());
    }
}
