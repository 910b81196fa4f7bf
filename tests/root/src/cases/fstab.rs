//! The configured mounts of a guest. compat/config-tree.md §5.5.

use std::fs;
use std::os::unix::fs::symlink;

use crate::fixture::Fixture;
use crate::tree;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("fstab::kinds_and_options", kinds_and_options).smoke(),
        Trial::new("fstab::a_failing_entry_is_said_and_no_more", a_failing_entry_is_said_and_no_more),
        Trial::new("fstab::syntax_error_is_found_before_anything", syntax_error_is_found_before_anything),
        Trial::new("fstab::links_are_followed_as_inside", links_are_followed_as_inside),
        Trial::new("fstab::remote_ones_and_helpers", remote_ones_and_helpers),
        Trial::new("fstab::the_root_itself", the_root_itself),
        Trial::new("fstab::mtab_lists_them", mtab_lists_them),
        Trial::new("fstab::check_finds_what_a_start_would_refuse", check_finds_what_a_start_would_refuse).smoke(),
        Trial::new("fstab::the_hosts_file_systems_are_not_shown", the_hosts_file_systems_are_not_shown),
    ]
}

/// tmpfs with data, bind of a directory and of a file, read-only by a second call, nested targets, swap and noauto left
/// out, prefix matching of options.
fn kinds_and_options() {
    let host = Fixture::new();
    let guest = host.guest();
    let shared = host.scratch("shared");
    fs::create_dir_all(shared.join("sub")).unwrap();
    fs::write(shared.join("conf"), "from the host\n").unwrap();
    let shown = shared.display();
    guest.set(
        "fstab",
        &format!(
            "# comment\nnone /proc proc defaults 0 0\nnone /tmp tmpfs size=1m,mode=1777 0 0\n\
             {shown} /srv/shared none bind,ro 0 0\n{shown}/conf /etc/app.conf none bind 0 0\n\
             tmpfs /run tmpfs size=32m,nosuid,noexec 0 0\nnone /run/deep/er tmpfs size=1m 0 0\n\
             {shown}/sub /srv/user none bind,user 0 0\n{shown} /srv/not none bind,noauto 0 0\n/dev/none none swap sw 0 0\n"
        ),
    );
    guest.start();
    let mounts = guest.sh("cat /proc/mounts").ok().out.clone();
    let options = |target: &str| -> Vec<String> {
        let line = mounts.lines().find(|line| line.split(' ').nth(1) == Some(target));
        let line = line.unwrap_or_else(|| panic!("{target} is not mounted:\n{mounts}"));
        line.split(' ').nth(3).unwrap().split(',').map(str::to_owned).collect()
    };
    let has = |target: &str, wanted: &[&str]| {
        let found = options(target);
        assert!(wanted.iter().all(|word| found.iter().any(|option| option == word)), "{target}: {found:?}");
    };
    has("/tmp", &["size=1024k", "nodev", "rw"]);
    has("/srv/shared", &["ro", "nodev"]);
    has("/run", &["nosuid", "noexec", "nodev", "size=32768k"]);
    has("/run/deep/er", &["size=1024k"]);
    has("/srv/user", &["nosuid", "noexec", "nodev"]);
    assert!(!options("/tmp").iter().any(|option| option == "nosuid" || option == "noexec"), "not implied");
    assert!(!mounts.contains("/srv/not"));
    guest.sh("cat /etc/app.conf").ok().says("from the host");
    assert_ne!(guest.sh("touch /srv/shared/new").code, 0);
    guest.sh("touch /tmp/mine && stat -c '%a %u' /tmp").ok().says("1777 0");
    let here = fs::read_to_string("/proc/mounts").unwrap();
    assert!(!here.contains(&guest.name), "the host sees none of them: {here}");
    guest.stop();
}

/// As in the original: file, line and column on standard error; the guest starts.
fn a_failing_entry_is_said_and_no_more() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set(
        "fstab",
        "none /srv tmpfs size=1m 0 0\n/nowhere /mnt none bind 0 0\n/dev/null /media ext4 defaults 0 0\n",
    );
    let ran = guest.v(&["start"]);
    ran.ok();
    for line in [2, 3] {
        let words = format!("{}:{line}:1: failed to mount fstab-entry", guest.cfg.join("fstab").display());
        ran.says(&words);
    }
    assert_eq!(guest.sh("grep -c ' /srv ' /proc/mounts").out.trim(), "1");
}

fn syntax_error_is_found_before_anything() {
    let host = Fixture::new();
    let guest = host.guest();
    let ran = host.scratch("log").join("ran");
    tree::write(&guest.cfg, "scripts/initialize", &format!("#!/bin/sh\ntouch {}\n", ran.display()), 0o755);
    guest.set("fstab", "none /srv tmpfs size=1m 0 0\nnone /mnt\n");
    guest.v(&["start"]).exits(1).says("fstab:2");
    assert!(!ran.exists());
}

/// A link is resolved as a process of the guest would; one that leads out of the tree is refused.
fn links_are_followed_as_inside() {
    let host = Fixture::new();
    let guest = host.guest();
    fs::create_dir_all(guest.root.join("data/real")).unwrap();
    symlink("/data/real", guest.root.join("absolute")).unwrap();
    symlink("../data", guest.root.join("srv-link")).unwrap();
    guest.set("fstab", "none /absolute tmpfs size=1m 0 0\nnone /var/run/made tmpfs size=2m 0 0\n");
    guest.start();
    let mounts = guest.sh("cut -d' ' -f2 /proc/mounts").ok().out.clone();
    assert!(mounts.contains("/data/real\n") && mounts.contains("/run/made\n"), "{mounts}");
    guest.stop();
    for bad in ["/srv-link/x", "/../../etc"] {
        guest.set("fstab", &format!("none {bad} tmpfs size=1m 0 0\n"));
        let ran = guest.v(&["start"]);
        ran.exits(1).says(&guest.name).says("fstab");
        assert!(!guest.is_running());
    }
}

/// Other types go through the system's mount program, those of fstab.remote from the guest's cgroup.
fn remote_ones_and_helpers() {
    let host = Fixture::new();
    let guest = host.guest();
    let bin = host.scratch("bin");
    let log = host.scratch("log").join("calls");
    // In place of the system's mount program: what it is called with, where, and from which cgroup.
    let fake = format!(
        "#!/bin/sh\necho \"$* in $(pwd)\" >>{0}\ngrep '^0:' /proc/self/cgroup >>{0}\n/bin/mount -t tmpfs none .\n",
        log.display()
    );
    tree::write(&bin, "mount", &fake, 0o755);
    guest.address(0, "127.9.8.1", 8);
    guest.set("fstab", "/dev/some /data xfs user,ro 0 0\n");
    guest.set("fstab.remote", "nas:/export /net/app nfs rw,hard,intr,dev 0 0\n");
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display());
    let started = guest.host_command(&["start"]).env("PATH", path).output().unwrap();
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    let calls = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = calls.lines().collect();
    let root = guest.root.display();
    assert_eq!(lines[0], format!("-n -t xfs -o user,ro -- /dev/some . in {root}/data"));
    assert!(!lines[1].contains(&guest.name), "{calls}");
    assert_eq!(lines[2], format!("-n -t nfs -o rw,hard,intr,dev -- nas:/export . in {root}/net/app"));
    assert!(lines[3].contains(&format!("/vserver/{}", guest.name)), "{calls}");
    let mounts = guest.sh("cut -d' ' -f2 /proc/mounts").ok().out.clone();
    assert!(mounts.contains("/data\n") && mounts.contains("/net/app\n"), "{mounts}");
}

/// The entry with the target `/` is mounted on the guest's directory before prepre-start, and only for the guest.
fn the_root_itself() {
    let host = Fixture::new();
    let guest = host.guest();
    let real = guest.root.with_extension("real");
    fs::rename(&guest.root, &real).unwrap();
    fs::create_dir(&guest.root).unwrap();
    guest.set("fstab", &format!("{} / none bind 0 0\nnone /srv tmpfs size=1m 0 0\n", real.display()));
    let seen = host.scratch("log").join("seen");
    let script = format!("#!/bin/sh\nls vdir/sbin >{}\n", seen.display());
    tree::write(&guest.cfg, "scripts/prepre-start", &script, 0o755);
    guest.start();
    assert!(fs::read_to_string(&seen).unwrap().contains("init"));
    guest.sh("test -x /sbin/init && grep -q ' /srv ' /proc/mounts").ok();
    assert_eq!(fs::read_dir(&guest.root).unwrap().count(), 0, "the host sees an empty directory");
    guest.stop();
    assert_eq!(fs::read_to_string(real.join("var/log/boot")).unwrap(), "started\nstopped\n");
}

/// Device and type of the root as the original shows them, then each entry, ext* as ufs, none with nomtab; no file
/// without an fstab, and a link is left alone.
fn mtab_lists_them() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    guest.stop();
    assert!(!guest.root.join("etc/mtab").exists());
    guest.set(
        "fstab",
        "none /proc proc defaults 0 0\nnone /srv tmpfs size=1m 0 0\nnone /mnt tmpfs nomtab,size=1m 0 0\n",
    );
    guest.start();
    let mtab = guest.sh("cat /etc/mtab").ok().out.clone();
    assert_eq!(mtab, "/dev/hdv1 / ufs defaults 0 0\nnone /proc proc defaults 0 0\nnone /srv tmpfs size=1m 0 0\n");
    guest.stop();
    guest.set("apps/init/mtab", "own\n").start();
    guest.sh("head -1 /etc/mtab").ok().says("own");
    guest.stop();
    fs::remove_file(guest.root.join("etc/mtab")).unwrap();
    symlink("/proc/mounts", guest.root.join("etc/mtab")).unwrap();
    guest.start();
    assert!(guest.root.join("etc/mtab").is_symlink());
}

fn the_hosts_file_systems_are_not_shown() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("fstab", "none /srv sysfs defaults 0 0\nnone /mnt cgroup2 defaults 0 0\n");
    guest.v(&["start"]).ok().says("fstab:1").says("sysfs").says("fstab:2");
    assert_eq!(guest.sh("grep -c -e ' /srv ' -e ' /mnt ' /proc/mounts").out.trim(), "0");
}

/// File, line, reason and remedy, before anything starts: a target that leads out, a script that others can write, a
/// number of another guest; a missing source and an unknown action are warnings.
fn check_finds_what_a_start_would_refuse() {
    let host = Fixture::new();
    let (guest, other) = (host.guest(), host.guest());
    guest.v(&["check"]).ok();
    guest.set("apps/vshelper/action", "nonsense\n").set("fstab", "/nowhere /srv none bind 0 0\n");
    let cfg = guest.cfg.display();
    let warned = guest.v(&["check"]);
    warned.ok().says(&format!("{cfg}/apps/vshelper/action:1: warning: the action 'nonsense' is unknown"));
    warned.says(&format!("{cfg}/fstab:1: warning: the source '/nowhere' does not exist"));
    symlink("/nowhere/here", guest.root.join("out")).unwrap();
    guest.set("fstab", "none /srv tmpfs size=1m 0 0\nnone /out tmpfs size=1m 0 0\n");
    tree::write(&guest.cfg, "scripts/pre-start", "", 0o666);
    guest.set("context", &format!("{}\n", other.xid));
    let found = guest.v(&["check"]);
    found.exits(1).says(&format!("{cfg}/fstab:2: the target '/out' leads out of the guest's tree"));
    found.says("symbolic link").says("remove the link");
    found.says(&format!("{cfg}/scripts/pre-start: it is not run: ")).says("chmod go-w");
    found.says(&format!("{cfg}/context:1: context {} belongs to guest '{}' already", other.xid, other.name));
    fs::remove_file(guest.root.join("sbin/init")).unwrap();
    guest.v(&["check"]).exits(1).says(&format!("{cfg}/apps/init/style: ")).says("/sbin/init");
}
