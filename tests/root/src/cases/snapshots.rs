//! Snapshots on every kind of file system: nothing changes one, a restore is all or nothing, and all of it goes.

mod settings;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::Pid;
use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};

use super::disk::{Mounted, host_runs, image, moved};
use crate::fixture::{Fixture, Guest, Ran};
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    let btrfs = || Need::Tool("mkfs.btrfs");
    let ext4 = || Need::Tool("mkfs.ext4");
    vec![
        Trial::new("snapshots::of_a_directory", || kept_and_restored(On::Ext4)).needs(ext4()),
        Trial::new("snapshots::killed_at_any_moment", || killed_at_any_moment(On::Ext4)).needs(ext4()).within(900),
        Trial::new("snapshots::killed_at_every_change", killed_at_every_change)
            .needs(ext4())
            .needs(Need::Tool("strace"))
            .within(900),
        Trial::new("snapshots::of_a_directory_on_btrfs", || kept_and_restored(On::Btrfs)).needs(btrfs()),
        Trial::new("snapshots::of_a_subvolume", || kept_and_restored(On::Subvolume)).needs(btrfs()),
        Trial::new("snapshots::killed_on_btrfs", || killed_at_any_moment(On::Subvolume)).needs(btrfs()).within(900),
        Trial::new("snapshots::of_an_image", || kept_and_restored(On::Image)).needs(ext4()),
        Trial::new("snapshots::of_an_image_that_is_in_use", || kept_and_restored(On::SharedImage))
            .needs(ext4())
            .needs(btrfs()),
        Trial::new("snapshots::killed_with_an_image", || killed_at_any_moment(On::Image)).needs(ext4()).within(900),
        Trial::new("snapshots::labels_and_retention", settings::labels_and_retention),
        Trial::new("snapshots::a_setting_says_how_many_stay", settings::a_setting_says_how_many_stay),
        Trial::new("snapshots::with_subvolumes_below", settings::with_subvolumes_below).needs(btrfs()),
        Trial::new(
            "snapshots::a_build_on_btrfs_is_a_subvolume_where_that_is_wished",
            settings::a_build_on_btrfs_is_a_subvolume_where_that_is_wished,
        )
        .needs(btrfs()),
        Trial::new("snapshots::unification_changes_none", unification_changes_none).needs(ext4()),
        Trial::new("snapshots::they_follow_their_guest", they_follow_their_guest),
    ]
}

/// What the guest is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Ext4,
    Btrfs,
    Subvolume,
    Image,
    /// An image on a file system that shares blocks.
    SharedImage,
}

impl On {
    fn is_image(self) -> bool {
        matches!(self, Self::Image | Self::SharedImage)
    }

    /// Whether a snapshot can be taken while the guest runs.
    fn at_one_moment(self) -> bool {
        matches!(self, Self::Subvolume | Self::SharedImage)
    }
}

/// A guest and where it is.
struct Placed<'a> {
    guest: Guest<'a>,
    on: On,
    /// What its tree, or its image, lies in.
    base: PathBuf,
    _mounted: Mounted,
}

impl<'a> Placed<'a> {
    fn new(host: &'a Fixture, on: On) -> Self {
        let guest = host.guest();
        plant(&guest.root);
        let base = host.scratch("place");
        let kind = if matches!(on, On::Ext4 | On::Image) { "ext4" } else { "btrfs" };
        let _mounted = Mounted::new(&image(host, kind, 320, &[]), &base);
        let tree = base.join(&guest.name);
        match on {
            On::Subvolume => drop(host_runs("btrfs", &["-q", "subvolume", "create", tree.to_str().unwrap()])),
            _ => fs::create_dir(&tree).unwrap(),
        }
        if on.is_image() {
            let disk = base.join(format!("{}.img", guest.name));
            File::create(&disk).unwrap().set_len(64 << 20).unwrap();
            host_runs("mkfs.ext4", &["-q", disk.to_str().unwrap()]);
            let within = Mounted::new(&disk, &host.scratch("within"));
            host_runs(
                "cp",
                &["-a", &format!("{}/.", guest.root.display()), host.scratch("within").to_str().unwrap()],
            );
            drop(within);
            guest.set("disk/image", &format!("{}\n", disk.display()));
            fs::remove_file(guest.cfg.join("vdir")).unwrap();
            std::os::unix::fs::symlink(&tree, guest.cfg.join("vdir")).unwrap();
        } else {
            moved(&guest, &tree);
        }
        Self { guest, on, base, _mounted }
    }

    fn snapshot(&self, words: &[&str]) -> Ran {
        self.guest.v(&[&["snapshot"], words].concat())
    }

    fn snapshots(&self) -> PathBuf {
        let end = if self.on.is_image() { ".img" } else { "" };
        self.base.join(format!(".{}{end}.snapshots", self.guest.name))
    }

    /// What is in the guest, or in one of its snapshots.
    fn facts(&self, host: &Fixture, label: Option<&str>) -> BTreeMap<PathBuf, Facts> {
        let live = self.base.join(&self.guest.name);
        if !self.on.is_image() {
            return facts(&label.map_or(live.clone(), |label| self.snapshots().join(label).join("tree")));
        }
        let disk = live.with_extension("img");
        let disk = label.map_or(disk, |label| self.snapshots().join(label).join("disk.img"));
        let copy = host.scratch("copies").join("disk.img");
        host_runs("cp", &["--sparse=always", disk.to_str().unwrap(), copy.to_str().unwrap()]);
        let _mounted = Mounted::new(&copy, &host.scratch("looked-at"));
        let mut found = facts(&host.scratch("looked-at"));
        found.retain(|path, _| !path.starts_with("lost+found"));
        found
    }

    /// What the list says of one: its size and its own bytes.
    fn sizes(&self, label: &str) -> (u64, u64) {
        let text = self.snapshot(&["list", "--json"]).ok().out.clone();
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        let one =
            all.as_array().unwrap().iter().find(|one| one["label"] == label).unwrap_or_else(|| panic!("{text}"));
        (one["size_bytes"].as_u64().unwrap(), one["own_bytes"].as_u64().unwrap())
    }
}

/// An attribute.
const COLOUR: &str = "user.colour";

/// Content or target, mode, owner, time, device, attributes.
type Facts = (Vec<u8>, u32, (u32, u32), i64, u64, Vec<u8>);

/// Of everything in a tree but sockets.
fn facts(tree: &Path) -> BTreeMap<PathBuf, Facts> {
    let mut all = BTreeMap::new();
    let mut dirs = vec![tree.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let found = path.symlink_metadata().unwrap();
            let kind = found.file_type();
            let content = match kind {
                _ if kind.is_socket() => continue,
                _ if kind.is_file() => fs::read(&path).unwrap(),
                _ if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
                _ => Vec::new(),
            };
            if kind.is_dir() {
                dirs.push(path.clone());
            }
            let mut value = [0; 16];
            let length = lgetxattr(&path, COLOUR, &mut value[..]).unwrap_or(0);
            let attributes = value[..length].to_vec();
            let own = (found.uid(), found.gid());
            let facts = (content, found.mode(), own, found.mtime(), found.rdev(), attributes);
            all.insert(path.strip_prefix(tree).unwrap().to_owned(), facts);
        }
    }
    all
}

/// Things that are easily lost.
fn plant(tree: &Path) {
    for n in 0..120 {
        let path = tree.join(format!("srv/dir{}/file{n}", n % 7));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("content {n}\n").repeat(200)).unwrap();
        chown(&path, Some(n % 3), Some(n % 2)).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(if n % 7 == 0 { 0o4755 } else { 0o640 })).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + u64::from(n));
        File::open(&path).unwrap().set_modified(time).unwrap();
    }
    fs::write(tree.join("srv/attributed"), "x").unwrap();
    lsetxattr(tree.join("srv/attributed"), COLOUR, b"red", XattrFlags::empty()).unwrap();
    mknod(&tree.join("srv/null"), SFlag::S_IFCHR, Mode::from_bits_truncate(0o660), makedev(1, 3)).unwrap();
    mknod(&tree.join("srv/fifo"), SFlag::S_IFIFO, Mode::from_bits_truncate(0o600), 0).unwrap();
    fs::write(tree.join("etc/own.conf"), "at the beginning\n").unwrap();
}

const CHANGE: &str = "set -e; echo more >> /srv/dir0/file0; chmod 600 /srv/dir1/file1; chown 33:33 /srv/dir2/file2; rm /srv/dir3/file3; \
     mv /srv/dir4/file4 /srv/moved; rm -r /srv/dir5; echo new > /srv/new; echo other > /etc/own.conf; chmod 700 /srv/dir6; \
     dd if=/dev/urandom of=/srv/large bs=1M count=4; rm /srv/null; sync";

fn kept_and_restored(on: On) {
    let host = Fixture::new();
    let placed = Placed::new(&host, on);
    let guest = &placed.guest;
    let before = placed.facts(&host, None);
    assert_eq!(placed.snapshot(&["create", "one"]).ok().out, "one\n");
    assert_eq!(fs::metadata(placed.snapshots()).unwrap().mode() & 0o777, 0o700);
    same(&placed.facts(&host, Some("one")), &before, "the snapshot");
    let (size, own) = placed.sizes("one");
    let shares = on != On::Image;
    assert!(size > 500_000 && own <= size && (!shares || own < size / 2), "{size} and {own}");
    guest.start();
    if on.at_one_moment() {
        placed.snapshot(&["create", "running"]).ok();
        let (found, path) = (placed.facts(&host, Some("running")), Path::new("srv/attributed"));
        assert_eq!(found.get(path), before.get(path));
    } else {
        placed.snapshot(&["create", "running"]).exits(1).says("while it runs").says("stop it with");
        assert!(!placed.snapshots().join("running").exists());
    }
    guest.sh(CHANGE).ok();
    placed.snapshot(&["restore", "one"]).exits(1).says("stop it with");
    guest.stop();
    same(&placed.facts(&host, Some("one")), &before, "after the guest has written");
    if on == On::Ext4 {
        // Also what an administrator writes in place, where that is usual.
        let conf = placed.base.join(&guest.name).join("etc/hostname");
        fs::write(&conf, "at the beginning\n").unwrap();
        placed.snapshot(&["create", "edited"]).ok();
        let edited = placed.facts(&host, Some("edited"));
        fs::write(&conf, "in place\n").unwrap();
        same(&placed.facts(&host, Some("edited")), &edited, "after an edit");
    }
    let after = placed.facts(&host, None);
    assert_ne!(after.get(Path::new("etc/own.conf")), before.get(Path::new("etc/own.conf")));
    let said = placed.snapshot(&["restore", "one"]).ok().out.clone();
    let kept = said.rsplit('\'').nth(1).unwrap().to_owned();
    same(&placed.facts(&host, None), &before, "restored");
    same(&placed.facts(&host, Some(&kept)), &after, "what was replaced");
    guest.start().sh("cat /srv/dir0/file0 | head -n 1; cat /etc/own.conf").ok().says("content 0").says("beginning");
    guest.sh("echo again >> /srv/dir0/file7").ok();
    guest.stop();
    same(&placed.facts(&host, Some("one")), &before, "after the restored guest has written");
    placed.snapshot(&["restore", "--discard", &kept]).ok();
    same(&placed.facts(&host, None), &after, "back again");
    let labels =
        fs::read_dir(placed.snapshots()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let labels: Vec<String> = labels.collect();
    let mut words = vec!["delete"];
    words.extend(labels.iter().map(String::as_str));
    placed.snapshot(&words).ok();
    assert!(!placed.snapshots().exists(), "nothing is left of them");
    same(&placed.facts(&host, None), &after, "without them");
    placed.snapshot(&["create"]).ok();
    host.v(&["--silent", &guest.name, "delete"]).ok();
    let left: Vec<_> = fs::read_dir(&placed.base).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "lost+found"), "{left:?}");
}

#[track_caller]
fn same(found: &BTreeMap<PathBuf, Facts>, wanted: &BTreeMap<PathBuf, Facts>, what: &str) {
    for (path, facts) in wanted {
        let brief = |facts: &Facts| {
            format!(
                "{} bytes, {:o}, {:?}, {}, {:x}, {:?}",
                facts.0.len(),
                facts.1,
                facts.2,
                facts.3,
                facts.4,
                facts.5
            )
        };
        assert!(
            found.get(path) == Some(facts),
            "{what}: {}: {:?} for {}",
            path.display(),
            found.get(path).map(brief),
            brief(facts)
        );
    }
    let more: Vec<_> = found.keys().filter(|path| !wanted.contains_key(*path)).collect();
    assert!(more.is_empty(), "{what}: {more:?}");
}

/// A restore leaves what was or what is wanted, whatever moment it is killed at; what was is not lost.
fn killed_at_any_moment(on: On) {
    let host = Fixture::new();
    let placed = Placed::new(&host, on);
    let guest = &placed.guest;
    let first = placed.facts(&host, None);
    placed.snapshot(&["create", "first"]).ok();
    guest.start().sh(CHANGE).ok();
    guest.stop();
    let second = placed.facts(&host, None);
    placed.snapshot(&["create", "second"]).ok();
    let begun = Instant::now();
    placed.snapshot(&["restore", "first"]).ok();
    let mut reach = begun.elapsed();
    let is = |wanted| &placed.facts(&host, None) == wanted;
    assert!(is(&first));
    let (mut hit, mut replaced) = (0, 0);
    let many = if on.is_image() { 12 } else { 25 };
    for n in 0..many {
        let (goal, was) = if is(&first) { ("second", &first) } else { ("first", &second) };
        let wanted = if goal == "first" { &first } else { &second };
        // Spread by the golden ratio, so that no rhythm of the program is met again and again.
        let moment = reach.mul_f64((f64::from(n) * 0.618_034).fract());
        let mut child = guest.host_command(&["snapshot", "restore", goal]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment);
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGKILL).unwrap();
        let killed = !child.wait().unwrap().success();
        hit += u32::from(killed);
        let when = format!("killed after {moment:?} of {reach:?}");
        let found = placed.facts(&host, None);
        assert!(found == *was || found == *wanted, "{when}: neither");
        // The machine is slower or faster than at the first one: the end is where it is interesting.
        reach = reach.mul_f64(if killed && found == *was { 1.2 } else { 0.9 });
        // Whatever the next one is, it finishes that.
        placed.snapshot(&["create", "next"]).ok();
        let labels: Vec<String> = labels(&placed);
        assert!(labels.iter().all(|label| !label.starts_with('.')), "{when}: {labels:?}");
        for label in ["first", "second"] {
            same(&placed.facts(&host, Some(label)), if label == "first" { &first } else { &second }, &when);
        }
        let others = labels.iter().filter(|label| !["first", "second", "next"].contains(&label.as_str()));
        let others: Vec<&str> = others.map(String::as_str).collect();
        if found == *wanted {
            replaced += 1;
            let kept = others.last().unwrap_or_else(|| panic!("{when}: {labels:?}"));
            same(&placed.facts(&host, Some(kept)), was, &format!("{when}: what was replaced"));
        }
        placed.snapshot(&[&["delete", "next"], &others[..]].concat()).ok();
    }
    assert!(hit > 0 && replaced > 0, "{hit} killed, {replaced} replaced");
    placed.snapshot(&["delete", "first", "second"]).ok();
    assert!(labels(&placed).is_empty());
}

/// The same at each call that changes a name or makes a change last.
fn killed_at_every_change() {
    let host = Fixture::new();
    let placed = Placed::new(&host, On::Ext4);
    let marker = placed.base.join(&placed.guest.name).join("srv/marker");
    fs::write(&marker, "old").unwrap();
    placed.snapshot(&["create", "old"]).ok();
    let (mut replaced, mut kills) = (0, 0);
    for call in ["rename", "renameat2", "mkdir", "mkdirat", "rmdir", "unlink", "fsync", "syncfs"] {
        for nth in 1..1000 {
            let when = format!("at {call} {nth}");
            // The file with the old content has a name in the snapshot, too.
            fs::remove_file(&marker).unwrap();
            fs::write(&marker, "new").unwrap();
            let done = restored_but_killed(&host, &placed.guest, call, nth);
            let is_old = fs::read_to_string(&marker).unwrap() == "old";
            after_the_kill(&placed, &marker, is_old, &when);
            if done {
                assert!(is_old, "{when}");
                break;
            }
            kills += 1;
            replaced += u32::from(is_old);
        }
    }
    assert!(kills > 15 && replaced > 2 && replaced < kills, "{kills} kills, {replaced} after the exchange");
}

/// Whether it came to its end.
fn restored_but_killed(host: &Fixture, guest: &Guest<'_>, call: &str, nth: u32) -> bool {
    let vserver = host.command("vserver").get_program().to_owned();
    let inject = format!("inject={call}:signal=KILL:when={nth}");
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]).arg(vserver);
    strace.args([&guest.name, "snapshot", "restore", "old"]).env("VSERVER_CONFDIR", host.confdir());
    strace.env("VSERVER_LOCKDIR", host.locks()).stdin(Stdio::null()).output().unwrap().status.success()
}

/// The tree is the old or the new one, and if it was replaced there is a snapshot of what it was, once the next command has run.
#[track_caller]
fn after_the_kill(placed: &Placed<'_>, marker: &Path, is_old: bool, when: &str) {
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    assert!(is_old || read(marker) == "new", "{when}");
    placed.snapshot(&["create", "next"]).ok();
    assert_eq!(read(marker) == "old", is_old, "{when}");
    let all = labels(placed);
    assert!(all.iter().all(|label| !label.starts_with('.')), "{when}: {all:?}");
    let kept: Vec<&String> = all.iter().filter(|label| !["old", "next"].contains(&label.as_str())).collect();
    assert_eq!(kept.len(), usize::from(is_old), "{when}: {all:?}");
    for label in kept {
        let entry = placed.snapshots().join(label);
        assert_eq!(read(&entry.join("tree/srv/marker")), "new", "{when}");
        assert!(!entry.join("order").exists());
        placed.snapshot(&["delete", label]).ok();
    }
    placed.snapshot(&["delete", "next"]).ok();
}

fn labels(placed: &Placed<'_>) -> Vec<String> {
    let mut all: Vec<_> = fs::read_dir(placed.snapshots())
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    all.sort();
    all
}

/// Files of guests that become one inode, become own again, or are cloned: a snapshot stays what it is.
fn unification_changes_none() {
    let host = Fixture::new();
    let placed = Placed::new(&host, On::Ext4);
    let other = host.guest();
    plant(&other.root);
    let tree = placed.base.join(&other.name);
    fs::create_dir(&tree).unwrap();
    moved(&other, &tree);
    for guest in [&placed.guest, &other] {
        fs::create_dir_all(guest.cfg.join("apps/vunify/hash")).unwrap();
        guest.set("apps/vunify/pkgmgmt-ignore", "");
        guest.set("apps/vunify/exclude", "/dev\n");
        std::os::unix::fs::symlink(placed.base.join(".hash"), guest.cfg.join("apps/vunify/hash/00")).unwrap();
    }
    let before = placed.facts(&host, None);
    placed.snapshot(&["create", "one"]).ok();
    host.tool("vhashify", &["--ignore-mtime", &placed.guest.name, &other.name]).ok();
    let inode = |tree: &Path| tree.join("srv/dir0/file7").metadata().unwrap().ino();
    assert_eq!(inode(&placed.base.join(&placed.guest.name)), inode(&tree), "they share");
    same(&placed.facts(&host, Some("one")), &before, "after vhashify");
    for guest in [&other, &placed.guest] {
        guest.start().sh(CHANGE).ok();
        guest.stop();
    }
    same(&placed.facts(&host, Some("one")), &before, "after both have written");
    placed.guest.v(&["flatten"]).ok();
    same(&placed.facts(&host, Some("one")), &before, "after flatten");
    placed.guest.start().sh("set -e; echo more >> /srv/dir0/file7; rm -r /srv/dir1").ok();
    placed.guest.stop();
    same(&placed.facts(&host, Some("one")), &before, "after what is its own was written to");
    placed.snapshot(&["restore", "--discard", "one"]).ok();
    same(&placed.facts(&host, None), &before, "restored");
    host.v(&["--silent", &placed.guest.name, "delete"]).ok();
}

fn they_follow_their_guest() {
    let host = Fixture::new();
    let guest = host.guest();
    let marker = |root: &Path| root.join("etc/marker");
    fs::write(marker(&guest.root), "old").unwrap();
    guest.v(&["snapshot", "create", "one"]).ok();
    let (new, copy) = (host.fresh().0, host.fresh().0);
    guest.v(&["copy", &copy]).ok();
    assert_eq!(host.v(&[&copy, "snapshot", "list", "--json"]).ok().out, "[]\n", "a copy begins anew");
    guest.v(&["rename", &new]).ok();
    fs::write(marker(&host.trees().join(&new)), "new").unwrap();
    host.v(&[&new, "snapshot", "restore", "one"]).ok();
    assert_eq!(fs::read(marker(&host.trees().join(&new))).unwrap(), b"old");
    let xid = guest.xid.to_string();
    host.v(&[&new, "build", "-m", "skeleton", "--force", "--context", &xid]).ok();
    assert_eq!(host.v(&[&new, "snapshot", "list", "--json"]).ok().out, "[]\n", "those of the guest that was there");
    let named = |name: &str| {
        let entries =
            fs::read_dir(host.trees()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.filter(|entry| entry.contains(name)).collect::<Vec<_>>()
    };
    assert!(named(&new).iter().any(|entry| entry.ends_with("~.snapshots")), "{:?}", named(&new));
    host.v(&["--silent", &copy, "delete"]).ok();
    assert!(named(&copy).is_empty());
    host.v(&["--silent", &new, "delete"]).ok();
}
