//! What follows when a guest reboots or halts by itself, and the state files that scripts read. compat/behaviours.md §1,
//! §6; compat/config-tree.md §5.9.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fixture::{Fixture, Guest, eventually};
use crate::tree;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("helper::a_program_replaces_the_handler", a_program_replaces_the_handler),
        Trial::new("helper::action_and_methods", action_and_methods),
        Trial::new("helper::disabled_ignores_a_reboot", disabled_ignores_a_reboot),
        Trial::new(
            "helper::a_program_that_a_guest_can_write_is_not_run",
            a_program_that_a_guest_can_write_is_not_run,
        ),
        Trial::new("helper::state_files", state_files).smoke(),
        Trial::new("helper::a_dead_supervisor_is_cleaned_up_after", a_dead_supervisor_is_cleaned_up_after),
    ]
}

const SOON: Duration = Duration::from_secs(20);

fn gone(guest: &Guest<'_>) -> bool {
    !Path::new(&format!("/run/vserver/{}", guest.name)).exists()
}

/// A program that writes down its arguments and the kernel's code.
fn teller(log: &Path) -> String {
    format!("#!/bin/sh\necho \"$1 $2 $VS_CMD $PATH $HOME\" >>{}\n", log.display())
}

/// Event and context number; the guest is cleaned up and not started again.
fn a_program_replaces_the_handler() {
    let host = Fixture::new();
    let guest = host.guest();
    let log = host.scratch("log").join("all");
    tree::write(&guest.cfg, "apps/vshelper/restart", &teller(&log), 0o755);
    guest.start();
    guest.sh("reboot");
    eventually("the guest is gone", SOON, || gone(&guest));
    let path = "/sbin:/usr/sbin:/bin:/usr/bin /";
    assert_eq!(fs::read_to_string(&log).unwrap(), format!("restart {} 01234567 {path}\n", guest.xid));
    // Another event still has the built-in handler.
    guest.start();
    guest.sh("poweroff");
    eventually("the guest is gone", SOON, || gone(&guest));
    assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), 1);
}

/// A guest's action beats the host's program for an event; a method is a program; one that is unknown does nothing.
fn action_and_methods() {
    let host = Fixture::new();
    let guest = host.guest();
    let log = host.scratch("log").join("all");
    let defaults = host.confdir().join(".defaults");
    tree::write(&defaults, "apps/vshelper/restart", "#!/bin/sh\nexit 1\n", 0o755);
    tree::write(&defaults, "apps/vshelper-methods/tell", &teller(&log), 0o755);
    let words = host.scratch("log").join("helper");
    fs::write(&words, "").unwrap();
    std::os::unix::fs::symlink(&words, defaults.join("apps/vshelper/logfile")).unwrap();
    guest.set("apps/vshelper/action", "tell\n").start();
    guest.sh("reboot");
    eventually("the guest is gone", SOON, || gone(&guest));
    assert!(fs::read_to_string(&log).unwrap().starts_with(&format!("restart {}", guest.xid)));
    guest.set("apps/vshelper/action", "nonsense\n").start();
    guest.sh("reboot");
    eventually("the log says why nothing was done", SOON, || {
        gone(&guest) && fs::read_to_string(&words).unwrap().contains("the action 'nonsense'")
    });
    guest.set("apps/vshelper/action", "restart\n").start();
    let before = guest.init();
    guest.sh("reboot");
    eventually("it runs again", SOON, || guest.lives_again(before));
}

fn disabled_ignores_a_reboot() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.set("apps/vshelper/disabled", "").start();
    assert!(!state(&guest).exists());
    guest.sh("reboot");
    eventually("the guest is gone", SOON, || gone(&guest));
}

fn a_program_that_a_guest_can_write_is_not_run() {
    let host = Fixture::new();
    let guest = host.guest();
    let log = host.scratch("log").join("all");
    tree::write(&guest.root, "tmp/handler", &teller(&log), 0o755);
    fs::create_dir_all(guest.cfg.join("apps/vshelper")).unwrap();
    std::os::unix::fs::symlink(guest.root.join("tmp/handler"), guest.cfg.join("apps/vshelper/halt")).unwrap();
    guest.start();
    guest.sh("poweroff");
    eventually("the guest is gone", SOON, || gone(&guest));
    assert!(!log.exists());
}

fn state(guest: &Guest<'_>) -> PathBuf {
    PathBuf::from(format!("/run/vshelper/{}", guest.xid))
}

/// The run file with the number, the link back from it, and the helper's state with the configuration and the method;
/// they go with the guest. A script of a stop finds the method changed.
fn state_files() {
    let host = Fixture::new();
    let guest = host.guest();
    let seen = host.scratch("log").join("seen");
    let script = format!("#!/bin/sh\ncat /var/run/vshelper/{} >{}\n", guest.xid, seen.display());
    tree::write(&guest.cfg, "scripts/post-stop", &script, 0o755);
    guest.start();
    let link = PathBuf::from(format!("/run/vservers.rev/{}", guest.xid));
    assert_eq!(fs::read_link(&link).unwrap(), guest.cfg);
    assert_eq!(fs::read_to_string(guest.cfg.join("run")).unwrap(), format!("{}\n", guest.xid));
    assert_eq!(fs::read_to_string(state(&guest)).unwrap(), format!("{}\ndefault\n", guest.cfg.display()));
    guest.stop();
    assert_eq!(fs::read_to_string(&seen).unwrap(), format!("{}\nasync\n", guest.cfg.display()));
    assert!(!link.is_symlink() && !state(&guest).exists() && !guest.cfg.join("run").exists());
    // Where the host's link says.
    let other = host.scratch("rev");
    std::os::unix::fs::symlink(&other, host.confdir().join(".defaults/run.rev")).unwrap();
    guest.start();
    assert_eq!(fs::read_link(other.join(guest.xid.to_string())).unwrap(), guest.cfg);
}

/// The keeper outlives it: nothing waits for the next command.
fn a_dead_supervisor_is_cleaned_up_after() {
    let host = Fixture::new();
    let guest = host.guest();
    guest.start();
    let keeper = guest.supervisor();
    let children = fs::read_to_string(format!("/proc/{keeper}/task/{keeper}/children")).unwrap();
    let supervisor: i32 = children.trim().parse().unwrap();
    let pid = nix::unistd::Pid::from_raw(supervisor);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    eventually("nothing is left", SOON, || gone(&guest));
    guest.v(&["running"]).exits(1);
}
