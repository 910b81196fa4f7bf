//! A real Debian guest: built by debootstrap, booted by systemd to `running`.

use std::time::Duration;

use crate::fixture::{Fixture, eventually};
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("debian::boots_to_running_and_stops_cleanly", boots_to_running_and_stops_cleanly)
            .needs(Need::Tool("debootstrap"))
            .on_host_network()
            .within(1200),
        Trial::new("debian::debootstrap_of_an_unknown_suite_leaves_nothing", unknown_suite_leaves_nothing)
            .needs(Need::Tool("debootstrap"))
            .on_host_network()
            .within(600),
    ]
}

fn boots_to_running_and_stops_cleanly() {
    let host = Fixture::new();
    let (name, xid) = host.fresh();
    let context = xid.to_string();
    let before = ["build", "--context", &context, "--hostname", "deb.test", "--initstyle", "plain"];
    let address = ["--interface", "nodev:127.77.1.1/8"];
    // The VM has no network: there the tree comes from a tarball that debootstrap made outside.
    let tarball = std::env::var("VSERVER_TEST_DEBIAN").unwrap_or_default();
    let options = ["--variant=minbase", "--include=systemd-sysv,dbus"];
    let method: Vec<&str> = match tarball.as_str() {
        "" => [&["-m", "debootstrap", "--", "-d", "bookworm", "--"], &options[..]].concat(),
        tarball => vec!["-m", "template", "--", "-t", tarball],
    };
    host.v(&[&[name.as_str()], &before[..], &address[..], &method].concat()).ok();
    if !tarball.is_empty() {
        // Nothing of a template is changed; without a name of its own it has the configured one.
        std::fs::remove_file(host.trees().join(&name).join("etc/hostname")).unwrap();
    }
    host.v(&[&name, "start"]).ok();
    let state = || host.v(&[&name, "exec", "systemctl", "is-system-running"]).out;
    let mut last = String::new();
    let mut settled = || {
        last = state().trim().to_owned();
        last == "running" || last == "degraded"
    };
    eventually("systemd has finished booting", Duration::from_secs(60), &mut settled);
    let failed = host.v(&[&name, "exec", "systemctl", "--failed", "--plain", "--no-legend"]);
    assert_eq!(last, "running", "failed units: {}", failed.out);
    host.v(&[&name, "exec", "hostname"]).ok().says("deb.test");
    // "offline" or not, a guest's systemd sees that it is in a container.
    host.v(&[&name, "exec", "systemd-detect-virt", "--container"]).ok();
    host.v(&[&name, "exec", "systemctl", "reboot"]);
    let again = || state().trim() == "running";
    eventually("it boots again after a reboot from inside", Duration::from_secs(60), again);
    let stopped = host.v(&[&name, "stop"]);
    assert!(!stopped.ok().err.contains("killed"), "{}", stopped.err);
    host.v(&["--silent", &name, "delete"]).ok();
}

fn unknown_suite_leaves_nothing() {
    let host = Fixture::new();
    let (name, xid) = host.fresh();
    let context = xid.to_string();
    let ran = host.v(&[&name, "build", "-m", "debootstrap", "--context", &context, "--", "-d", "no-such-suite"]);
    assert!(ran.code == 1 && ran.err.contains("no-such-suite") && !ran.err.contains("panicked"), "{ran:?}");
    assert!(!host.confdir().join(&name).exists() && !host.trees().join(&name).exists());
}
