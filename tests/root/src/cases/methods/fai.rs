//! FAI of the host, for real: a config space with a base file, classes, a hook and a script.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bad::refused;
use crate::cases::disk::host_runs;
use crate::fixture::{Fixture, eventually};
use crate::needs::Need;
use crate::tree::{self, write};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("methods::fai::by_a_config_space", by_a_config_space).needs(Need::Tool("fai")),
        Trial::new("methods::fai::what_fails_leaves_nothing", what_fails_leaves_nothing).needs(Need::Tool("fai")),
    ]
}

/// The base has no packages.
const HOOK: &str = "skiptask updatebase instsoft\n";
/// What it mounts and starts is gone with FAI.
const SCRIPT: &str = "#!/bin/sh\nset -e\necho \"$HOSTNAME is $classes\" >$target/etc/made-by-fai\n\
                      echo x >/run/by-script; echo x >/var/log/by-script; mount -t tmpfs none $target/mnt\n\
                      sleep 600 >/dev/null 2>&1 </dev/null &\n";

/// A config space and FAI's settings.
fn space(host: &Fixture) -> (PathBuf, PathBuf) {
    let dir = host.scratch("fai");
    tree::busybox(&dir.join("base"));
    write(&dir, "base/mnt/here", "", 0o644);
    write(&dir, "settings/fai.conf", "LOGUSER=\n", 0o644);
    write(&dir, "settings/nfsroot.conf", "NFSROOT=/nonexistent\n", 0o644);
    let space = dir.join("space");
    write(&space, "class/50-own", "#!/bin/sh\n[ $HOSTNAME = web.example.org ] && echo WEB\nexit 0\n", 0o755);
    write(&space, "hooks/updatebase.DEFAULT.sh", HOOK, 0o755);
    write(&space, "scripts/WEB/10-own", SCRIPT, 0o755);
    for dir in ["basefiles", "debconf", "package_config"] {
        fs::create_dir(space.join(dir)).unwrap();
    }
    let archive = space.join("basefiles/DEFAULT.tar.gz");
    host_runs("tar", &["-C", dir.join("base").to_str().unwrap(), "-czf", archive.to_str().unwrap(), "."]);
    (space, dir.join("settings"))
}

fn by_a_config_space() {
    let host = Fixture::new();
    let (space, settings) = space(&host);
    let was: Vec<_> = ["/run/fai", "/var/log/fai"].iter().map(|dir| Path::new(dir).exists()).collect();
    let (name, root) = super::build(
        &host,
        "127.0.9.40",
        &["--initstyle", "plain", "-m", "fai", "--", "-s", space.to_str().unwrap(), "-d", settings.to_str().unwrap()],
    );
    let said = fs::read_to_string(root.join("etc/made-by-fai")).unwrap();
    assert!(said.starts_with("web.example.org is DEFAULT") && said.contains("\nWEB\n"), "{said}");
    assert!(root.join("mnt/here").exists(), "what the script mounted is gone");
    assert!(root.join("var/log/fai/web.example.org/last").exists(), "the tree has FAI's log");
    for file in ["/run/by-script", "/var/log/by-script"] {
        assert!(!Path::new(file).exists(), "{file} was left on the host");
    }
    let is: Vec<_> = ["/run/fai", "/var/log/fai"].iter().map(|dir| Path::new(dir).exists()).collect();
    assert_eq!(was, is, "FAI left its directories on the host");
    host.v(&[&name, "start"]).ok();
    let booted = || fs::read_to_string(root.join("var/log/boot")).is_ok_and(|text| text.contains("started"));
    eventually("it boots", Duration::from_secs(30), booted);
    host.v(&[&name, "exec", "cat", "/etc/made-by-fai"]).ok().says("web.example.org is");
    host.v(&[&name, "stop"]).ok();
    host.v(&["--silent", &name, "delete"]).ok();
}

fn what_fails_leaves_nothing() {
    let host = Fixture::new();
    let (space, settings) = space(&host);
    let (space, dir) = (space.to_str().unwrap(), settings.to_str().unwrap());
    refused(&host, &["-m", "fai", "--", "-s", "/no/such", "-d", dir], &["find the config space", "/no/such"]);
    refused(&host, &["-m", "fai", "--", "-s", space, "-d", dir, "--class=-x"], &["'-x'", "list of classes"]);
    fs::rename(settings.join("nfsroot.conf"), settings.join("aside")).unwrap();
    refused(&host, &["-m", "fai", "--", "-s", space, "-d", dir], &["nfsroot.conf", "fai-server"]);
    fs::rename(settings.join("aside"), settings.join("nfsroot.conf")).unwrap();
    write(Path::new(space), "scripts/WEB/20-fails", "#!/bin/sh\necho no >&2; exit 3\n", 0o755);
    let says = ["FAI has not installed 'web.example.org'", "20-fails", "FAILED with exit code 3"];
    refused(&host, &["-m", "fai", "--", "-s", space, "-d", dir, "-f", "web.example.org"], &says);
}
