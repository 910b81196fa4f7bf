//! R01, R05: whatever a guest's tree holds, and whatever we do in it, nothing outside changes and nothing hangs.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use vserver_fs::{Error, GuestRoot, Owner, remove_guest_tree, tree};

const NAMES: [&str; 4] = ["a", "b", "c", "etc"];

/// What stands at a name before we come.
#[derive(Clone, Debug)]
enum Trap {
    Directory,
    File,
    Fifo,
    LinkOut,
    LinkUp,
    LinkAbsolute(usize),
    LinkMagic,
}

#[derive(Clone, Debug)]
enum Act {
    Write,
    MakeDirs,
    Symlink,
    Fifo,
    Chown,
    Chmod,
    Rename(String),
    Read,
    Remove,
    Copy,
}

fn name() -> impl Strategy<Value = String> {
    let part = proptest::sample::select(vec!["a", "b", "c", "etc", "..", ".", "canary"]);
    proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"))
}

fn trap() -> impl Strategy<Value = (usize, usize, Trap)> {
    let kind = prop_oneof![
        Just(Trap::Directory),
        Just(Trap::File),
        Just(Trap::Fifo),
        Just(Trap::LinkOut),
        Just(Trap::LinkUp),
        (0..4usize).prop_map(Trap::LinkAbsolute),
        Just(Trap::LinkMagic),
    ];
    (0..4usize, 0..5usize, kind)
}

fn act() -> impl Strategy<Value = (String, Act)> {
    let what = prop_oneof![
        Just(Act::Write),
        Just(Act::MakeDirs),
        Just(Act::Symlink),
        Just(Act::Fifo),
        Just(Act::Chown),
        Just(Act::Chmod),
        name().prop_map(Act::Rename),
        Just(Act::Read),
        Just(Act::Remove),
        Just(Act::Copy),
    ];
    (name(), what)
}

fn set(base: &Path, at: &Path, trap: &Trap) {
    if at.symlink_metadata().is_ok() {
        return;
    }
    match trap {
        Trap::Directory => std::fs::create_dir(at).ok(),
        Trap::File => std::fs::write(at, "guest").ok(),
        Trap::Fifo => nix::unistd::mkfifo(at, nix::sys::stat::Mode::S_IRWXU).ok(),
        Trap::LinkOut => symlink(base.join("canary"), at).ok(),
        Trap::LinkUp => symlink("../../canary", at).ok(),
        Trap::LinkAbsolute(n) => symlink(format!("/{}", NAMES[*n]), at).ok(),
        Trap::LinkMagic => symlink("/proc/self/cwd", at).ok(),
    };
}

/// Everything outside the root that may not change: names, owners, modes, contents.
fn outside(base: &Path) -> BTreeMap<PathBuf, (u32, u32, u64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for dir in [base.to_owned(), base.join("canary")] {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let bytes = if meta.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
            let links = if meta.is_file() { meta.nlink() } else { 1 };
            found.insert(path, (meta.uid(), meta.mode(), links, bytes));
        }
    }
    found
}

fn perform(root: &GuestRoot, base: &Path, name: &str, act: &Act) {
    // Each may succeed or fail; what counts is where it happens.
    match act {
        Act::Write => drop(root.write_atomic(name, b"new", 0o777, Some(Owner { uid: 9, gid: 9 }))),
        Act::MakeDirs => drop(root.create_dir_all(name, 0o777)),
        Act::Symlink => drop(root.symlink(base.join("canary"), name)),
        Act::Fifo => drop(root.mknod(name, nix::sys::stat::SFlag::S_IFIFO, 0o777, 0)),
        Act::Chown => drop(root.chown(name, Owner { uid: 9, gid: 9 })),
        Act::Chmod => drop(root.chmod(name, 0o777)),
        Act::Rename(to) => drop(root.rename(name, to)),
        Act::Read => assert_ne!(root.read(name, 100).ok().as_deref(), Some(&b"host"[..])),
        Act::Remove => drop(root.remove_tree(name)),
        Act::Copy => drop(tree::copy_from_host(root, Path::new("/proc/self/comm"), name)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_outside_the_root_changes(
        traps in proptest::collection::vec(trap(), 0..12),
        acts in proptest::collection::vec(act(), 1..20),
    ) {
        let dir = tempfile::Builder::new().prefix("build-traps-").tempdir().unwrap();
        let base = dir.path();
        std::fs::create_dir_all(base.join("root")).unwrap();
        std::fs::create_dir(base.join("canary")).unwrap();
        for name in NAMES {
            std::fs::write(base.join("canary").join(name), "host").unwrap();
        }
        for (first, second, trap) in &traps {
            let top = base.join("root").join(NAMES[*first]);
            let at = if *second < 4 && top.is_dir() && !top.is_symlink() { top.join(NAMES[*second]) } else { top };
            set(base, &at, trap);
        }
        let before = outside(base);
        let root = GuestRoot::open(&base.join("root")).unwrap();
        for (name, act) in &acts {
            perform(&root, base, name, act);
        }
        prop_assert_eq!(&outside(base), &before);
        remove_guest_tree(&base.join("root")).unwrap();
        let after: Vec<_> = outside(base).into_keys().collect();
        let wanted: Vec<_> = before.into_keys().filter(|p| !p.ends_with("root")).collect();
        prop_assert_eq!(after, wanted);
    }
}

/// R05: a bind mount of a host directory left inside the tree. Runs itself again in a mount namespace of its own.
#[test]
fn a_mount_below_stops_the_removal() {
    if let Ok(base) = std::env::var("VSERVER_FS_MOUNTED") {
        return look_at_mounted(Path::new(&base));
    }
    let dir = tempfile::Builder::new().prefix("build-mounted-").tempdir().unwrap();
    let base = dir.path();
    std::fs::create_dir_all(base.join("root/a/mnt")).unwrap();
    std::fs::create_dir(base.join("canary")).unwrap();
    std::fs::write(base.join("canary/file"), "host").unwrap();
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-ec"])
        .arg("mount --bind \"$VSERVER_FS_MOUNTED/canary\" \"$VSERVER_FS_MOUNTED/root/a/mnt\"; exec \"$@\"")
        .arg("sh")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "a_mount_below_stops_the_removal"])
        .env("VSERVER_FS_MOUNTED", base)
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(std::fs::read(base.join("canary/file")).unwrap(), b"host");
}

fn look_at_mounted(base: &Path) {
    let error = remove_guest_tree(&base.join("root")).unwrap_err();
    assert!(matches!(&error, Error::Mounted { mounts, .. } if mounts[0].ends_with("root/a/mnt")), "{error}");
    let root = GuestRoot::open(&base.join("root")).unwrap();
    assert!(matches!(root.remove_tree("a").unwrap_err(), Error::Mounted { .. }));
    assert!(root.write_atomic("a/mnt/file", b"guest", 0o644, None).is_err());
    assert!(root.create_dir_all("a/mnt/x", 0o755).is_err());
    assert_eq!(root.read("a/mnt/file", 10).unwrap(), b"host", "looking may cross a mount");
    assert!(base.join("canary/file").exists());
}
