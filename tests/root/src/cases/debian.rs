//! A real Debian guest: built by debootstrap, booted by systemd to `running`.

use std::path::Path;
use std::process::Command;
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
        Trial::new("debian::packages_are_installed_in_two_guests", packages_are_installed_in_two_guests)
            .needs(Need::Tool("debootstrap"))
            .needs(Need::Tool("dpkg-scanpackages"))
            .on_host_network()
            .within(900),
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
    if tarball.is_empty() {
        // systemd has read what the build has written.
        host.v(&[&name, "exec", "systemctl", "show-environment"]).ok().says("LANG=C.UTF-8");
    }
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

/// A repository with one package, `greeting`, whose removal and configuration are ordinary.
fn repository(dir: &Path) {
    let package = dir.join("greeting");
    std::fs::create_dir_all(package.join("DEBIAN")).unwrap();
    std::fs::create_dir_all(package.join("etc")).unwrap();
    std::fs::write(package.join("etc/greeting.conf"), "hello\n").unwrap();
    std::fs::write(package.join("DEBIAN/conffiles"), "/etc/greeting.conf\n").unwrap();
    let control = "Package: greeting\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n\
                   Description: says hello\n";
    std::fs::write(package.join("DEBIAN/control"), control).unwrap();
    let script = "set -e; dpkg-deb --root-owner-group -b greeting greeting_1.0_all.deb >&2; rm -r greeting; \
                  dpkg-scanpackages . >Packages";
    let ran = Command::new("sh").args(["-c", script]).current_dir(dir).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

/// The real apt and dpkg: in a guest, and in its copy, whose repository is broken.
fn packages_are_installed_in_two_guests() {
    let host = Fixture::new();
    let ((name, xid), (copy, copy_xid)) = (host.fresh(), host.fresh());
    let tarball = std::env::var("VSERVER_TEST_DEBIAN").unwrap_or_default();
    let method: Vec<&str> = match tarball.as_str() {
        "" => vec!["-m", "debootstrap", "--", "-d", "bookworm", "--", "--variant=minbase"],
        tarball => vec!["-m", "template", "--", "-t", tarball],
    };
    let (context, copy_context) = (xid.to_string(), copy_xid.to_string());
    let words = ["build", "--context", &context, "--hostname", "one.test", "--initstyle", "plain"];
    host.v(&[&[name.as_str()], &words[..], &method].concat()).ok();
    let root = host.trees().join(&name);
    std::fs::create_dir(root.join("srv/repository")).unwrap();
    repository(&root.join("srv/repository"));
    let lists = root.join("etc/apt/sources.list.d");
    std::fs::read_dir(&lists).unwrap().flatten().for_each(|entry| std::fs::remove_file(entry.path()).unwrap());
    std::fs::write(root.join("etc/apt/sources.list"), "deb [trusted=yes] file:/srv/repository ./\n").unwrap();
    // Nothing but a first process: what is meant here is not its boot.
    for file in ["apps/init/cmd.start", "apps/init/style"] {
        let path = host.confdir().join(&name).join(file);
        std::fs::write(path, if file.ends_with("style") { "plain\n" } else { "/bin/sleep\n86400\n" }).unwrap();
    }
    host.v(&[&name, "copy", &copy, "--context", &copy_context, "--hostname", "two.test"]).ok();
    std::fs::remove_file(host.trees().join(&copy).join("srv/repository/greeting_1.0_all.deb")).unwrap();
    for guest in [&name, &copy] {
        host.v(&[guest, "start"]).ok();
    }
    let update = host.tool("vapt-get", &[&name, &copy, "--", "update"]);
    update.ok().says(&format!("operating on vserver {copy}"));
    let install = host.tool("vapt-get", &[&name, &copy, "--", "-y", "install", "greeting"]);
    // The status is that of the last guest; each has its own result.
    install.exits(100).says(&format!("vapt-get failed on vserver '{copy}' with errorcode 100"));
    assert!(!install.out.contains(&format!("failed on vserver '{name}'")), "{}", install.out);
    let version = |guest: &str| host.v(&[guest, "exec", "dpkg-query", "-W", "-f", "${Version}", "greeting"]);
    assert_eq!(version(&name).ok().out, "1.0");
    version(&copy).exits(1);
    host.tool("vpkg", &[&name, "get-conffiles"]).ok().says("/etc/greeting.conf");
    assert_eq!(std::fs::read_to_string(root.join("etc/greeting.conf")).unwrap(), "hello\n");
    let all = host.v(&["--all", "pkg", "install", "--", "-y", "greeting"]);
    all.exits(6);
    host.v(&["--all", "stop"]).ok();
}
