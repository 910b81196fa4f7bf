//! Labels, how many stay and who says so, and what btrfs makes of subvolumes.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::{On, Placed, same};
use crate::cases::disk::{Mounted, host_runs, image};
use crate::fixture::{Fixture, Guest};

/// The labels of its snapshots as `list` has them.
fn listed(guest: &Guest<'_>) -> Vec<String> {
    let all: serde_json::Value = serde_json::from_str(&guest.v(&["snapshot", "list", "--json"]).ok().out).unwrap();
    all.as_array().unwrap().iter().map(|one| one["label"].as_str().unwrap().to_owned()).collect()
}

pub(super) fn labels_and_retention() {
    let host = Fixture::new();
    let guest = host.guest();
    let list = || listed(&guest);
    assert!(list().is_empty());
    for wrong in [".x", "a/b", "..", "a b", "-", "", &"x".repeat(65)] {
        guest.v(&["snapshot", "create", "--", wrong]).exits(1).says("cannot be a snapshot's label");
    }
    for label in ["b", "a", "c"] {
        guest.v(&["snapshot", "create", label]).ok();
    }
    assert_eq!(list(), ["b", "a", "c"], "in the order of their times");
    guest.v(&["snapshot", "create", "a"]).exits(1).says("has a snapshot 'a' already");
    guest.v(&["snapshot", "restore", "d"]).exits(1).says("has no snapshot 'd'; it has: b, a, c");
    guest.v(&["snapshot", "delete", "a", "d"]).exits(1).says("has no snapshot 'd'");
    assert_eq!(list(), ["b", "a", "c"], "all or none");
    guest.v(&["snapshot", "create", "--keep", "0"]).exits(2);
    let label = guest.v(&["snapshot", "create", "--keep", "2"]).ok().says("'b'").says("'a'").out.trim().to_owned();
    assert_eq!(list(), ["c", &label]);
    assert!(label.len() == 16 && label.ends_with('Z') && label.as_bytes()[8] == b'T', "{label}");
    host.v(&["nobody", "snapshot", "list"]).exits(5).says("nobody");
    host.v(&["--silent", &guest.name, "delete"]).ok();
    assert_eq!(fs::read_dir(host.trees()).unwrap().count(), 0);
}

pub(super) fn a_setting_says_how_many_stay() {
    let host = Fixture::new();
    let guest = host.guest();
    let create = |words: &[&str]| {
        guest.v(&[&["snapshot", "create"], words].concat()).ok();
    };
    let labels = || listed(&guest);
    ["a", "b", "c"].iter().for_each(|label| create(&[label]));
    assert_eq!(labels(), ["a", "b", "c"], "without a setting all stay");
    let defaults = host.confdir().join(".defaults/apps/snapshot");
    fs::create_dir_all(&defaults).unwrap();
    fs::write(defaults.join("keep"), "2\n").unwrap();
    create(&["d"]);
    assert_eq!(labels(), ["c", "d"]);
    create(&["e", "--keep", "3"]);
    assert_eq!(labels(), ["c", "d", "e"], "the command line comes first");
    guest.set("apps/snapshot/keep", "all\n");
    create(&["f"]);
    assert_eq!(labels().len(), 4, "the guest's own comes before that of all");
    guest.set("apps/snapshot/keep", "1\n");
    create(&["g"]);
    assert_eq!(labels(), ["g"]);
    guest.set("apps/snapshot/keep", "0\n");
    let wrong = guest.v(&["snapshot", "create", "h"]);
    wrong.says("'0' is not a number of snapshots").says("write a number from 1 on");
    assert_ne!(wrong.code, 0);
    assert_eq!(labels(), ["g"], "nothing was made");
}

/// A snapshot of btrfs would leave them out: it is a copy then, and they are directories in it.
pub(super) fn with_subvolumes_below() {
    let host = Fixture::new();
    let placed = Placed::new(&host, On::Subvolume);
    let machines = placed.base.join(&placed.guest.name).join("srv/machines");
    host_runs("btrfs", &["-q", "subvolume", "create", machines.to_str().unwrap()]);
    let file = machines.join("one/etc/name");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "at the beginning\n").unwrap();
    let before = placed.facts(&host, None);
    placed.snapshot(&["create", "one"]).ok();
    same(&placed.facts(&host, Some("one")), &before, "the snapshot");
    placed.guest.start();
    placed.snapshot(&["create", "running"]).exits(1).says("while it runs").says("stop it with");
    placed.guest.sh("echo more >>/srv/machines/one/etc/name; echo new >/srv/machines/new").ok();
    placed.guest.stop();
    let after = placed.facts(&host, None);
    same(&placed.facts(&host, Some("one")), &before, "after the guest has written");
    let said = placed.snapshot(&["restore", "one"]).ok().out.clone();
    same(&placed.facts(&host, None), &before, "restored");
    let kept = said.rsplit('\'').nth(1).unwrap();
    same(&placed.facts(&host, Some(kept)), &after, "what was replaced");
    placed.snapshot(&["restore", "--discard", kept]).ok();
    same(&placed.facts(&host, None), &after, "back again");
    host.v(&["--silent", &placed.guest.name, "delete"]).ok();
    assert_eq!(fs::read_dir(&placed.base).unwrap().count(), 0, "and all subvolumes are gone");
}

pub(super) fn a_build_on_btrfs_is_a_subvolume_where_that_is_wished() {
    let host = Fixture::new();
    let place = host.scratch("place");
    let _mounted = Mounted::new(&image(&host, "btrfs", 320, &[]), &place);
    let defaults = host.confdir().join(".defaults");
    fs::remove_file(defaults.join("vdirbase")).unwrap();
    std::os::unix::fs::symlink(&place, defaults.join("vdirbase")).unwrap();
    let build = |words: &[&str]| {
        let (name, xid) = host.fresh();
        host.v(&[&[name.as_str(), "build", "--context", &xid.to_string()], words].concat()).ok();
        let is_subvolume = place.join(&name).metadata().unwrap().ino() == 256;
        (name, is_subvolume)
    };
    let (plain, is_subvolume) = build(&["-m", "skeleton"]);
    assert!(!is_subvolume, "unasked it is a directory");
    fs::write(place.join(&plain).join("etc/marker"), "its own\n").unwrap();
    fs::create_dir_all(defaults.join("apps/build")).unwrap();
    fs::write(defaults.join("apps/build/subvolume"), "").unwrap();
    let (first, is_subvolume) = build(&["-m", "skeleton"]);
    assert!(is_subvolume);
    let (clone, is_subvolume) = build(&["-m", "clone", "--", "--source", &plain]);
    assert!(is_subvolume && place.join(&clone).join("etc/marker").exists());
    let copy = host.fresh().0;
    host.v(&[&plain, "copy", &copy]).ok();
    assert_eq!(place.join(&copy).metadata().unwrap().ino(), 256);
    host.v(&[&first, "snapshot", "create", "one"]).ok();
    host.v(&[&first, "snapshot", "list"]).ok().says("subvolume");
    for name in [&plain, &first, &clone, &copy] {
        host.v(&["--silent", name, "delete"]).ok();
    }
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
}
