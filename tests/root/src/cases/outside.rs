//! Real rpm, dnf, apt and dpkg: the guest's own on several guests, and the host's on a guest's tree.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::fixture::{Fixture, Guest};
use crate::needs::Need;
use crate::tree::write;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    let rpm = |name, body| {
        let needs = ["rpmbuild", "dnf", "createrepo_c"].map(Need::Tool);
        needs.into_iter().fold(Trial::new(name, body).within(600), Trial::needs)
    };
    vec![
        rpm("outside::rpm_and_dnf_in_several_guests", rpm_and_dnf_in_several_guests),
        rpm("outside::the_hosts_rpm_and_dnf", the_hosts_rpm_and_dnf),
        Trial::new("outside::the_hosts_apt", the_hosts_apt).needs(Need::Tool("dpkg-scanpackages")).within(600),
        Trial::new("outside::out_of_the_workshop", out_of_the_workshop).within(300),
        Trial::new("outside::places_that_a_guest_can_change_are_refused", places_that_a_guest_can_change_are_refused),
        rpm("outside::a_database_moves_out_and_back", a_database_moves_out_and_back),
    ]
}

/// What a package's script can see and do, in the file `/var/script`.
const SCRIPT: &str = "exec >/var/script 2>&1; cat /proc/self/uid_map; hostname; tr '\\0' ' ' </proc/1/cmdline; echo; ls /guest; \
                      ls /proc | grep -c '^[0-9]'; echo x >/dev/null && echo devices; touch /usr/bin/by-script";

/// A repository with one package, `greeting`, at `dir`.
fn rpm_repository(dir: &Path) {
    let spec = format!(
        "Name: greeting\nVersion: 1.0\nRelease: 1\nSummary: says hello\nLicense: none\nBuildArch: noarch\nProvides: /bin/sh\n\
         %description\nhello\n%install\nmkdir -p %{{buildroot}}/etc\necho hello >%{{buildroot}}/etc/greeting.conf\n\
         %post\n{SCRIPT}\n%files\n%config /etc/greeting.conf\n"
    );
    std::fs::write(dir.join("greeting.spec"), spec).unwrap();
    let shell = "set -e; rpmbuild -bb --define \"_topdir $PWD/build\" greeting.spec; cp build/RPMS/noarch/*.rpm .; \
                 rm -r build greeting.spec; createrepo_c .";
    let ran = Command::new("sh").args(["-c", shell]).env("HOME", dir).current_dir(dir).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

fn repo_file(url: &str) -> String {
    format!("[own]\nname=own\nbaseurl={url}\ngpgcheck=0\nenabled=1\n")
}

fn copy(from: &Path, to: &Path) {
    let ran = Command::new("cp").args(["-rT", from.to_str().unwrap(), to.to_str().unwrap()]).status().unwrap();
    assert!(ran.success());
}

/// A guest that has the host's programs for its own.
fn with_programs<'f>(host: &'f Fixture, repository: &Path) -> Guest<'f> {
    let guest = host.guest();
    guest.set("fstab", "/usr /usr none bind,ro 0 0\n");
    for lib in ["lib", "lib64"] {
        symlink(format!("usr/{lib}"), guest.root.join(lib)).unwrap();
    }
    write(&guest.root, "root/.rpmmacros", "%_dbpath /var/lib/rpm\n", 0o644);
    std::fs::create_dir_all(guest.root.join("var/lib/rpm")).unwrap();
    std::fs::create_dir_all(guest.root.join("srv")).unwrap();
    copy(repository, &guest.root.join("srv/repository"));
    write(&guest.root, "etc/yum.repos.d/own.repo", &repo_file("file:///srv/repository"), 0o644);
    write(&guest.root, "etc/redhat-release", "Test release 1\n", 0o644);
    guest.set("apps/pkgmgmt/internal", "");
    guest
}

/// vrpm and vyum for three guests, one of which runs, one of which has a broken repository.
fn rpm_and_dnf_in_several_guests() {
    let host = Fixture::new();
    let repository = host.scratch("repository");
    rpm_repository(&repository);
    let guests = [0; 3].map(|_| with_programs(&host, &repository));
    let [up, down, broken] = &guests;
    up.start();
    std::fs::remove_dir_all(broken.root.join("srv/repository/repodata")).unwrap();
    let names: Vec<&str> = guests.iter().map(|guest| guest.name.as_str()).collect();
    let run = |tool: &str, words: &[&str]| {
        let mut command = host.command(tool);
        command.env("HOME", "/root").args(&names).arg("--").args(words);
        crate::fixture::Ran::from(command.output().unwrap())
    };
    let install = run("vyum", &["-y", "install", "greeting"]);
    install.says(&format!("vyum failed on vserver '{}' with errorcode 1", broken.name));
    for good in [up, down] {
        assert!(!install.out.contains(&format!("failed on vserver '{}'", good.name)), "{}", install.out);
        assert_eq!(std::fs::read_to_string(good.root.join("etc/greeting.conf")).unwrap(), "hello\n");
        let script = std::fs::read_to_string(good.root.join("var/script")).unwrap();
        assert!(script.contains(&format!("{}.test", good.name)) && script.contains(&range(good)), "{script}");
    }
    assert!(!broken.root.join("etc/greeting.conf").exists());
    // Each guest has its own result, and 6 says that they differ.
    host.v(&["--all", "rpm", "-q", "greeting"]).exits(6);
    run("vrpm", &["-q", "greeting"]).exits(1).says("greeting-1.0-1.noarch");
    let install = run("vrpm", &["-i", "/srv/repository/greeting-1.0-1.noarch.rpm"]);
    install.says(&format!("vrpm failed on vserver '{}'", up.name));
    run("vrpm", &["-q", "greeting"]).exits(0);
    host.tool("vpkg", &[&down.name, "get-conffiles"]).ok().says("/etc/greeting.conf");
    assert!(up.is_running() && !down.is_running() && !broken.is_running());
}

/// Where its users begin on the host, as `uid_map` has it.
fn range(guest: &Guest<'_>) -> String {
    format!("{}", 1_000_000 + u64::from(guest.xid) * 65_536)
}

/// A guest without any package tool, its packages managed from the host.
fn managed<'f>(host: &'f Fixture, style: &str) -> Guest<'f> {
    let guest = host.guest();
    guest.set("apps/pkgmgmt/style", &format!("{style}\n")).set("apps/pkgmgmt/internal", "");
    guest.v(&["pkgmgmt", "externalize"]).ok();
    guest.v(&["pkgmgmt", "is-internal"]).exits(1);
    assert!(guest.cfg.join("apps/pkgmgmt/base").is_dir() && !guest.cfg.join("apps/pkgmgmt/internal").exists());
    guest
}

fn the_hosts_rpm_and_dnf() {
    let host = Fixture::new();
    let guest = managed(&host, "redhat");
    std::fs::create_dir_all(guest.root.join("srv/repository")).unwrap();
    rpm_repository(&guest.root.join("srv/repository"));
    let base = guest.cfg.join("apps/pkgmgmt/base");
    write(&base, "yum/etc/yum.repos.d/own.repo", &repo_file("file:///guest/srv/repository"), 0o644);
    let before = std::fs::metadata("/usr/bin").unwrap().modified().unwrap();
    host.tool("vyum", &[&guest.name, "--", "-y", "install", "greeting"]).ok();
    assert_eq!(std::fs::read_to_string(guest.root.join("etc/greeting.conf")).unwrap(), "hello\n");
    script_was_held(&guest);
    assert_eq!(std::fs::metadata("/usr/bin").unwrap().modified().unwrap(), before, "the host's /usr is as it was");
    assert!(guest.root.join("usr/bin/by-script").exists());
    host.tool("vrpm", &[&guest.name, "--", "-q", "greeting"]).ok().says("greeting-1.0-1.noarch");
    assert!(base.join("rpm/state/rpmdb.sqlite").exists() && !guest.root.join("var/lib/rpm/rpmdb.sqlite").exists());
    host.tool("vpkg", &[&guest.name, "get-conffiles"]).ok().says("/etc/greeting.conf");
    host.tool("vrpm", &[&guest.name, "--", "-e", "greeting"]).ok();
    assert!(!guest.root.join("etc/greeting.conf").exists());
    assert!(!guest.is_running());
    guest.start();
    guest.v(&["rpm", "-q", "greeting"]).exits(1).says("while it is stopped only");
}

/// In the guest's tree, its users, its name, no process of the host, nothing of the host's root.
fn script_was_held(guest: &Guest<'_>) {
    let said = std::fs::read_to_string(guest.root.join("var/script")).unwrap();
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    assert!(lines[0].contains(&range(guest)), "{said}");
    assert_eq!(lines[1], format!("{}.test", guest.name), "{said}");
    assert!(lines[2].starts_with("vserver-init"), "{said}");
    assert!(lines[3].contains("/guest") && lines[3].contains("No such file"), "it is in the guest's tree: {said}");
    assert!(lines[4].parse::<u32>().unwrap() < 12, "{said}");
    assert_eq!(lines[5], "devices", "{said}");
}

/// A repository with one package whose script is the same.
fn deb_repository(dir: &Path) {
    write(dir, "greeting/etc/greeting.conf", "hello\n", 0o644);
    write(dir, "greeting/DEBIAN/postinst", &format!("#!/bin/sh\n{SCRIPT}\n"), 0o755);
    let control = "Package: greeting\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n\
                   Description: says hello\n";
    write(dir, "greeting/DEBIAN/control", control, 0o644);
    let shell = "set -e; dpkg-deb --root-owner-group -b greeting greeting_1.0_all.deb; rm -r greeting; \
                 dpkg-scanpackages . >Packages";
    let ran = Command::new("sh").args(["-c", shell]).current_dir(dir).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

fn the_hosts_apt() {
    let host = Fixture::new();
    let defaults = host.confdir().join(".defaults/apps/pkgmgmt");
    write(&defaults, "apt.conf", "APT::Get::Assume-Yes \"true\";\n", 0o644);
    symlink(host.scratch("packages"), defaults.join("base")).unwrap();
    let guest = managed(&host, "debian");
    for dir in ["srv/repository", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"] {
        std::fs::create_dir_all(guest.root.join(dir)).unwrap();
    }
    for file in ["var/lib/dpkg/status", "var/lib/dpkg/available"] {
        write(&guest.root, file, "", 0o644);
    }
    deb_repository(&guest.root.join("srv/repository"));
    let base = guest.cfg.join("apps/pkgmgmt/base");
    write(&base, "apt/etc/sources.list", "deb [trusted=yes] file:/guest/srv/repository ./\n", 0o644);
    host.tool("vapt-get", &[&guest.name, "--", "update"]).ok();
    host.tool("vpkg", &[&guest.name, "install", "greeting"]).ok();
    assert_eq!(std::fs::read_to_string(guest.root.join("etc/greeting.conf")).unwrap(), "hello\n");
    script_was_held(&guest);
    assert!(std::fs::read_to_string(guest.root.join("var/lib/dpkg/status")).unwrap().contains("Package: greeting"));
    assert!(
        std::fs::read_dir(host.scratch("packages").join(&guest.name).join("apt/state/lists"))
            .unwrap()
            .next()
            .is_some()
    );
    guest.v(&["apt-config", "dump"]).ok().says("APT::Get::Assume-Yes \"true\"");
    guest.v(&["apt-cache", "policy", "greeting"]).ok().says("Installed: 1.0");
    let missing = host.tool("vapt-get", &[&guest.name, "--", "-y", "install", "no-such-package"]);
    missing.exits(100).says("no-such-package");
    assert!(!guest.is_running());
    // Several at a time, one of which has no such package: each its own result, and 6 because they differ.
    let other = managed(&host, "debian");
    write(&other.root, "var/lib/dpkg/status", "", 0o644);
    let all = host.v(&["--all", "pkg", "install", "--", "--reinstall", "greeting"]);
    all.exits(6).says("Unable to locate package greeting");
    assert!(all.out.contains("Setting up greeting"), "{}", all.out);
    assert!(!guest.is_running() && !other.is_running());
}

/// Who leaves the guest's tree by chroot(2) is the guest's root all the same: nothing of the host can be written, and of
/// its secrets nothing is there.
fn out_of_the_workshop() {
    let host = Fixture::new();
    let escape = "#!/bin/sh\ncd /\nls -A / | tr '\\n' ' '; echo\nfor file in /etc/shadow /etc/vservers /home /boot /run/vserver; do \
                  [ -e $file ] && echo \"there is $file\"; done\nmount -o remount,rw /usr 2>/dev/null && echo 'usr was opened'\n\
                  mount -o remount,bind,rw /usr 2>/dev/null && echo 'usr was opened'\n\
                  touch /usr/by-guest || echo 'usr is closed'\ntouch /etc/rpm/by-guest || echo 'settings are closed'\n\
                  touch /guest/by-guest && echo 'its tree is open'\nhead -1 /proc/self/uid_map; grep CapBnd /proc/self/status; exit 0\n";
    for userns in ["auto", "off"] {
        let guest = managed(&host, "redhat");
        guest.set("userns", &format!("{userns}\n"));
        let base = guest.cfg.join("apps/pkgmgmt/base");
        std::fs::create_dir(base.join("exec")).unwrap();
        write(&base, "exec/rpm", escape, 0o755);
        symlink("base/exec", guest.cfg.join("apps/pkgmgmt/execdir")).unwrap();
        std::fs::create_dir_all(base.join("rpm/etc")).unwrap();
        let ran = host.tool("vrpm", &[&guest.name, "--", "-qa"]);
        ran.ok().says("usr is closed").says("settings are closed").says("its tree is open");
        assert!(userns == "off" || ran.out.contains(&range(&guest)), "{}", ran.out);
        assert!(!ran.out.contains("there is") && !ran.out.contains("was opened"), "{userns}: {}", ran.out);
        let first = ran.out.lines().next().unwrap().to_owned();
        assert!(!first.contains("srv") && !first.contains("home") && first.contains("guest"), "{first}");
        assert!(guest.root.join("by-guest").exists());
        assert!(!ran.out.contains("CapBnd:\t000001ffffffffff"), "{}", ran.out);
    }
}

fn places_that_a_guest_can_change_are_refused() {
    let host = Fixture::new();
    let guest = managed(&host, "redhat");
    let other = host.guest();
    let state = guest.cfg.join("apps/pkgmgmt/rpmstate");
    symlink(other.root.join("etc"), &state).unwrap();
    let refused = host.tool("vrpm", &[&guest.name, "--", "-qa"]);
    refused.exits(1).says(&format!("guest '{}' can change what is in", other.name));
    std::fs::remove_file(&state).unwrap();
    symlink("/etc", &state).unwrap();
    host.tool("vrpm", &[&guest.name, "--", "-qa"]).exits(1).says("no directory of one guest's package data");
    std::fs::remove_file(&state).unwrap();
    std::fs::remove_dir_all(guest.cfg.join("apps/pkgmgmt/base/rpm")).unwrap();
    host.tool("vrpm", &[&guest.name, "--", "-qa"]).exits(1).says("there is no directory for 'rpmstate'");
    host.tool("vemerge", &[&guest.name, "--", "x"]).exits(1).says("pkgmgmt internalize");
    assert!(!guest.is_running());
}

/// compat/commands.md §2: the database goes to the host and comes back, and none is ever lost.
fn a_database_moves_out_and_back() {
    let host = Fixture::new();
    let repository = host.scratch("repository");
    rpm_repository(&repository);
    let guest = with_programs(&host, &repository);
    let query = || {
        let mut command = guest.host_command(&["rpm", "-q", "greeting"]);
        crate::fixture::Ran::from(command.env("HOME", "/root").output().unwrap())
    };
    let mut install = guest.host_command(&["rpm", "-i", "/srv/repository/greeting-1.0-1.noarch.rpm"]);
    assert!(install.env("HOME", "/root").status().unwrap().success());
    query().ok();
    guest.v(&["pkgmgmt", "externalize", "-y"]).ok();
    let data = host.trees().join(".pkg").join(&guest.name);
    assert!(data.join("rpm/state/rpmdb.sqlite").exists() && data.join("yum/etc/yum.repos.d/own.repo").exists());
    assert_eq!(std::fs::read_dir(guest.root.join("var/lib/rpm")).unwrap().count(), 0);
    query().ok().says("greeting-1.0-1.noarch");
    // With a database on either side nobody can know which one is right.
    write(&guest.root, "var/lib/rpm/rpmdb.sqlite", "other", 0o644);
    guest.v(&["pkgmgmt", "internalize"]).exits(2).says("--force");
    std::fs::remove_file(guest.root.join("var/lib/rpm/rpmdb.sqlite")).unwrap();
    guest.v(&["pkgmgmt", "internalize"]).ok();
    query().ok().says("greeting-1.0-1.noarch");
    assert!(!data.join("rpm/state/rpmdb.sqlite").exists());
    guest.v(&["pkgmgmt", "externalize"]).exits(2).says("--force puts them aside");
    guest.v(&["pkgmgmt", "externalize", "--force"]).ok();
    query().ok().says("greeting-1.0-1.noarch");
    guest.start();
    guest.v(&["pkgmgmt", "internalize"]).exits(2).says("stop it with");
}
