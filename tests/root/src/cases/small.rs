//! The small programs of lib/util-vserver. compat/commands.md §11.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;

use crate::fixture::Fixture;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("small::exec_cd_follows_no_link_out", exec_cd_follows_no_link_out),
        Trial::new("small::chroot_sh_stays_inside", chroot_sh_stays_inside),
        Trial::new("small::exec_ulimit_sets_limits", exec_ulimit_sets_limits),
        Trial::new("small::lockfile_tells_and_holds", lockfile_tells_and_holds),
        Trial::new("small::fakerunlevel_is_read_by_who", fakerunlevel_is_read_by_who),
        Trial::new("small::vshelper_sync_waits_for_the_end", vshelper_sync_waits_for_the_end),
    ]
}

/// An absolute link means the tree's directory, not the host's; the command itself is the host's.
fn exec_cd_follows_no_link_out() {
    let host = Fixture::new();
    let root = host.scratch("root");
    fs::create_dir_all(root.join("inner/etc")).unwrap();
    symlink("/inner/etc", root.join("link")).unwrap();
    let ran = host.command("exec-cd").current_dir(&root).args(["link", "/bin/pwd", "-P"]).output().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(said.trim(), root.join("inner/etc").display().to_string());
    symlink("../../../../../etc", root.join("up")).unwrap();
    let ran = host.command("exec-cd").current_dir(&root).args(["up", "/bin/pwd"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(255), "there is no /etc in this tree");
}

fn chroot_sh_stays_inside() {
    let host = Fixture::new();
    let root = host.scratch("root");
    let outside = host.scratch("outside").join("file");
    fs::write(&outside, "outside\n").unwrap();
    symlink(&outside, root.join("trap")).unwrap();
    let run = |words: &[&str]| host.command("chroot-sh").current_dir(&root).args(words).output().unwrap();
    assert_eq!(run(&["cat", "trap"]).status.code(), Some(1));
    assert_eq!(run(&["truncate", "trap"]).status.code(), Some(1), "the link leads nowhere inside");
    assert_eq!(fs::read_to_string(&outside).unwrap(), "outside\n");
    for words in [
        &["mkdir", "d"][..],
        &["truncate", "d/f"],
        &["chmod", "640", "d/f"],
        &["mv", "d/f", "d/g"],
        &["link", "g", "d/l"],
    ] {
        assert_eq!(run(words).status.code(), Some(0), "{words:?}");
    }
    assert_eq!(run(&["testfile", "d/l"]).status.code(), Some(0));
    assert_eq!(run(&["testfile", "d"]).status.code(), Some(1));
    assert_eq!(run(&["realpath", "d/l"]).stdout, b"/d/g\n");
    assert_eq!(run(&["rm", "d/l", "d/g"]).status.code(), Some(0));
    assert_eq!(run(&["cut"]).status.code(), Some(1));
}

/// compat/config-tree.md §5.3.2.
fn exec_ulimit_sets_limits() {
    let host = Fixture::new();
    let dir = host.scratch("ulimits");
    fs::write(dir.join("nofile.hard"), "512\n").unwrap();
    fs::write(dir.join("nofile.soft"), "4000\n").unwrap();
    fs::write(dir.join("core"), "0\n").unwrap();
    let dir = dir.display().to_string();
    let ran = host.tool("exec-ulimit", &[&dir, "/bin/sh", "-c", "ulimit -S -n; ulimit -H -n; ulimit -H -c"]);
    assert_eq!(ran.ok().out, "512\n512\n0\n", "soft is clamped to hard");
}

fn lockfile_tells_and_holds() {
    let host = Fixture::new();
    let dir = host.scratch("lock");
    let (lock, fifo) = (dir.join("lock"), dir.join("fifo"));
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let begin = |seconds: &str| {
        let mut command = host.command("lockfile");
        command.args([lock.as_os_str(), fifo.as_os_str()]).arg(seconds).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut holder = begin("5");
    assert_eq!(fs::read_to_string(&fifo).unwrap(), "#!/bin/true\n");
    let mut second = begin("0");
    assert_eq!(fs::read_to_string(&fifo).unwrap(), "#!/bin/false\n");
    assert_eq!(second.wait().unwrap().code(), Some(1));
    holder.kill().unwrap();
    holder.wait().unwrap();
    let mut third = begin("5");
    assert_eq!(fs::read_to_string(&fifo).unwrap(), "#!/bin/true\n");
    third.kill().unwrap();
    third.wait().unwrap();
}

fn fakerunlevel_is_read_by_who() {
    let host = Fixture::new();
    let root = host.scratch("root");
    let ran = host.command("fakerunlevel").current_dir(&root).args(["3", "utmp"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(0));
    let said = std::process::Command::new("who").arg("-r").arg(root.join("utmp")).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("run-level 3"), "{said}");
}

fn vshelper_sync_waits_for_the_end() {
    let host = Fixture::new();
    let fifo = host.scratch("sync").join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let path = fifo.display().to_string();
    let begun = Instant::now();
    host.tool("vshelper-sync", &[&path, "1"]).exits(1);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let mut waiting = host.command("vshelper-sync").args([&path, "20"]).spawn().unwrap();
    // Opening waits for the reader; closing is the end that it waits for.
    drop(fs::OpenOptions::new().write(true).open(&fifo).unwrap());
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
}
