//! Init styles with their commands and preparations. compat/behaviours.md §3, compat/config-tree.md §5.8.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use crate::fixture::{Fixture, Guest, eventually};
use crate::tree;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("styles::sysv_cleans_and_records_its_level", sysv_cleans_and_records_its_level),
        Trial::new("styles::plain_skips_the_check_of_file_systems", plain_skips_the_check_of_file_systems),
        Trial::new("styles::minit_gentoo_and_arch_have_their_commands", minit_gentoo_and_arch_have_their_commands),
        Trial::new("styles::commands_replace_the_styles", commands_replace_the_styles),
        Trial::new("styles::unknown_style_is_refused", unknown_style_is_refused),
        Trial::new("styles::killseq_ends_what_is_left", killseq_ends_what_is_left),
        Trial::new("styles::fakeinit_line_makes_the_command_pid_1", fakeinit_line_makes_the_command_pid_1),
    ]
}

/// A start command that stays, and writes down its arguments and environment.
fn rc(guest: &Guest<'_>, path: &str) {
    let script = "#!/bin/sh\necho \"$0 $*|$PREVLEVEL|$RUNLEVEL|$TERM\" >>/var/log/rc\n\
                  [ \"$1\" = shutdown ] || [ \"$1\" = 6 ] || { sleep 86400 </dev/null >/dev/null 2>&1 & }\n";
    tree::write(&guest.root, path, script, 0o755);
}

fn log(guest: &Guest<'_>) -> String {
    fs::read_to_string(guest.root.join("var/log/rc")).unwrap_or_default()
}

/// Everything that is no directory goes from /var/run and /var/lock, found as inside; the level is in utmp; PREVLEVEL and
/// RUNLEVEL are in the environment of both commands.
fn sysv_cleans_and_records_its_level() {
    let host = Fixture::new();
    let guest = host.guest_of_style("sysv");
    rc(&guest, "etc/init.d/rc");
    for file in ["run/old.pid", "run/daemon/deep.pid", "var/lock/subsys/x"] {
        tree::write(&guest.root, file, "1", 0o644);
    }
    guest.set("apps/init/runlevel", "4\n").start();
    assert!(guest.root.join("run/daemon").is_dir() && guest.root.join("var/lock/subsys").is_dir());
    for file in ["run/old.pid", "run/daemon/deep.pid", "var/lock/subsys/x"] {
        assert!(!guest.root.join(file).exists(), "{file}");
    }
    let utmp = fs::read(guest.root.join("run/utmp")).unwrap();
    assert_eq!(utmp.len(), 384);
    assert_eq!((utmp[0], utmp[4], utmp[5]), (1, b'4', b'#'), "type RUN_LVL, pid '#' and the digit");
    assert_eq!(guest.sh("stat -c '%a %u %g' /var/run/utmp").ok().out.trim(), "664 0 22");
    guest.stop();
    assert_eq!(log(&guest), "/etc/init.d/rc 4|N|4|\n/etc/init.d/rc 6|4|6|\n");
}

fn plain_skips_the_check_of_file_systems() {
    let host = Fixture::new();
    let guest = host.guest();
    tree::write(&guest.root, ".autofsck", "", 0o644);
    tree::write(&guest.root, "forcefsck", "", 0o644);
    // A link in place of a file that is made is not followed.
    let outside = host.scratch("outside").join("file");
    symlink(&outside, guest.root.join("fastboot")).unwrap();
    guest.start();
    assert!(guest.root.join("fastboot").is_symlink() && !outside.exists());
    guest.stop();
    fs::remove_file(guest.root.join("fastboot")).unwrap();
    guest.start();
    assert_eq!(fs::metadata(guest.root.join("fastboot")).unwrap().len(), 0);
    assert!(!guest.root.join(".autofsck").exists() && !guest.root.join("forcefsck").exists());
}

fn minit_gentoo_and_arch_have_their_commands() {
    let host = Fixture::new();
    let guest = host.guest_of_style("minit");
    let init = "#!/bin/sh\necho \"minit $* $$\" >>/var/log/rc\nexec /sbin/init\n";
    tree::write(&guest.root, "sbin/minit-start", init, 0o755);
    guest.set("apps/init/runlevel", "2\n").start();
    eventually("minit runs", Duration::from_secs(5), || log(&guest) == "minit 2 1\n");
    guest.stop();

    let guest = host.guest_of_style("gentoo");
    guest.v(&["start"]).exits(1).says("init-vserver.sh");
    rc(&guest, "lib/rc/sh/init-vserver.sh");
    rc(&guest, "sbin/rc");
    let started = guest.host_command(&["start"]).env("TERM", "vt100").status().unwrap();
    assert!(started.success());
    guest.stop();
    let expected = "/lib/rc/sh/init-vserver.sh default|||vt100\n/sbin/rc shutdown||0|";
    assert!(log(&guest).starts_with(expected), "{}", log(&guest));

    let guest = host.guest_of_style("arch");
    rc(&guest, "etc/rc.multi");
    tree::write(&guest.root, "etc/rc.shutdown", "#!/bin/sh\necho down >>/var/log/rc\n", 0o755);
    guest.start();
    guest.stop();
    assert_eq!(log(&guest), "/etc/rc.multi |||\ndown\n");
}

/// cmd.* are one argument per line; cmd.prepare runs on the host in the tree; with an empty style nothing else is there.
fn commands_replace_the_styles() {
    let host = Fixture::new();
    let guest = host.guest_of_style("");
    guest.v(&["start"]).exits(1).says("cmd.start");
    guest.set(
        "apps/init/cmd.start",
        "/bin/sh\n-c\necho \"start $0\" >>/var/log/rc; sleep 86400 </dev/null >/dev/null 2>&1 &\ntwo words\n",
    );
    guest.set("apps/init/cmd.stop", "/bin/sh\n-c\necho stop >>/var/log/rc\n");
    guest.set("apps/init/cmd.prepare", "/bin/sh\n-c\npwd >var/log/rc\n");
    guest.start();
    guest.stop();
    assert_eq!(log(&guest), format!("{}\nstart two words\nstop\n", guest.root.display()));
    guest.set("apps/init/cmd.prepare", "/bin/false\n");
    guest.v(&["start"]).exits(1).says("cmd.prepare");
    assert!(!guest.is_running());
}

fn unknown_style_is_refused() {
    let host = Fixture::new();
    let guest = host.guest_of_style("initng");
    guest.v(&["start"]).exits(1).says("Unknown init-style 'initng'");
}

/// Signals and pauses in turn, after the stop command: what ignores one gets the next.
fn killseq_ends_what_is_left() {
    let host = Fixture::new();
    let guest = host.guest_of_style("");
    let daemon = "trap 'echo hup >>/var/log/rc' HUP; trap 'echo usr >>/var/log/rc; exit' USR1; trap '' TERM; \
                  while :; do sleep 0.1; done";
    guest.set("apps/init/cmd.start", &format!("/bin/sh\n-c\n({daemon}) </dev/null >/dev/null 2>&1 &\n"));
    guest.set("apps/init/killseq", "SIGHUP\n1\n15\n1\nUSR1\n60\n9\n");
    guest.start();
    let begun = std::time::Instant::now();
    guest.stop();
    assert_eq!(log(&guest), "hup\nusr\n");
    let took = begun.elapsed().as_secs_f32();
    assert!((2.0..28.0).contains(&took), "{took} s: two pauses, and the third is cut short by the end");
}

fn fakeinit_line_makes_the_command_pid_1() {
    let host = Fixture::new();
    let guest = host.guest_of_style("sysv");
    guest.set("cflags", "fakeinit\n").start();
    assert_eq!(guest.sh("readlink /proc/1/exe").ok().out.trim(), "/bin/busybox");
    guest.stop();
    let log = fs::read_to_string(guest.root.join("var/log/boot")).unwrap();
    assert_eq!(log, "started\nstopped\n", "SIGINT to PID 1, no run level 6");
}
