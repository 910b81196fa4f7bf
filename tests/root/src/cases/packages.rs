//! One command for several guests, and the guest's own package tools.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fixture::{Fixture, Guest, eventually};
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("packages::each_guest_runs_its_own_tool", each_guest_runs_its_own_tool),
        Trial::new("packages::vyum_takes_what_the_guest_has", vyum_takes_what_the_guest_has),
        Trial::new("packages::filters_choose_guests", filters_choose_guests),
        Trial::new("packages::a_stopped_guest_runs_its_own_tool", a_stopped_guest_runs_its_own_tool),
        Trial::new("packages::nothing_is_left_of_an_interrupted_tool", nothing_is_left_of_an_interrupted_tool),
        Trial::new("packages::a_start_waits_for_no_tool", a_start_waits_for_no_tool),
        Trial::new("packages::vesync_fetches_an_overlay", vesync_fetches_an_overlay).needs(Need::Tool("rsync")),
        Trial::new("packages::pkg_finds_the_guests_tool", pkg_finds_the_guests_tool),
        Trial::new("packages::pkgmgmt_tells_and_changes", pkgmgmt_tells_and_changes),
    ]
}

/// A package tool that says where and as whom it runs, and fails where it is told to.
fn with_tool(guest: &Guest<'_>, status: u8) {
    plant(guest, "apt-get", status);
    guest.start();
}

fn plant(guest: &Guest<'_>, name: &str, status: u8) {
    let tool = guest.root.join("bin").join(name);
    let script = format!("#!/bin/sh\necho \"$(hostname) pid $$ {name} args $*\"; exit {status}\n");
    std::fs::write(&tool, script).unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// compat/commands.md §9: a line per guest, the output, a line for a failure, an empty line; the status is the last
/// guest's, 255 without a guest.
fn each_guest_runs_its_own_tool() {
    let host = Fixture::new();
    let (one, two) = (host.guest(), host.guest());
    with_tool(&one, 3);
    with_tool(&two, 0);
    let run = |words: &[&str]| host.tool("vapt-get", words);
    let both = run(&[&one.name, &two.name, "--", "-y", "upgrade"]);
    both.exits(0);
    let lines: Vec<&str> = both.out.lines().collect();
    assert_eq!(lines[0], format!("vapt-get: operating on vserver {}", one.name));
    assert!(
        lines[1].starts_with(&format!("{}.test pid ", one.name)) && lines[1].ends_with("apt-get args -y upgrade")
    );
    assert_eq!(lines[2], format!("vapt-get failed on vserver '{}' with errorcode 3", one.name));
    assert_eq!(lines[3], "");
    assert_eq!(lines[4], format!("vapt-get: operating on vserver {}", two.name));
    run(&[&two.name, &one.name, "--", "update"]).exits(3);
    let alone = run(&[&two.name, "--", "update"]);
    assert_eq!(alone.ok().out.lines().count(), 1, "no heading for one guest: {}", alone.out);
    run(&[]).exits(255);
    host.v(&[&one.name, "apt-get", "moo"]).exits(3).says("args moo");
}

fn vyum_takes_what_the_guest_has() {
    let host = Fixture::new();
    let guest = host.guest();
    plant(&guest, "yum", 4);
    guest.start();
    host.tool("vyum", &[&guest.name, "--", "-y", "update", "a b"]).exits(4).says("yum args -y update a b");
    plant(&guest, "dnf", 0);
    host.tool("vyum", &[&guest.name, "--", "update"]).ok().says("dnf args update");
}

/// compat/commands.md §9: filters are intersected and never mean disabled guests; names and filters are not mixed.
fn filters_choose_guests() {
    let host = Fixture::new();
    let (up, down, off) = (host.guest(), host.guest(), host.guest());
    up.set("apps/init/mark", "night\n").start();
    down.set("apps/init/mark", "night\n");
    off.set("disabled", "");
    let names = |words: &[&str]| {
        let ran = host.tool("vsomething", &[&["echo", "-q"], words, &["--", "seen"]].concat());
        let mut names: Vec<String> = ran.out.lines().map(|line| line.trim_end_matches(" seen").to_owned()).collect();
        names.sort();
        names
    };
    let mut all = vec![up.name.clone(), down.name.clone()];
    all.sort();
    assert_eq!(names(&["--all"]), all);
    assert_eq!(names(&["--running"]), std::slice::from_ref(&up.name));
    assert_eq!(names(&["--mark", "night", "--stopped"]), std::slice::from_ref(&down.name));
    assert!(names(&["--mark", "!night"]).is_empty());
    host.tool("vsomething", &["echo", &up.name, "--all"]).exits(255).says("cannot be mixed");
}

/// In all that holds the guest, with none of its programs and scripts, and nothing is left.
fn a_stopped_guest_runs_its_own_tool() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("scripts/pre-start", "#!/bin/sh\ntouch ran\n").set("rlimits/nproc", "17\n");
    let script = "#!/bin/sh\nhostname; awk '{print $1, $2}' /proc/self/uid_map; tr '\\0' ' ' </proc/1/cmdline; echo; ls /proc | grep -c '^[0-9]'\n\
                  ls -A /host-only 2>&1; cat; exit 7\n";
    std::fs::write(guest.root.join("bin/apt-get"), script).unwrap();
    std::fs::set_permissions(guest.root.join("bin/apt-get"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let ran = host.tool_with_input("vapt-get", &[&guest.name, "--", "update"], b"from outside\n");
    let lines: Vec<&str> = ran.exits(7).out.lines().collect();
    assert_eq!(lines[0], format!("{}.test", guest.name));
    assert_eq!(lines[1], format!("0 {}", 1_000_000 + u64::from(guest.xid) * 65_536), "its own users");
    assert!(lines[2].starts_with("vserver-init"), "{}", ran.out);
    assert!(lines[3].parse::<u32>().unwrap() < 8, "only its own processes: {}", ran.out);
    assert_eq!(lines.last(), Some(&"from outside"), "{}", ran.out);
    assert!(!guest.is_running() && !guest.cfg.join("ran").exists() && !guest.root.join("ran").exists());
    let left = format!("/run/vserver/{}", guest.name);
    assert!(!std::path::Path::new(&left).exists() && !guest.cgroup("memory").exists());
    // Several at once, one of which has no such tool.
    let other = host.guest();
    let both = host.tool("vapt-get", &[&guest.name, &other.name, "--", "moo"]);
    both.says(&format!("vapt-get failed on vserver '{}' with errorcode 255", other.name));
    assert!(!guest.is_running() && !other.is_running());
    guest.v(&["apt-get", "update"]).exits(7);
    guest.v(&["exec", "true"]).exits(1).says("running vservers only");
}

/// A guest whose tool does not end by itself: the running command line.
fn endless(guest: &Guest<'_>, tool: &mut std::process::Command) -> std::process::Child {
    let script = "#!/bin/sh\necho at work; exec sleep 1000\n";
    std::fs::write(guest.root.join("bin/apt-get"), script).unwrap();
    std::fs::set_permissions(guest.root.join("bin/apt-get"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut child = tool.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "at work\n");
    child
}

fn nothing_is_left_of_an_interrupted_tool() {
    let host = Fixture::new();
    let guest = host.guest();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGKILL] {
        let mut child = endless(&guest, &mut guest.host_command(&["apt-get", "update"]));
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        assert!(guest.is_running());
        kill(pid, signal).unwrap();
        assert!(!child.wait().unwrap().success());
        let gone = || !std::path::Path::new(&format!("/run/vserver/{}", guest.name)).exists();
        eventually("the context is gone", Duration::from_secs(5), gone);
        assert!(!guest.is_running() && !guest.cgroup("memory").exists(), "after {signal}");
    }
    guest.start().sh("true").ok();
}

fn a_start_waits_for_no_tool() {
    let host = Fixture::new();
    let guest = host.guest();
    // A tool needs no init, and what keeps it from its work is told alone.
    let other = host.guest();
    other.set("context", &format!("{}\n", guest.xid));
    std::fs::remove_file(other.root.join("sbin/init")).unwrap();
    let clash = other.v(&["apt-get", "update"]);
    clash.exits(1).says(&guest.xid.to_string());
    assert!(!clash.err.contains("no init"), "{}", clash.err);
    other.set("context", &format!("{}\n", other.xid));
    plant(&other, "apt-get", 0);
    other.v(&["apt-get", "update"]).ok().says("args update");
    let mut child = endless(&guest, &mut guest.host_command(&["apt-get", "update"]));
    guest.v(&["start"]).exits(1).says("a package tool is at work in it");
    assert_ne!(guest.v(&["delete"]).code, 0, "it is not deleted under a tool's hands");
    // A stop ends it, as it does all that runs in the guest.
    guest.stop();
    assert!(!child.wait().unwrap().success());
    guest.start().sh("true").ok();
}

/// compat/commands.md §9: 1 for what cannot be done, 2 for a distribution that is not known; of several guests each its
/// own result, and 6 if they differ.
fn pkg_finds_the_guests_tool() {
    let host = Fixture::new();
    let (one, two) = (host.guest(), host.guest());
    plant(&one, "apt-get", 0);
    plant(&two, "dnf", 9);
    one.v(&["pkg", "install", "nginx"]).exits(2).says("apps/pkgmgmt/style");
    std::fs::write(one.root.join("etc/debian_version"), "12.5\n").unwrap();
    one.v(&["pkg", "install", "nginx"]).ok().says("apt-get args install nginx");
    one.start();
    two.set("apps/pkgmgmt/style", "redhat\n").set("apps/pkgmgmt/internal", "").start();
    one.v(&["pkg", "install", "--", "-y", "nginx"]).ok().says("apt-get args install -y nginx");
    two.v(&["pkg", "install", "nginx"]).exits(9).says("dnf args install nginx");
    host.tool("vpkg", &[&one.name, "install", "a", "b"]).ok().says("args install a b");
    one.v(&["pkg", "get-conffiles"]).ok();
    std::fs::create_dir_all(one.root.join("var/lib/dpkg/info")).unwrap();
    std::fs::write(one.root.join("var/lib/dpkg/info/x.conffiles"), "/etc/x.conf\n").unwrap();
    assert_eq!(host.tool("vpkg", &[&one.name, "get-conffiles"]).ok().out, "/etc/x.conf\n");
    one.v(&["pkg", "upgrade"]).exits(1).says("has no 'upgrade'");
    one.v(&["pkg", "install"]).exits(1).says("needs the names");
    one.v(&["pkg"]).exits(1);
    let dir = one.cfg.to_str().unwrap();
    host.tool("vpkg", &[dir, "install", "c"]).ok().says("args install c");
    host.tool("vpkg", &["nobody-at-all", "install", "x"]).exits(5);
    let both = host.v(&["--all", "pkg", "install", "nginx"]);
    both.exits(6);
    assert!(
        both.out.contains("apt-get args install nginx") && both.out.contains("dnf args install nginx"),
        "{both:?}"
    );
}

/// compat/commands.md §2: 2 if it was not done. Only a stopped guest changes.
fn pkgmgmt_tells_and_changes() {
    let host = Fixture::new();
    let guest = host.guest();
    let run = |action: &str| guest.v(&["pkgmgmt", action]);
    run("is-internal").ok();
    run("internalize").ok();
    assert!(!guest.cfg.join("apps/pkgmgmt").exists(), "nothing was to be done");
    run("externalize").exits(2).says("apps/pkgmgmt/style");
    assert!(!guest.cfg.join("apps/pkgmgmt").exists(), "nothing was done");
    guest.set("apps/pkgmgmt/style", "debian\n");
    run("is-internal").exits(1);
    guest.start();
    run("internalize").exits(2).says("stop it with");
    guest.stop();
    guest.v(&["pkgmgmt", "internalize", "-y", "--force"]).ok();
    run("is-internal").ok();
    run("externalize").ok();
    run("is-internal").exits(1);
    // Where the tree is not there, nothing can be moved.
    guest.set("fstab", "none / tmpfs defaults 0 0\n");
    run("internalize").exits(2).says("mounted only while it runs");
    run("is-internal").exits(1);
    run("nonsense").exits(1);
    host.v(&["nobody-at-all", "pkgmgmt", "is-internal"]).exits(5);
}

/// compat/commands.md §9: the overlay first, then each guest's metadata.
fn vesync_fetches_an_overlay() {
    let host = Fixture::new();
    let guest = host.guest();
    plant(&guest, "emerge", 0);
    let (source, overlay) = (host.scratch("source"), host.scratch("overlay"));
    std::fs::write(source.join("new"), "").unwrap();
    std::fs::write(overlay.join("old"), "").unwrap();
    let from = format!("{}/", source.display());
    let run = |dir: &std::path::Path, more: &[&str]| {
        let words = [&[guest.name.as_str(), "--overlay", dir.to_str().unwrap()], more].concat();
        host.tool("vesync", &words)
    };
    let ran = run(&overlay, &["--overlay-host", &from]);
    ran.ok().says("emerge args --metadata");
    assert!(overlay.join("new").exists() && !overlay.join("old").exists());
    std::fs::write(overlay.join("old"), "").unwrap();
    let only = run(&overlay, &["--overlay-host", &from, "--overlay-only"]);
    assert!(!only.ok().out.contains("emerge") && !overlay.join("old").exists(), "{}", only.out);
    let broken = run(&overlay, &["--overlay-host", "/no/such/source/"]);
    assert!(broken.code != 0 && !broken.out.contains("emerge"), "{}", broken.out);
    run(&guest.root.join("etc"), &["--overlay-host", &from]).exits(255).says("can change what is in");
    run(std::path::Path::new("/etc"), &["--overlay-host", &from]).exits(255).says("a directory of its own");
    run(&overlay, &[]).exits(255).says("--overlay-host");
    assert!(guest.root.join("etc/passwd").exists());
}
