//! Programs, archives and packages of a distribution: `.distributions/NAME/`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::fixture::{Fixture, eventually};
use crate::tree::{self, write};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("programs::before_and_after_the_tree_is_filled", before_and_after_the_tree_is_filled),
        Trial::new("programs::one_that_fails_leaves_nothing", one_that_fails_leaves_nothing),
        Trial::new("programs::an_interrupted_one_leaves_nothing", an_interrupted_one_leaves_nothing),
        Trial::new("programs::what_others_can_write_is_refused", what_others_can_write_is_refused),
        Trial::new("programs::a_distribution_has_an_archive", a_distribution_has_an_archive),
    ]
}

/// A file of the distribution `mine`.
fn place(host: &Fixture, name: &str) -> PathBuf {
    host.confdir().join(".distributions/mine").join(name)
}

fn program(host: &Fixture, name: &str, script: &str) {
    write(place(host, name).parent().unwrap(), name, &format!("#!/bin/sh\nset -e\n{script}\n"), 0o755);
}

fn nothing_of(host: &Fixture, name: &str) {
    assert!(!host.confdir().join(name).exists() && !host.trees().join(name).exists());
    let left: Vec<_> = fs::read_dir(host.trees()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A tarball with one file.
fn archive(host: &Fixture, file: &str) -> PathBuf {
    let (dir, tarball) = (host.scratch("content"), host.scratch("archives").join(format!("{file}.tar")));
    write(&dir, file, file, 0o644);
    let ran =
        std::process::Command::new("tar").arg("-C").arg(&dir).arg("-cf").arg(&tarball).arg(file).status().unwrap();
    assert!(ran.success());
    tarball
}

/// compat/behaviours.md §7.1 and §12: with the guest's configuration and the variables of util-vserver as arguments.
fn before_and_after_the_tree_is_filled() {
    let host = Fixture::new();
    let seen = host.scratch("seen");
    let shown = seen.display();
    program(
        &host,
        "initpre",
        &format!(
            "exec >{shown}/pre; . \"$2\"; echo \"$# $(basename $1) $_VSERVER $__CONFDIR $DISTRIBUTION\"; cat $1/uts/nodename\n\
             ls $1/vdir; test ! -e $1/vdir/etc/one\necho 'none /mnt tmpfs size=1m 0 0' >>$1/fstab\n\
             mkdir -p $1/scripts; printf '#!/bin/sh\\n' >$1/scripts/post-start; chmod 750 $1/scripts/post-start\n\
             ln -s /dev/null $1/apps/init/tty"
        ),
    );
    program(
        &host,
        "initpost",
        &format!(
            "exec >{shown}/post; cat $1/vdir/one >$1/vdir/etc/from-post; grep -c /mnt $1/fstab; echo plain >$1/apps/init/style"
        ),
    );
    let (name, xid) = host.fresh();
    let tarball = archive(&host, "one");
    let words = ["build", "-m", "template", "--context", &xid.to_string(), "--hostname", "mine.test", "--"];
    let words = [&[name.as_str()], &words[..], &["-d", "mine", "-t", tarball.to_str().unwrap()]].concat();
    host.v(&words).ok();
    let pre = fs::read_to_string(seen.join("pre")).unwrap();
    let lines: Vec<&str> = pre.lines().collect();
    assert!(lines[0].starts_with(&format!("2 {name} /")), "{pre}");
    assert!(lines[0].ends_with(&format!("{} mine", host.confdir().display())), "{pre}");
    assert_eq!(lines[1], "mine.test");
    let post = fs::read_to_string(seen.join("post")).unwrap();
    assert_eq!(post, "1\n", "it finds what initpre has written");
    let cfg = host.confdir().join(&name);
    assert_eq!(fs::read_to_string(cfg.join("vdir/etc/from-post")).unwrap(), "one");
    assert_eq!(fs::read_link(cfg.join("vdir")).unwrap(), host.confdir().join(".defaults/vdirbase").join(&name));
    assert!(fs::read_to_string(cfg.join("fstab")).unwrap().contains("none /mnt tmpfs"));
    let mode = cfg.join("scripts/post-start").metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o750, "what can be executed still can");
    assert_eq!(fs::read_link(cfg.join("apps/init/tty")).unwrap(), Path::new("/dev/null"));
    assert_eq!(fs::read_to_string(cfg.join("apps/init/style")).unwrap(), "plain\n");
    host.v(&["--silent", &name, "delete"]).ok();
}

/// Any status but 0, and a file that cannot be executed.
fn one_that_fails_leaves_nothing() {
    let host = Fixture::new();
    let build = || {
        let (name, _) = host.fresh();
        let ran = host.v(&[&name, "build", "-m", "skeleton", "--", "-d", "mine"]);
        nothing_of(&host, &name);
        ran
    };
    program(&host, "initpost", "touch $1/vdir/made; echo no such luck >&2; exit 3");
    build().exits(1).says("initpost failed (exit status: 3)").says("no such luck");
    program(&host, "initpre", "kill -9 $$");
    build().exits(1).says("initpre failed (signal: 9");
    fs::set_permissions(place(&host, "initpre"), fs::Permissions::from_mode(0o644)).unwrap();
    build().exits(1).says("initpre").says("Permission denied");
    // What a failing program has broken in the configuration is told, and nothing of it stays.
    fs::remove_file(place(&host, "initpre")).unwrap();
    program(&host, "initpost", "echo nonsense >$1/context");
    build().exits(1).says("context");
}

fn an_interrupted_one_leaves_nothing() {
    let host = Fixture::new();
    let begun = host.scratch("begun");
    program(
        &host,
        "initpost",
        &format!("sleep 4711 & echo $! >{0}/pid.new; mv {0}/pid.new {0}/pid; wait", begun.display()),
    );
    let (name, _) = host.fresh();
    let mut command = host.command("vserver");
    command.args([&name, "build", "-m", "skeleton", "--", "-d", "mine"]);
    let mut child = command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("initpost runs", Duration::from_secs(10), || begun.join("pid").exists());
    killpg(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    nothing_of(&host, &name);
    let pid = fs::read_to_string(begun.join("pid")).unwrap();
    let gone = || {
        let line = fs::read_to_string(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
        !line.contains("4711")
    };
    eventually("what it started ends with it", Duration::from_secs(5), gone);
}

/// They run with the host's rights.
fn what_others_can_write_is_refused() {
    let host = Fixture::new();
    let guest = host.guest();
    let ran = host.scratch("ran").join("it");
    let script = format!("touch {}", ran.display());
    let build = || {
        let (name, _) = host.fresh();
        let ran = host.v(&[&name, "build", "-m", "skeleton", "--", "-d", "mine"]);
        assert!(!host.confdir().join(&name).exists() && !host.trees().join(&name).exists());
        ran
    };
    program(&host, "initpost", &script);
    fs::set_permissions(place(&host, "initpost"), fs::Permissions::from_mode(0o777)).unwrap();
    build().exits(1).says("can be written by others than root");
    fs::remove_file(place(&host, "initpost")).unwrap();
    tree::write(&guest.root, "tmp/initpost", &format!("#!/bin/sh\n{script}\n"), 0o755);
    symlink(guest.root.join("tmp/initpost"), place(&host, "initpost")).unwrap();
    build().exits(1).says(&format!("guest '{}' can change what is in", guest.name));
    assert!(!ran.exists());
}

/// compat/config-tree.md §4: unpacked before those of the command line.
fn a_distribution_has_an_archive() {
    let host = Fixture::new();
    let (first, second) = (archive(&host, "first"), archive(&host, "second"));
    let dir = place(&host, "");
    fs::create_dir_all(&dir).unwrap();
    symlink(&first, dir.join("template")).unwrap();
    let (alone, both) = (host.fresh().0, host.fresh().0);
    host.v(&[&alone, "build", "-m", "template", "--", "-d", "mine"]).ok();
    assert!(host.trees().join(&alone).join("first").exists());
    host.v(&[&both, "build", "-m", "template", "--", "-d", "mine", "-t", second.to_str().unwrap()]).ok();
    let tree = host.trees().join(&both);
    assert!(tree.join("first").exists() && tree.join("second").exists());
    let (none, _) = host.fresh();
    host.v(&[&none, "build", "-m", "template"]).exits(1).says("--template");
    for name in [&alone, &both] {
        host.v(&["--silent", name, "delete"]).ok();
    }
}
