//! The build methods that install packages by tools of the host, each with its real tool (but for apk) and a repository made
//! here: the guest starts, its service answers, and the scripts of its packages were held.

mod bad;
mod copies;
mod fai;
mod inits;
mod signed;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fixture::{Fixture, eventually};
use crate::needs::Need;
use crate::repositories::{self, FEDORA, SUSE, describe, held, room};
use crate::tree::write;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    let rpm = |name, body: fn(), tool| {
        Trial::new(name, body).needs(Need::Tool("rpmbuild")).needs(Need::Tool("createrepo_c")).needs(Need::Tool(tool))
    };
    let own = vec![
        rpm("methods::fedora_by_dnf", fedora_by_dnf, "dnf"),
        rpm("methods::lists_of_files_by_rpm", lists_of_files_by_rpm, "rpm"),
        rpm("methods::opensuse_by_zypper", opensuse_by_zypper, "zypper"),
        Trial::new("methods::alpine_by_apk", alpine_by_apk),
        Trial::new("methods::arch_by_pacman", arch_by_pacman).needs(Need::Tool("pacman")),
    ];
    [own, bad::tests(), copies::tests(), fai::tests(), inits::tests(), signed::tests()]
        .into_iter()
        .flatten()
        .collect()
}

const PAGE: &str = "served by a guest\n";

/// Builds, with an address, and says where its tree is.
fn build(host: &Fixture, address: &str, method: &[&str]) -> (String, PathBuf) {
    let (name, xid) = host.fresh();
    let (context, interface) = (xid.to_string(), format!("nodev:{address}/8"));
    let own = ["build", "--context", &context, "--hostname", "web.example.org", "--interface", &interface];
    host.v(&[&[name.as_str()], &own[..], method].concat()).ok();
    let root = host.trees().join(&name);
    (name, root)
}

/// Starts it, asks its server from outside, and ends it.
fn serves(host: &Fixture, name: &str, address: &str) {
    host.v(&[name, "start"]).ok();
    let mut answer = String::new();
    let asked = || {
        let Ok(mut stream) = TcpStream::connect((address, 8090)) else { return false };
        answer.clear();
        let sent = stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n");
        sent.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.ends_with(PAGE)
    };
    eventually("its server answers", Duration::from_secs(30), asked);
    assert!(!host.trees().join(name).join("var/hardware").exists(), "a hardware service ran");
    host.v(&[name, "stop"]).ok();
    host.v(&["--silent", name, "delete"]).ok();
}

/// What every guest of packages has.
fn tamed(root: &Path, address: &str) {
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(read("etc/hostname"), "web.example.org\n");
    assert!(read("etc/hosts").ends_with(&format!("{address}\tweb.example.org web\n")), "{}", read("etc/hosts"));
    assert_eq!(read("etc/machine-id"), "");
    assert!(read("etc/inittab").contains("\n#tty1"), "{}", read("etc/inittab"));
    assert!(read("etc/fstab").starts_with("# The file systems of this guest"));
    assert!(root.join("etc/localtime").exists() || !Path::new("/etc/localtime").exists());
    assert!(root.join("dev/null").exists() && !root.join("dev/sda").exists());
    let left: Vec<_> =
        fs::read_dir(root.parent().unwrap()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("build-")), "{left:?}");
}

fn fedora_by_dnf() {
    let host = Fixture::new();
    let made = host.scratch("rpm");
    repositories::rpm(&made, &FEDORA, PAGE);
    let repo = format!("[own]\nname=own\nbaseurl=file://{}/repo\ngpgcheck=0\n", made.display());
    describe(&host, "fedora", "yum.repos.d/own.repo", &repo);
    describe(&host, "fedora", "pkgs/01-base", "filesystem busybox # a comment\n");
    describe(&host, "fedora", "pkgs/02-init", "init\n");
    describe(&host, "fedora", "pkgs/03-may-fail", "--can-fail no-such-package\n");
    let (name, xid) = host.fresh();
    let context = xid.to_string();
    let words =
        ["build", "--context", &context, "--hostname", "web.example.org", "--interface", "nodev:127.0.9.10/8"];
    let method = ["-m", "yum", "--", "-d", "fedora-41", "--", "web"];
    let built = host.v(&[&[name.as_str()], &words[..], &method].concat());
    built.ok().says("03-may-fail could not be installed");
    let root = host.trees().join(&name);
    held(&root);
    assert_eq!(fs::read_to_string(root.join("var/pre")).unwrap(), "pre\n");
    tamed(&root, "127.0.9.10");
    assert!(root.join("usr/lib/sysimage/rpm/rpmdb.sqlite").exists(), "where Fedora has it");
    assert!(!root.join("etc/rc.d/rc3.d/S05kudzu").exists() && root.join("etc/rc.d/rc3.d/S10httpd").exists());
    assert!(
        fs::read_dir(host.scratch("cache").join("dnf/fedora-41")).unwrap().count() > 0,
        "what was fetched is kept"
    );
    assert!(host.confdir().join(&name).join("apps/pkgmgmt/internal").exists());
    serves(&host, &name, "127.0.9.10");
    let old = host.fresh().0;
    let hint = host.v(&[&old, "build", "-m", "apt-rpm", "--", "-d", "fedora-41"]);
    hint.ok().says("'apt-rpm' is that of yum today");
    host.v(&["--silent", &old, "delete"]).ok();
}

fn lists_of_files_by_rpm() {
    let host = Fixture::new();
    let made = host.scratch("rpm");
    repositories::rpm(&made, &FEDORA, PAGE);
    let files = |names: &[&str]| {
        names.iter().map(|name| format!("{name}-1-1.{}.rpm\n", std::env::consts::ARCH)).collect::<String>()
    };
    write(&made, "repo/one.lst", &format!("# the base\n\n{}", files(&["filesystem", "busybox"])), 0o644);
    write(&made, "two.lst", &files(&["init", "web"]), 0o644);
    let (repo, one, two) = (made.join("repo"), made.join("repo/one.lst"), made.join("two.lst"));
    let [repo, one, two] = [&repo, &one, &two].map(|path| path.to_str().unwrap());
    let method = ["-m", "rpm", "--", "-b", repo, one, two];
    let (name, root) = build(&host, "127.0.9.11", &method);
    held(&root);
    tamed(&root, "127.0.9.11");
    serves(&host, &name, "127.0.9.11");
    // Those of a distribution, beside the list.
    describe(&host, "small", "rpmlist.d/01.lst", &files(&["init"]));
    describe(&host, "small", "rpmlist.d/01.cmd", "--nodeps\n");
    let place = host.confdir().join(".distributions/small/rpmlist.d");
    let file = files(&["init"]);
    fs::copy(made.join("repo").join(file.trim()), place.join(file.trim())).unwrap();
    let (name, root) = build(&host, "127.0.9.11", &["-m", "rpm", "--", "-d", "small"]);
    assert!(root.join("etc/inittab").exists() && !root.join("srv/www").exists());
    host.v(&["--silent", &name, "delete"]).ok();
    let (name, root) = build(&host, "127.0.9.11", &["-m", "rpm", "--", "-d", "fedora", "--empty"]);
    assert!(root.join("usr/lib/sysimage/rpm/rpmdb.sqlite").exists());
    host.v(&["--silent", &name, "delete"]).ok();
}

fn opensuse_by_zypper() {
    let host = Fixture::new();
    let made = host.scratch("rpm");
    repositories::rpm(&made, &SUSE, PAGE);
    let repo = format!("[own]\nname=own\nbaseurl=file://{}/repo\ngpgcheck=0\nenabled=1\n", made.display());
    describe(&host, "opensuse-leap", "zypp.repos.d/own.repo", &repo);
    describe(&host, "opensuse-leap", "pkgs/01-base", "init\n");
    let method = ["-m", "zypper", "--", "-d", "opensuse-leap-15.6", "--", "web"];
    let (name, root) = build(&host, "127.0.9.12", &method);
    held(&root);
    tamed(&root, "127.0.9.12");
    assert!(!root.join("etc/init.d/rc3.d/S05kudzu").exists());
    serves(&host, &name, "127.0.9.12");
}

fn alpine_by_apk() {
    let host = Fixture::new();
    let made = host.scratch("apk");
    repositories::apk(&made, PAGE);
    describe(&host, "alpine", "apk/repositories", &format!("{}/repo\n", made.display()));
    describe(&host, "alpine", "pkgs/01-base", "alpine-base\n");
    let (name, _) = host.fresh();
    let refused = |says: &str| {
        host.v(&[&name, "build", "-m", "apk", "--", "-d", "alpine-3.20"]).exits(1).says(says);
        assert!(!host.confdir().join(&name).exists() && !host.trees().join(&name).exists());
    };
    if Need::Tool("apk").unmet().is_some() {
        refused("apk is not installed on this host");
    }
    symlink(made.join("exec"), host.confdir().join(".distributions/alpine/execdir")).unwrap();
    refused("no key of the distribution 'alpine-3.20' is known");
    describe(&host, "alpine", "pubkeys/other.rsa.pub", "another key\n");
    refused(
        "its signature is missing or not by a key of the distribution (ERROR: alpine-base-1-r0: UNTRUSTED signature)",
    );
    describe(&host, ".common", "pubkeys/own.rsa.pub", "the key\n");
    let (name, root) = build(&host, "127.0.9.13", &["-m", "apk", "--", "-d", "alpine-3.20"]);
    held(&root);
    room(&root);
    tamed(&root, "127.0.9.13");
    assert!(fs::read_to_string(root.join("etc/rc.conf")).unwrap().contains("rc_sys=\"vserver\""));
    assert!(!root.join("etc/runlevels/boot/hwclock").exists() && root.join("etc/runlevels/boot/syslog").exists());
    serves(&host, &name, "127.0.9.13");
}

fn arch_by_pacman() {
    let host = Fixture::new();
    let made = host.scratch("pacman");
    repositories::pacman(&made, PAGE);
    let settings =
        format!("[options]\nArchitecture = auto\nSigLevel = Never\n[own]\nServer = file://{}/repo\n", made.display());
    describe(&host, "arch", "pacman/pacman.conf", &settings);
    let (name, root) = build(&host, "127.0.9.14", &["-m", "pacman", "--", "-d", "arch"]);
    held(&root);
    tamed(&root, "127.0.9.14");
    assert!(root.join("var/lib/pacman/local/base-1-1/desc").exists());
    serves(&host, &name, "127.0.9.14");
}
