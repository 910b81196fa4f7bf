//! What `.defaults/` says counts where the guest says nothing.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use vserver_config::{
    Handler, NetworkSpace, default_tty, describe, helper, helper_is_disabled, initial_mtab, mounts, read,
};
use vserver_types::GuestName;

fn put(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// A configuration root with the guest `g`.
fn tree() -> (tempfile::TempDir, GuestName) {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("g")).unwrap();
    symlink("/nowhere/g", root.path().join("g/vdir")).unwrap();
    (root, "g".parse().unwrap())
}

#[test]
fn start_and_stop_take_what_the_guest_does_not_say_from_the_host() {
    let (root, name) = tree();
    let root = root.path();
    let init = || read(root, &name).unwrap().0.init;
    let seen = || (init().environment, init().sync_timeout.as_secs(), initial_mtab(root, &name).unwrap());
    let tty = || default_tty(root, &name);
    assert_eq!((seen().1, tty().as_path()), (30, Path::new("/dev/null")));
    put(root, ".defaults/apps/init/environment", "A=1\n");
    put(root, ".defaults/apps/vshelper/sync-timeout", "7\n");
    put(root, ".defaults/init/mtab", "host\n");
    put(root, ".defaults/apps/init/tty", "");
    assert_eq!(seen(), (vec!["A=1".to_owned()], 7, b"host\n".to_vec()));
    assert_eq!(tty(), root.join(".defaults/apps/init/tty"));
    put(root, "g/apps/init/environment", "B=2\n");
    put(root, "g/apps/vshelper/sync-timeout", "8\n");
    put(root, "g/apps/init/mtab", "own\n");
    put(root, "g/apps/init/tty", "");
    assert_eq!(seen(), (vec!["B=2".to_owned()], 8, b"own\n".to_vec()));
    assert_eq!(tty(), root.join("g/apps/init/tty"));
}

#[test]
fn events_are_ignored_where_the_guest_or_the_host_says_so() {
    for dir in ["g", ".defaults"] {
        let (root, name) = tree();
        assert!(!helper_is_disabled(root.path(), &name));
        put(root.path(), &format!("{dir}/apps/vshelper/disabled"), "");
        assert!(helper_is_disabled(root.path(), &name), "{dir}");
    }
}

#[test]
fn a_method_of_the_guest_comes_before_one_of_the_host() {
    let (root, name) = tree();
    put(root.path(), ".defaults/apps/vshelper/action", "tell\n");
    for dir in [".defaults", "g"] {
        let method = format!("{dir}/apps/vshelper-methods/tell");
        put(root.path(), &method, "");
        assert_eq!(helper(root.path(), &name, "halt"), Handler::Program(root.path().join(method)));
    }
}

#[test]
fn an_older_name_of_fstab_comes_after_it() {
    let (root, name) = tree();
    put(root.path(), "g/fstab.local", "none /b tmpfs size=1m 0 0\n");
    put(root.path(), "g/fstab", "none /a tmpfs size=1m 0 0\n");
    let (config, warnings) = read(root.path(), &name).unwrap();
    let targets: Vec<_> = config.fstab.iter().map(|entry| (entry.target.as_str(), entry.remote)).collect();
    assert_eq!(targets, [("/a", false), ("/b", false)]);
    assert_eq!(mounts(root.path(), &name).len(), 2);
    assert!(warnings.iter().any(|one| one.path.ends_with("fstab.local")), "{warnings:?}");
}

/// `nonetns` and `nocgroup` deny what the host has for all.
#[test]
fn the_hosts_directories_can_be_denied() {
    let (root, name) = tree();
    let root = root.path();
    let seen = || {
        let (config, warnings) = read(root, &name).unwrap();
        let netns = describe(root, &config, &warnings)["netns"].is_null();
        (netns, matches!(config.network_space, NetworkSpace::Named(_)), config.cgroup.len())
    };
    put(root, ".defaults/netns/name", "x\n");
    put(root, ".defaults/cgroup/pids.max", "5\n");
    assert_eq!(seen(), (false, true, 1));
    put(root, "g/nonetns", "");
    put(root, "g/nocgroup", "");
    assert_eq!(seen(), (true, false, 0));
}

/// SCTP of the host's for all goes with the rest that a guest denies; its own word is told, and one where the stack is shared.
#[test]
fn sctp_needs_a_stack_of_the_guests_own() {
    let (root, name) = tree();
    let root = root.path();
    let seen = || {
        let config = read(root, &name).unwrap().0;
        let told = config.unapplied.iter().find(|one| one.setting == "netns/sctp");
        let told = told.map(|one| one.reason.rsplit(": ").next().unwrap_or_default().to_owned());
        (config.network_space.wants_sctp() && config.network_space.is_own(), told)
    };
    put(root, ".defaults/netns/sctp", "");
    assert_eq!(seen(), (true, None));
    put(root, "g/nonetns", "");
    assert_eq!(seen(), (false, None));
    put(root, "g/netns/sctp", "");
    assert_eq!(seen(), (false, Some("remove nonetns".to_owned())));
    fs::remove_file(root.join("g/nonetns")).unwrap();
    assert_eq!(seen(), (true, None));
    put(root, "g/netns/shared", "");
    assert_eq!(seen(), (false, Some("remove netns/shared".to_owned())));
    fs::remove_dir_all(root.join("g/netns")).unwrap();
    put(root, ".defaults/netns/shared", "");
    assert_eq!(seen(), (false, Some("remove netns/shared".to_owned())));
}
