//! Names of the tree, to tell a slip of the finger from a setting.

use std::path::Path;

use vserver_types::Resource;

use crate::model::ULIMITS;
use crate::nearest::nearest;
use crate::reader::{Reader, is_backup};
use crate::sched;

const GUEST: [&str; 48] = [
    "vdir",
    "cache",
    "run",
    "name",
    "context",
    "ncontext",
    "tag",
    "noncontext",
    "disabled",
    "noisy",
    "shell",
    "keepfds",
    "legacy",
    "bcapabilities",
    "ccapabilities",
    "cflags",
    "flags",
    "nflags",
    "ncapabilities",
    "umask",
    "capabilities",
    "personality",
    "badness",
    "rlimits",
    "ulimits",
    "sched",
    "schedule",
    "nice",
    "ionice",
    "cpuset",
    "cgroup",
    "nocgroup",
    "uts",
    "fstab",
    "fstab.remote",
    "fstab.local",
    "namespace",
    "nonamespace",
    "namespace-cleanup",
    "nonamespace-cleanup",
    "namespace-cleanup-skip",
    "dlimits",
    "interfaces",
    "netns",
    "nonetns",
    "spaces",
    "userns",
    "apps",
];
const GUEST_TOO: [&str; 5] = ["scripts", "sysctl", "hostname", "domainname", "sysvipc"];
const APPS: [&str; 6] = ["init", "vshelper", "vshelper-methods", "vunify", "pkgmgmt", "vdevmap"];
const INIT: [&str; 15] = [
    "style",
    "runlevel",
    "runlevel.start",
    "runlevel.stop",
    "cmd.start",
    "cmd.stop",
    "cmd.start-sync",
    "cmd.stop-sync",
    "cmd.prepare",
    "sync",
    "killseq",
    "mark",
    "depends",
    "environment",
    "mtab",
];
const UTS: [&str; 7] = ["sysname", "nodename", "release", "version", "machine", "domainname", "context"];
const INTERFACES: [&str; 9] = ["bcast", "lback", "dev", "prefix", "mask", "scope", "extip", "vlandev", "novlandev"];
const INTERFACE: [&str; 24] = [
    "ip",
    "dev",
    "prefix",
    "mask",
    "bcast",
    "name",
    "scope",
    "peer",
    "mac",
    "extip",
    "indirect",
    "disabled",
    "nodev",
    "only_ip",
    "down",
    "vlandev",
    "novlandev",
    "tun",
    "tap",
    "nocsum",
    "shared",
    "uid",
    "gid",
    "linktype",
];
const CPUSET: [&str; 9] = [
    "name",
    "cpus",
    "mems",
    "cpu_exclusive",
    "mem_exclusive",
    "cpus_exclusive",
    "mems_exclusive",
    "virtualized",
    "nocreate",
];
const SCRIPTS: [&str; 7] =
    ["initialize", "prepre-start", "pre-start", "post-start", "pre-stop", "post-stop", "postpost-stop"];

/// Warns of every name that nothing reads, with the nearest one that is read.
pub(super) fn check(reader: &mut Reader, dir: &Path) {
    let guest: Vec<&str> = GUEST.into_iter().chain(GUEST_TOO).collect();
    level(reader, dir, &guest, false);
    level(reader, &dir.join("apps"), &APPS, false);
    level(reader, &dir.join("apps/init"), &INIT.into_iter().chain(["tty"]).collect::<Vec<_>>(), false);
    level(reader, &dir.join("uts"), &UTS, false);
    level(reader, &dir.join("cpuset"), &CPUSET, false);
    level(reader, &dir.join("ionice"), &["class", "priority"], false);
    level(reader, &dir.join("spaces"), &["pid", "net", "mask"], false);
    level(reader, &dir.join("sched"), &sched::FILES, true);
    level(reader, &dir.join("interfaces"), &INTERFACES, true);
    below(reader, &dir.join("interfaces"), &INTERFACE);
    below(reader, &dir.join("sched"), &sched::FILES);
    let owned = with_suffixes(Resource::ALL.map(Resource::name), &["", ".min", ".soft", ".hard"]);
    level(reader, &dir.join("rlimits"), &owned.iter().map(String::as_str).collect::<Vec<_>>(), false);
    let owned = with_suffixes(ULIMITS.map(Resource::name), &["", ".soft", ".hard"]);
    level(reader, &dir.join("ulimits"), &owned.iter().map(String::as_str).collect::<Vec<_>>(), false);
    let owned = with_suffixes(SCRIPTS, &["", ".d"]);
    level(reader, &dir.join("scripts"), &owned.iter().map(String::as_str).collect::<Vec<_>>(), false);
}

fn with_suffixes(names: impl IntoIterator<Item = &'static str>, suffixes: &[&str]) -> Vec<String> {
    names.into_iter().flat_map(|name| suffixes.iter().map(move |suffix| format!("{name}{suffix}"))).collect()
}

fn below(reader: &mut Reader, dir: &Path, known: &[&str]) {
    for name in reader.names(dir) {
        let sub = dir.join(name);
        if sub.is_dir() {
            level(reader, &sub, known, false);
        }
    }
}

/// `free`: subdirectories may have any name.
fn level(reader: &mut Reader, dir: &Path, known: &[&str], free: bool) {
    for name in reader.names(dir) {
        if known.contains(&name.as_str()) || is_backup(&name) || free && dir.join(&name).is_dir() {
            continue;
        }
        let hint = nearest(&name, known.iter().copied());
        let hint = hint.map(|near| format!("did you mean '{near}'?")).unwrap_or_default();
        reader.warn(&dir.join(&name), None, "nothing reads this", &hint);
    }
}
