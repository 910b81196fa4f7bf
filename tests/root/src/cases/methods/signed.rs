//! Packages of rpm that are signed, by the key that is configured and by another one.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::bad::refused;
use crate::fixture::Fixture;
use crate::needs::Need;
use crate::repositories::{self, FEDORA, describe};
use crate::tree::write;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    let signed = |name, body: fn(), tool| {
        let trial = Trial::new(name, body).needs(Need::Tool("rpmbuild")).needs(Need::Tool("rpmsign"));
        trial.needs(Need::Tool("createrepo_c")).needs(Need::Tool("gpg")).needs(Need::Tool(tool))
    };
    vec![
        signed("methods::signed::dnf_takes_packages_of_its_keys_only", dnf_takes_packages_of_its_keys_only, "dnf"),
        signed("methods::signed::rpm_takes_packages_of_its_keys_only", rpm_takes_packages_of_its_keys_only, "rpm"),
    ]
}

const WHY: &str = "is missing or not by a key of the distribution";
const KEYS: &str = "chmod 700 .; for user in one other; do
  gpg --batch --quiet --passphrase '' --quick-gen-key $user@example.org rsa2048 sign never
  gpg --batch --quiet --armor --export $user@example.org >$user; done
rpmsign --define \"__gpg $(command -v gpg)\" --define \"_gpg_path $GNUPGHOME\" --define '_gpg_name one@example.org' --addsign $1/*.rpm >/dev/null
gpgconf --kill all; createrepo_c -q $1";

/// Packages that are signed by the first of two keys, both in `keys/`.
fn signed(host: &Fixture, made: &Path) {
    repositories::rpm(made, &FEDORA, "page\n");
    let home = host.scratch("keys");
    let mut sh = Command::new("sh");
    sh.args(["-ec", KEYS, "sh"]).arg(made.join("repo")).env("GNUPGHOME", &home).current_dir(&home);
    let done = sh.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// The distribution trusts that key and no other.
fn trust(host: &Fixture, user: &str) {
    let key = fs::read_to_string(host.scratch("keys").join(user)).unwrap();
    describe(host, "fedora", "pubkeys/own", &key);
}

fn built(host: &Fixture, method: &[&str]) {
    let name = host.fresh().0;
    host.v(&[&[name.as_str(), "build"], method].concat()).ok();
    assert!(host.trees().join(&name).join("etc/os-release").exists());
    host.v(&["--silent", &name, "delete"]).ok();
}

fn dnf_takes_packages_of_its_keys_only() {
    let host = Fixture::new();
    let made = host.scratch("rpm");
    signed(&host, &made);
    let repo = format!("[own]\nname=own\nbaseurl=file://{}/repo\ngpgcheck=1\n", made.display());
    describe(&host, "fedora", "yum.repos.d/own.repo", &repo);
    describe(&host, "fedora", "pkgs/01-base", "filesystem\n");
    let method = ["-m", "yum", "--", "-d", "fedora"];
    trust(&host, "other");
    refused(&host, &method, &["dnf refuses what it fetched for 'fedora'", WHY]);
    trust(&host, "one");
    built(&host, &method);
}

fn rpm_takes_packages_of_its_keys_only() {
    let host = Fixture::new();
    let made = host.scratch("rpm");
    signed(&host, &made);
    write(&made, "repo/list", &format!("filesystem-1-1.{}.rpm\n", std::env::consts::ARCH), 0o644);
    let list = made.join("repo/list");
    let method = ["-m", "rpm", "--", "-d", "fedora", list.to_str().unwrap()];
    trust(&host, "other");
    refused(&host, &method, &["rpm refuses what it fetched for 'fedora'", WHY]);
    trust(&host, "one");
    built(&host, &method);
}
