//! A rename that is killed half way is finished or undone by the next command, wherever it was.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fixture::{Fixture, Guest};
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("rename::killed_at_every_change", killed_at_every_change).needs(Need::Tool("strace")).within(900),
        Trial::new("rename::killed_at_any_moment", killed_at_any_moment).within(900),
        Trial::new("rename::what_cannot_be_finished_is_told", what_cannot_be_finished_is_told),
        Trial::new("rename::limits_follow_the_tree", limits_follow_the_tree),
    ]
}

/// System calls that change a name or make a change last. strace counts each of them by itself.
const CHANGES: [&str; 16] = [
    "rename",
    "renameat",
    "renameat2",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "fsync",
    "fdatasync",
    "write",
    "ftruncate",
];

/// A guest with all that a rename moves, and one that depends on it.
fn prepared(host: &Fixture) -> (Guest<'_>, Guest<'_>, String) {
    let (guest, other) = (host.guest(), host.guest());
    let image = host.trees().join(format!("{}.img", guest.name));
    fs::write(&image, "disk").unwrap();
    let cache = host.scratch("cache").join(&guest.name);
    fs::create_dir(&cache).unwrap();
    symlink(&cache, guest.cfg.join("cache")).unwrap();
    guest.set("disk/image", &format!("{}\n", image.display()));
    guest.set("dlimits/0/directory", &format!("{}\n", guest.root.display()));
    for file in ["space_total", "inodes_total"] {
        guest.set(&format!("dlimits/0/{file}"), "-1\n");
    }
    guest.set("dlimits/0/reserved", "0\n");
    other.set("apps/init/depends", &format!("# why\n{}\n", guest.name));
    let new = host.fresh().0;
    (guest, other, new)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The guest is there under one of the names, with all that is its; the name.
#[track_caller]
fn whole(host: &Fixture, guest: &Guest<'_>, other: &Guest<'_>, new: &str, when: &str) -> String {
    let is_there = |name: &str| host.confdir().join(name).exists();
    let (name, gone) = match (is_there(&guest.name), is_there(new)) {
        (true, false) => (guest.name.clone(), new),
        (false, true) => (new.to_owned(), guest.name.as_str()),
        both => panic!("{when}: {both:?}"),
    };
    let (cfg, root) = (host.confdir().join(&name), host.trees().join(&name));
    let cache = host.scratch("cache").join(&name);
    assert_eq!(fs::read_link(cfg.join("vdir")).unwrap(), root, "{when}");
    assert_eq!(fs::read_link(cfg.join("cache")).unwrap(), cache, "{when}");
    assert_eq!(fs::read_link(cfg.join("run")).unwrap(), Path::new("/var/run/vservers").join(&name), "{when}");
    assert!(root.join("bin/busybox").exists() && cache.is_dir(), "{when}");
    let image = host.trees().join(format!("{name}.img"));
    assert_eq!(read(&cfg.join("disk/image")), format!("{}\n", image.display()), "{when}");
    assert_eq!(read(&image), "disk", "{when}");
    assert_eq!(read(&cfg.join("name")), format!("{name}\n"), "{when}");
    assert_eq!(read(&cfg.join("dlimits/0/directory")), format!("{}\n", root.display()), "{when}");
    assert_eq!(read(&other.cfg.join("apps/init/depends")), format!("# why\n{name}\n"), "{when}");
    // Nothing is left of the other name, nor of drafts.
    let found = Command::new("find").arg(host.confdir()).arg(host.trees()).arg("-name").arg("*").output().unwrap();
    for line in String::from_utf8(found.stdout).unwrap().lines().filter(|line| !line.contains("/bin/")) {
        let last = line.rsplit('/').next().unwrap();
        let hidden = last.starts_with('.') && last != ".defaults";
        assert!(!hidden && !last.contains(gone) && !last.ends_with(".new"), "{when}: {line} is left");
    }
    name
}

fn killed_at_every_change() {
    let host = Fixture::new();
    let (guest, other, new) = prepared(&host);
    let (mut kills, mut finished, mut undone) = (0, 0, 0);
    for (call, nth) in CHANGES.into_iter().flat_map(|call| points(&host, &guest, &new, call)) {
        let done = killed_at(&host, &guest, &new, call, nth);
        assert!(!done.status.success(), "{call} {nth} did not happen");
        kills += 1;
        // Whatever the next command is.
        match kills % 3 {
            0 => host.v(&["list"]).ok(),
            1 => host.v(&[&other.name, "status"]).exits(3),
            _ => host.tool("vserver-stat", &[] as &[&str]).ok(),
        };
        let when = format!("killed at {call} {nth}");
        if whole(&host, &guest, &other, &new, &when) == new {
            finished += 1;
            host.v(&[&new, "rename", &guest.name]).ok();
        } else {
            undone += 1;
        }
    }
    assert_eq!(whole(&host, &guest, &other, &new, "at last"), guest.name);
    assert!(kills > 60 && finished > 10 && undone > 0, "{kills} kills, {finished} finished, {undone} undone");
}

/// Each time that a whole rename makes this call. The guest has its name again afterwards.
fn points(host: &Fixture, guest: &Guest<'_>, new: &str, call: &'static str) -> Vec<(&'static str, usize)> {
    let log = host.scratch("calls").join(call);
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o", log.to_str().unwrap(), "-e", &format!("trace={call}"), "-e", "signal=none"]);
    strace.arg(host.command("vserver").get_program()).args([&guest.name, "rename", new]);
    let done = strace.env("VSERVER_CONFDIR", host.confdir()).stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    host.v(&[new, "rename", &guest.name]).ok();
    let made = read(&log).lines().filter(|line| line.starts_with(&format!("{call}("))).count();
    (1..=made).map(|nth| (call, nth)).collect()
}

fn killed_at(host: &Fixture, guest: &Guest<'_>, new: &str, call: &str, nth: usize) -> std::process::Output {
    let inject = format!("inject={call}:signal=KILL:when={nth}");
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]);
    strace.arg(host.command("vserver").get_program()).args([&guest.name, "rename", new]);
    strace.env("VSERVER_CONFDIR", host.confdir()).stdin(Stdio::null()).output().unwrap()
}

fn killed_at_any_moment() {
    let host = Fixture::new();
    let (guest, other, new) = prepared(&host);
    let begun = Instant::now();
    guest.v(&["rename", &new]).ok();
    let usual = begun.elapsed();
    host.v(&[&new, "rename", &guest.name]).ok();
    // Spread by the golden ratio, so that no rhythm of the program is met again and again.
    for n in 0..60u32 {
        let moment = usual.mul_f64((f64::from(n) * 0.618_034).fract() * 1.2);
        let mut child = guest.host_command(&["rename", &new]).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment);
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        host.v(&["list"]).ok();
        let when = format!("killed after {moment:?}");
        if whole(&host, &guest, &other, &new, &when) == new {
            host.v(&[&new, "rename", &guest.name]).ok();
        }
    }
}

/// Something took the new place meanwhile: the journal stays, each command says so, and once it is away all is well.
fn what_cannot_be_finished_is_told() {
    let host = Fixture::new();
    let (guest, other, new) = prepared(&host);
    let mut moved = false;
    for nth in 1..20 {
        let vserver = host.command("vserver").get_program().to_owned();
        let inject = format!("inject=renameat2:signal=KILL:when={nth}");
        let mut strace = Command::new("strace");
        strace.args(["-qq", "-o", "/dev/null", "-e", "trace=renameat2", "-e", &inject]).arg(vserver);
        strace.args([&guest.name, "rename", &new]).env("VSERVER_CONFDIR", host.confdir());
        assert!(!strace.stdin(Stdio::null()).output().unwrap().status.success());
        moved = host.trees().join(&new).exists() && guest.cfg.exists();
        if moved {
            break;
        }
        host.v(&["list"]).ok();
        if !guest.cfg.exists() {
            host.v(&[&new, "rename", &guest.name]).ok();
        }
    }
    assert!(moved, "no moment between the tree and the configuration was met");
    fs::create_dir(host.confdir().join(&new)).unwrap();
    fs::write(host.confdir().join(&new).join("mine"), "x").unwrap();
    for _ in 0..2 {
        host.v(&["list"]).says("was killed and cannot be finished").says(&new);
    }
    fs::remove_dir_all(host.confdir().join(&new)).unwrap();
    host.v(&["list"]).ok().says("is finished now");
    assert_eq!(whole(&host, &guest, &other, &new, "at last"), new);
    host.v(&["list"]).ok();
    host.v(&[&new, "rename", &guest.name]).ok();
}

/// Also one of a directory in the tree; one of another place stays.
fn limits_follow_the_tree() {
    let host = Fixture::new();
    let guest = host.guest();
    let limit = |name: &str, directory: &str| {
        guest.set(&format!("dlimits/{name}/directory"), &format!("{directory}\n"));
        guest.set(&format!("dlimits/{name}/space_total"), "# KiB\n");
        guest.set(&format!("dlimits/{name}/disabled"), "");
    };
    limit("0", guest.root.join("srv").to_str().unwrap());
    limit("1", host.trees().to_str().unwrap());
    let (new, copy) = (host.fresh().0, host.fresh().0);
    guest.v(&["copy", &copy]).ok();
    let copied = read(&host.confdir().join(&copy).join("dlimits/0/directory"));
    assert_eq!(copied, format!("{}/srv\n", host.trees().join(&copy).display()));
    guest.v(&["rename", &new]).ok();
    let value = |name: &str| read(&host.confdir().join(&new).join(format!("dlimits/{name}/directory")));
    assert_eq!(value("0"), format!("{}/srv\n", host.trees().join(&new).display()));
    assert_eq!(value("1"), format!("{}\n", host.trees().display()));
    host.v(&[&new, "rename", &guest.name]).ok();
}
