//! The table of settings against the programs: strace(1) shows which files of the tree they look at.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use vserver_config::catalog::{Kind, Setting, Tree, knows, settings};
use vserver_types::Verdict;

use crate::fixture::{Fixture, Ran};
use crate::needs::Need;
use crate::tree;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("catalog::what_is_looked_at_has_an_entry", what_is_looked_at_has_an_entry)
            .needs(Need::Tool("strace")),
        Trial::new("catalog::what_holds_is_read", what_holds_is_read).needs(Need::Tool("strace")),
    ]
}

/// Runs a program below strace(1). What it looked for below `confdir`, there or not, as kind of call and path.
fn looked_at(host: &Fixture, confdir: &Path, program: &str, arguments: &[&str]) -> (Ran, BTreeSet<(String, String)>) {
    let log = host.scratch("strace").join("log");
    let traced = host.command(program);
    let mut command = std::process::Command::new("strace");
    command.args(["-qq", "-s", "4096", "-e", "trace=%file", "-o"]).arg(&log).arg("--").arg(traced.get_program());
    command.args(arguments).env("VSERVER_CONFDIR", confdir).stdin(std::process::Stdio::null());
    let ran = Ran::from(command.output().unwrap());
    let text = fs::read_to_string(&log).unwrap();
    let prefix = format!("\"{}/", confdir.display());
    let calls = text.lines().filter_map(|line| {
        let call = line.split_once('(')?.0.to_owned();
        let (_, rest) = line.split_once(&prefix)?;
        Some((call, rest.split_once('"')?.0.trim_end_matches('/').to_owned()))
    });
    (ran, calls.collect())
}

/// The tree that a path below the configuration root is of, and the rest; none of what is only for a moment.
fn place(path: &str) -> Option<(Tree, String)> {
    let mut names = path.split('/');
    let (tree, rest): (Tree, Vec<&str>) = match names.next()? {
        ".defaults" => (Tree::Defaults, names.collect()),
        ".distributions" => (Tree::Distribution, names.skip(1).collect()),
        // Locks, and a guest that is being made.
        name if name.starts_with('.') => return None,
        _ => (Tree::Guest, names.collect()),
    };
    let momentary = rest.iter().any(|name| name.starts_with('.'));
    (!rest.is_empty() && !momentary).then(|| (tree, rest.join("/")))
}

/// Whatever a command looks for in a guest's directory, in `.defaults/` or in `.distributions/` has an entry.
fn what_is_looked_at_has_an_entry() {
    let host = Fixture::new();
    let guest = host.guest();
    let (name, new) = (guest.name.as_str(), host.fresh().0);
    let commands: [(&str, &[&str]); 14] = [
        ("vserver", &[name, "check"]),
        ("vserver", &[name, "config", "--json"]),
        ("vserver", &[name, "plan"]),
        ("vserver", &[name, "start"]),
        ("vserver", &[name, "status"]),
        ("vserver", &[name, "enter"]),
        ("vserver", &[name, "exec", "true"]),
        ("vserver", &["list"]),
        ("vserver-stat", &[]),
        ("vserver-info", &[name, "RUNNING"]),
        ("vapt-get", &[name, "--", "update"]),
        ("vprocunhide", &[]),
        ("vserver", &[name, "stop"]),
        ("vserver", &[&new, "build", "-m", "skeleton"]),
    ];
    let mut seen = 0;
    for (program, arguments) in commands {
        for (_, path) in looked_at(&host, &host.confdir(), program, arguments).1 {
            let Some((tree, rest)) = place(&path) else { continue };
            assert!(knows(tree, &rest), "{program} {arguments:?} looks at {path}, which has no entry");
            seen += 1;
        }
    }
    assert!(seen > 300, "strace showed {seen} paths only");
}

/// What has an effect by its content is opened by whoever tells it or plans a start: it is not taken from the table alone.
fn what_holds_is_read() {
    let host = Fixture::new();
    let confdir = host.scratch("all");
    let tree_of_guest = host.scratch("tree");
    symlink_in(&confdir, "web/vdir", tree_of_guest.to_str().unwrap());
    for (tree, dir) in [(Tree::Guest, "web"), (Tree::Defaults, ".defaults")] {
        let all = settings(tree).filter(|setting| !ABSENT.contains(&setting.path));
        all.flat_map(|setting| setting.examples().into_iter().map(move |path| (setting, path)))
            .for_each(|(setting, path)| put(&confdir.join(dir), setting, &path));
    }
    // What another file of the same guest hides, in a guest that can be described.
    for (guest, files) in [("other", &OTHER[..]), ("third", &THIRD)] {
        symlink_in(&confdir, &format!("{guest}/vdir"), tree_of_guest.to_str().unwrap());
        for (path, content) in files {
            tree::write(&confdir.join(guest), path, content, 0o644);
        }
    }
    // A guest without files of its own gets the host's.
    symlink_in(&confdir, "bare/vdir", tree_of_guest.to_str().unwrap());
    let mut opened = HashSet::new();
    for (guest, verb) in [
        ("web", "check"),
        ("web", "plan"),
        ("web", "build"),
        ("other", "config"),
        ("other", "check"),
        ("third", "check"),
        ("bare", "check"),
    ] {
        let (_, calls) = looked_at(&host, &confdir, "vserver", &[guest, verb]);
        let files = calls.into_iter().filter(|(call, _)| call.starts_with("open"));
        opened.extend(files.filter_map(|(_, path)| place(&path)));
    }
    let content = |setting: &&Setting| {
        !matches!(setting.kind, Kind::Flag | Kind::Link | Kind::Directory | Kind::Group | Kind::Program)
    };
    let mut missed = Vec::new();
    for tree in [Tree::Guest, Tree::Defaults] {
        let holds = settings(tree).filter(content).filter(|setting| setting.verdict != Verdict::Cannot);
        let paths = holds.flat_map(Setting::examples).map(|path| (tree, path));
        missed.extend(paths.filter(|path| !opened.contains(path)));
    }
    assert_eq!(
        missed,
        ELSEWHERE.map(|(tree, path)| (tree, path.to_owned())),
        "these are not opened, or now they are"
    );
}

/// They would keep the rest from being looked at.
const ABSENT: [&str; 5] = ["vdir", "legacy", "nonetns", "interfaces/<x>/disabled", "dlimits/<x>/disabled"];
/// A guest with what the first one hides: the older of two names, or what is inherited.
const OTHER: [(&str, &str); 13] = [
    ("flags", "hide_mount\n"),
    ("schedule", "1\n4\n1\n1\n1\n0\n"),
    ("cpuset/name", "x\n"),
    ("cpuset/cpus", "0\n"),
    ("cpuset/virtualized", "1\n"),
    ("interfaces/dev", "lo\n"),
    ("interfaces/mask", "255.0.0.0\n"),
    ("interfaces/x/ip", "127.0.0.1\n"),
    ("interfaces/x/mask", "255.0.0.0\n"),
    ("interfaces/y/ip", "127.0.0.2\n"),
    ("interfaces/y/dev", "lo\n"),
    ("apps/init/runlevel", "3\n"),
    ("apps/vshelper/action", "restart\n"),
];
/// A guest with interfaces that can be read to their ends, and what is inherited by one of them.
const THIRD: [(&str, &str); 15] = [
    ("interfaces/prefix", "8\n"),
    ("interfaces/scope", "host\n"),
    ("interfaces/x/dev", "lo\n"),
    ("interfaces/x/ip", "127.0.0.1\n"),
    ("interfaces/x/prefix", "8\n"),
    ("interfaces/x/bcast", "127.255.255.255\n"),
    ("interfaces/x/name", "x\n"),
    ("interfaces/x/scope", "host\n"),
    ("interfaces/x/peer", "127.0.0.3\n"),
    ("interfaces/x/tap", ""),
    ("interfaces/x/uid", "1\n"),
    ("interfaces/x/gid", "1\n"),
    ("interfaces/x/linktype", "1\n"),
    ("interfaces/y/dev", "lo\n"),
    ("interfaces/y/ip", "127.0.0.2\n"),
];
/// Opened by a start (mtab), a helper (action), package tools (pkgmgmt), tools that share files (vunify) or a build (fstab,
/// context.next, debootstrap, files), which have tests of their own; or by nobody, as the table says of them.
const ELSEWHERE: [(Tree, &str); 34] = [
    (Tree::Guest, "cpuset/name"),
    (Tree::Guest, "uts/context"),
    (Tree::Guest, "spaces/ipc"),
    (Tree::Guest, "spaces/uts"),
    (Tree::Guest, "spaces/user"),
    (Tree::Guest, "ns/x"),
    (Tree::Guest, "apps/init/mtab"),
    (Tree::Guest, "apps/vshelper/action"),
    (Tree::Guest, "apps/snapshot/keep"),
    (Tree::Guest, "apps/vunify/exclude"),
    (Tree::Guest, "apps/vunify/hash/method"),
    (Tree::Guest, "apps/pkgmgmt/style"),
    (Tree::Defaults, "init/mtab"),
    (Tree::Defaults, "cgroup/mnt"),
    (Tree::Defaults, "cgroup/subsys"),
    (Tree::Defaults, "cgroup/per-ss"),
    (Tree::Defaults, "cgroup/inherit"),
    (Tree::Defaults, "apps/vshelper/action"),
    (Tree::Defaults, "apps/snapshot/keep"),
    (Tree::Defaults, "apps/vunify/exclude"),
    (Tree::Defaults, "apps/vunify/hash/method"),
    (Tree::Defaults, "fstab"),
    (Tree::Defaults, "context.next"),
    (Tree::Defaults, "apps/debootstrap/mirror"),
    (Tree::Defaults, "apps/debootstrap/options"),
    (Tree::Defaults, "files/hosts"),
    (Tree::Defaults, "files/nsswitch.conf"),
    (Tree::Defaults, "files/krb5.conf"),
    (Tree::Defaults, "files/krb.conf"),
    (Tree::Defaults, "files/krb.realms"),
    (Tree::Defaults, "files/ldap.conf"),
    (Tree::Defaults, "files/localtime"),
    (Tree::Defaults, "files/resolv.conf"),
    (Tree::Defaults, "apps/pkgmgmt/apt.conf"),
];

fn symlink_in(dir: &Path, path: &str, target: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

fn put(dir: &Path, setting: &Setting, path: &str) {
    match setting.kind {
        Kind::Directory | Kind::Group => fs::create_dir_all(dir.join(path)).unwrap(),
        Kind::Link => symlink_in(dir, path, "/nowhere"),
        Kind::Program => tree::write(dir, path, "#!/bin/sh\n", 0o755),
        _ => tree::write(dir, path, "1\n", 0o644),
    }
}
