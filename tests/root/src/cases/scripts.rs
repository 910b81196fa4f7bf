//! Scripts of the administrator at the moments of a guest's life. compat/config-tree.md §6, compat/behaviours.md §2, §4.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use crate::fixture::{Fixture, Guest, eventually};
use crate::tree;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("scripts::run_in_order_with_their_arguments", run_in_order_with_their_arguments).smoke(),
        Trial::new("scripts::host_scripts_are_for_guests_without", host_scripts_are_for_guests_without),
        Trial::new("scripts::sourced_ones_change_the_start", sourced_ones_change_the_start).smoke(),
        Trial::new("scripts::stop_scripts_know_where_stop_was_given", stop_scripts_know_where_stop_was_given),
        Trial::new("scripts::a_moment_forgets_what_the_last_one_said", a_moment_forgets_what_the_last_one_said),
        Trial::new("scripts::failure_undoes_a_start", failure_undoes_a_start),
        Trial::new("scripts::failure_does_not_keep_from_stopping", failure_does_not_keep_from_stopping),
        Trial::new("scripts::what_others_can_write_is_refused", what_others_can_write_is_refused).smoke(),
        Trial::new("scripts::stop_scripts_follow_a_halt_from_inside", stop_scripts_follow_a_halt_from_inside),
        Trial::new("scripts::all_scripts_follow_a_reboot_from_inside", all_scripts_follow_a_reboot_from_inside),
        Trial::new("scripts::killed_stop_is_finished_by_the_keeper", killed_stop_is_finished_by_the_keeper),
        Trial::new("scripts::pre_start_mounts_reach_the_guest", pre_start_mounts_reach_the_guest),
    ]
}

const ALL: [&str; 7] =
    ["initialize", "prepre-start", "pre-start", "post-start", "pre-stop", "post-stop", "postpost-stop"];

/// An executable script of the guest that appends what it sees to a file.
fn tell(guest: &Guest<'_>, name: &str, log: &Path) {
    let script = format!(
        "#!/bin/sh\nrunning=no; \"$VSERVER\" \"$2\" running && running=yes\necho \"$1 $2 $# $(pwd) $running\" >>{}\n",
        log.display()
    );
    put(guest, name, &script, 0o755);
}

fn put(guest: &Guest<'_>, name: &str, script: &str, mode: u32) {
    tree::write(&guest.cfg.join("scripts"), name, script, mode);
}

/// `vserver NAME …` with the program's own path for scripts that call it.
fn run(host: &Fixture, guest: &Guest<'_>, verb: &str) {
    let mut command = host.command("vserver");
    let program = command.get_program().to_owned();
    let ran = command.args([&guest.name, verb]).env("VSERVER", program).output().unwrap();
    assert!(ran.status.success(), "{verb}: {}", String::from_utf8_lossy(&ran.stderr));
}

fn lines(log: &Path) -> Vec<String> {
    fs::read_to_string(log).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Arguments are the moment and the guest's name; the working directory is the configuration's, later the tree's; the
/// guest does not run in pre-start, and runs in post-start and pre-stop.
fn run_in_order_with_their_arguments() {
    let host = Fixture::new();
    let guest = host.guest();
    let log = host.scratch("log").join("all");
    ALL.iter().for_each(|name| tell(&guest, name, &log));
    run(&host, &guest, "start");
    run(&host, &guest, "stop");
    let (name, cfg, root) = (&guest.name, guest.cfg.display(), guest.root.display());
    let expected = [
        format!("initialize {name} 2 {cfg} no"),
        format!("prepre-start {name} 2 {cfg} no"),
        format!("pre-start {name} 2 {root} no"),
        format!("post-start {name} 2 {root} yes"),
        format!("pre-stop {name} 2 {root} yes"),
        format!("post-stop {name} 2 {root} no"),
        format!("postpost-stop {name} 2 {root} no"),
    ];
    assert_eq!(lines(&log), expected);
}

/// The guest's scripts of a moment suppress the host's, unless a sourced one sets DONT_SKIP_DEFAULTS; an executed one
/// cannot. Copies of editors and package managers are left out.
fn host_scripts_are_for_guests_without() {
    let host = Fixture::new();
    let guest = host.guest();
    let log = host.scratch("log").join("all");
    let say = |what: &str| format!("#!/bin/sh\necho {what} >>{}\n", log.display());
    let defaults = host.confdir().join(".defaults/scripts");
    for moment in ["prepre-start", "pre-start", "post-start"] {
        tree::write(&defaults, moment, &say(&format!("host {moment}")), 0o755);
    }
    put(&guest, "prepre-start", &format!("{}export DONT_SKIP_DEFAULTS=1\n", say("own prepre-start")), 0o755);
    put(&guest, "pre-start.d/10-a", &format!("{}DONT_SKIP_DEFAULTS=1\n", say("own pre-start")), 0o644);
    put(&guest, "pre-start.d/05-b", &say("own first"), 0o755);
    for copy in ["20-c~", "20-c.rpmsave", "20-c.rpmnew", ".20-c"] {
        put(&guest, &format!("pre-start.d/{copy}"), "exit 1\n", 0o755);
    }
    guest.start();
    let expected = ["own prepre-start", "own first", "own pre-start", "host pre-start", "host post-start"];
    assert_eq!(lines(&log), expected);
}

/// Sourced scripts see and change the original's variables, keep what they set for later ones, and see the locals empty.
fn sourced_ones_change_the_start() {
    let host = Fixture::new();
    let guest = host.guest();
    let log = host.scratch("log").join("all");
    let log = log.display();
    guest.set("apps/init/environment", "PATH=/bin:/sbin\nOWN=it's\n");
    put(&guest, "prepre-start", "kept=\"$INITSTYLE ${OPTS_ENV[1]}\"\nOPTS_ENV+=( \"MODE=two words\" )\n", 0o644);
    put(&guest, "pre-start", "INITCMD_START=( /sbin/started by a script )\nexport SEEN=yes\n", 0o644);
    put(&guest, "post-start.d/10-a", &format!("echo \"$kept|$VSERVER_NAME|$cmd|$name|$1\" >>{log}\n"), 0o644);
    put(&guest, "post-start.d/20-b", &format!("#!/bin/sh\necho \"$SEEN|${{INIT_CWD:+cwd}}|$kept\" >>{log}\n"), 0o755);
    let init = "#!/bin/sh\nexport ARGS=\"$*\"\nenv >/var/log/env\nexec /sbin/init\n";
    tree::write(&guest.root, "sbin/started", init, 0o755);
    guest.start();
    let seen = || fs::read_to_string(guest.root.join("var/log/env")).unwrap_or_default();
    eventually("its init has told its environment", Duration::from_secs(5), || seen().contains("ARGS="));
    let environment = seen();
    for line in ["MODE=two words", "OWN=it's", "ARGS=by a script"] {
        assert!(environment.lines().any(|found| found == line), "{line} is not in {environment}");
    }
    let name = &guest.name;
    let expected = format!("plain OWN=it's|{name}|start||post-start\nyes|cwd|\n");
    assert_eq!(fs::read_to_string(log.to_string()).unwrap(), expected);
}

/// They run in the guest's mount namespace, and are told the directory that the command was given in all the same.
fn stop_scripts_know_where_stop_was_given() {
    let host = Fixture::new();
    let guest = host.guest();
    let log = host.scratch("log").join("all");
    for moment in ["pre-start", "pre-stop", "postpost-stop"] {
        put(&guest, moment, &format!("#!/bin/sh\necho \"$1 $INIT_CWD\" >>{}\n", log.display()), 0o755);
    }
    let place = fs::canonicalize(log.parent().unwrap()).unwrap();
    for verb in ["start", "stop"] {
        assert!(guest.host_command(&[verb]).current_dir(&place).status().unwrap().success(), "{verb}");
    }
    let told = ["pre-start", "pre-stop", "postpost-stop"].map(|moment| format!("{moment} {}", place.display()));
    assert_eq!(lines(&log), told);
}

/// `DONT_SKIP_DEFAULTS` holds for the moment of the script that set it, at start and at stop.
fn a_moment_forgets_what_the_last_one_said() {
    let host = Fixture::new();
    let guest = host.guest();
    let log = host.scratch("log").join("all");
    let say = |what: &str| format!("echo {what} $1 >>{}\n", log.display());
    let defaults = host.confdir().join(".defaults/scripts");
    for (moment, both) in [("initialize", true), ("pre-start", false), ("pre-stop", true), ("post-stop", false)] {
        tree::write(&defaults, moment, &format!("#!/bin/sh\n{}", say("host")), 0o755);
        let more = if both { "DONT_SKIP_DEFAULTS=1\n" } else { "" };
        put(&guest, moment, &format!("{}{more}", say("own")), 0o644);
    }
    guest.start().stop();
    let told =
        ["own initialize", "host initialize", "own pre-start", "own pre-stop", "host pre-stop", "own post-stop"];
    assert_eq!(lines(&log), told);
}

/// A script that fails, executed or sourced, undoes the start; after the start command the guest stays.
fn failure_undoes_a_start() {
    let host = Fixture::new();
    let guest = host.guest();
    for (moment, mode) in [("initialize", 0o755), ("prepre-start", 0o644), ("pre-start", 0o755), ("pre-start", 0o644)]
    {
        put(&guest, moment, "#!/bin/sh\n(exit 3)\n", mode);
        let ran = guest.v(&["start"]);
        ran.exits(1).says(moment).says("status 3").says(&guest.name);
        assert!(!guest.is_running(), "{moment}");
        assert!(!Path::new(&format!("/run/vserver/{}/state.json", guest.name)).exists(), "{moment}");
        fs::remove_file(guest.cfg.join("scripts").join(moment)).unwrap();
    }
    put(&guest, "post-start", "#!/bin/sh\nexit 3\n", 0o755);
    guest.v(&["start"]).exits(1).says("post-start").says("status 3");
    assert!(guest.is_running(), "it was started already");
}

fn failure_does_not_keep_from_stopping() {
    let host = Fixture::new();
    let guest = host.guest();
    let log = host.scratch("log").join("all");
    guest.start();
    for moment in ["pre-stop", "post-stop", "postpost-stop"] {
        put(&guest, moment, &format!("#!/bin/sh\necho {moment} >>{}\nexit 3\n", log.display()), 0o755);
    }
    guest.v(&["stop"]).ok().says("pre-stop").says("status 3");
    guest.v(&["status"]).exits(3);
    assert_eq!(lines(&log), ["pre-stop", "post-stop", "postpost-stop"]);
}

/// They run as the host's root: whatever a guest or another user could write is not run, wherever on the way it is.
fn what_others_can_write_is_refused() {
    let host = Fixture::new();
    let guest = host.guest();
    let other = host.guest();
    let ran = host.scratch("log").join("ran");
    let script = format!("#!/bin/sh\ntouch {}\n", ran.display());
    let own = guest.cfg.join("scripts/pre-start");
    let refused = |words: &str| {
        let result = guest.v(&["start"]);
        result.exits(1).says("pre-start").says("is not run").says(words);
        assert_eq!(result.err.trim_end().lines().count(), 1, "{}", result.err);
        assert!(!ran.exists() && !guest.is_running());
        let _ = fs::remove_file(&own);
    };
    put(&guest, "pre-start", &script, 0o775);
    refused("others than root");
    put(&guest, "pre-start", &script, 0o755);
    std::os::unix::fs::chown(&own, Some(1000), None).unwrap();
    refused("user 1000");
    // Files of a guest belong to root on disk.
    tree::write(&other.root, "tmp/script", &script, 0o755);
    fs::create_dir_all(own.parent().unwrap()).unwrap();
    symlink(other.root.join("tmp/script"), &own).unwrap();
    refused(&other.name);
    let shared = host.scratch("shared");
    tree::write(&shared, "script", &script, 0o755);
    other.set("fstab", &format!("{} /mnt none bind 0 0\n", shared.display()));
    symlink(shared.join("script"), &own).unwrap();
    refused(&other.name);
    let open = host.scratch("open");
    tree::write(&open, "script", &script, 0o755);
    fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).unwrap();
    symlink(open.join("script"), &own).unwrap();
    refused("others than root");
    put(&guest, "pre-start", &script, 0o755);
    guest.start();
    assert!(ran.exists());
}

/// A guest that ends by itself: the same scripts, outside of its Landlock domain and not ended with it.
fn stop_scripts_follow_a_halt_from_inside() {
    let host = Fixture::new();
    let guest = host.guest();
    let scratch = host.scratch("log");
    let log = scratch.join("all");
    let victim = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    for moment in ["pre-stop", "post-stop", "postpost-stop"] {
        // In the guest's domain a signal to a process of the host would be refused.
        let script = format!("#!/bin/sh\nkill -0 {} && echo \"$1 $2\" >>{}\nsleep 0.3\n", victim.id(), log.display());
        put(&guest, moment, &script, 0o755);
    }
    guest.start();
    guest.sh("poweroff");
    let name = &guest.name;
    let expected = [format!("pre-stop {name}"), format!("post-stop {name}"), format!("postpost-stop {name}")];
    eventually("all stop scripts ran to their end", Duration::from_secs(20), || lines(&log) == expected);
    eventually("nothing is left", Duration::from_secs(5), || !Path::new(&format!("/run/vserver/{name}")).exists());
    let mut victim = victim;
    victim.kill().unwrap();
    victim.wait().unwrap();
}

fn all_scripts_follow_a_reboot_from_inside() {
    let host = Fixture::new();
    let guest = host.guest();
    let log = host.scratch("log").join("all");
    for moment in ALL {
        put(&guest, moment, &format!("#!/bin/sh\necho \"$1\" >>{}\n", log.display()), 0o755);
    }
    guest.set("fstab", "none /srv tmpfs size=1m 0 0\n");
    guest.start();
    let before = guest.init();
    guest.sh("reboot");
    let expected: Vec<&str> = ALL[..4].iter().chain(&ALL[4..]).chain(&ALL[..4]).copied().collect();
    eventually("it runs again", Duration::from_secs(20), || guest.lives_again(before) && lines(&log) == expected);
    let mounts = guest.sh("grep -c ' /srv ' /proc/mounts");
    assert_eq!(mounts.out.trim(), "1", "its second life has a mount namespace of its own");
}

/// Ctrl-C at a stop does not leave it half done.
fn killed_stop_is_finished_by_the_keeper() {
    let host = Fixture::new();
    let guest = host.guest();
    let log = host.scratch("log").join("all");
    put(&guest, "postpost-stop", &format!("#!/bin/sh\necho \"$1\" >>{}\n", log.display()), 0o755);
    let slow = "#!/bin/sh\ntouch /var/log/going\nsleep 2\n";
    tree::write(&guest.root, "etc/rc.stop", slow, 0o755);
    guest.start();
    let mut stop = guest.host_command(&["stop"]).spawn().unwrap();
    eventually("it is asked", Duration::from_secs(10), || guest.root.join("var/log/going").exists());
    stop.kill().unwrap();
    stop.wait().unwrap();
    eventually("its end is clean", Duration::from_secs(20), || {
        lines(&log) == ["postpost-stop"] && !Path::new(&format!("/run/vserver/{}", guest.name)).exists()
    });
    guest.v(&["status"]).exits(3);
}

/// What a pre-start script mounts below the tree the guest has; the host does not see it, and stop scripts do.
fn pre_start_mounts_reach_the_guest() {
    let host = Fixture::new();
    let guest = host.guest();
    let shared = host.scratch("shared");
    fs::write(shared.join("note"), "from the host").unwrap();
    fs::create_dir_all(guest.root.join("mnt")).unwrap();
    guest.set("fstab", "none /srv tmpfs size=1m,mode=0755 0 0\n");
    let script = format!("mount --bind {} mnt\necho early >srv/note\n", shared.display());
    put(&guest, "pre-start", &script, 0o644);
    let seen = host.scratch("log").join("seen");
    put(&guest, "post-stop", &format!("#!/bin/sh\ncat mnt/note >{}\n", seen.display()), 0o755);
    guest.start();
    let inside = guest.sh("cat /mnt/note /srv/note; stat -c %u /mnt/note");
    assert_eq!(inside.ok().out, "from the hostearly\n0\n");
    assert_eq!(fs::read_dir(guest.root.join("mnt")).unwrap().count(), 0, "the host's tree is as before");
    guest.stop();
    assert_eq!(fs::read_to_string(&seen).unwrap(), "from the host");
}
