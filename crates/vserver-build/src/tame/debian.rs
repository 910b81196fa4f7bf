//! Debian and its kin. Source: util-vserver's initpost, `behaviours.md` §12, brought up to date.

use std::path::Path;

use vserver_config::NewGuest;
use vserver_fs::{GuestRoot, Owner, tree};

use super::{hostname, hosts, write};
use crate::{Error, apt};

const MASK: &str = include_str!("../../../../distributions/debian/mask");
const FSTAB: &str = include_str!("../../../../distributions/debian/fstab");
/// Suites that have neither updates nor security updates of their own.
const ROLLING: [&str; 5] = ["sid", "unstable", "testing", "experimental", "rc-buggy"];
/// Largest configuration file that is edited, in bytes.
const MAX: u64 = 1 << 20;

/// Makes a guest of what debootstrap has installed.
pub(crate) fn debian(root: &GuestRoot, guest: &NewGuest, suite: &str, mirror: &str) -> Result<(), Error> {
    write(root, "etc/hostname", &format!("{}\n", hostname(guest)))?;
    write(root, "etc/hosts", &hosts(guest))?;
    write(root, "etc/fstab", FSTAB)?;
    let host = apt::host_sources(Path::new("/etc/apt"));
    write(root, "etc/apt/sources.list", &sources(suite, mirror, apt::security(&host, suite).as_deref()))?;
    let proxy = Path::new("/etc/apt/apt.conf");
    if proxy.is_file() {
        tree::copy_from_host(root, proxy, "etc/apt/apt.conf")?;
    }
    machine_id(root)?;
    no_getty(root)?;
    if root.exists("lib/systemd/systemd")? {
        mask(root)?;
    }
    Ok(())
}

fn sources(suite: &str, mirror: &str, security: Option<&str>) -> String {
    let mirror = mirror.trim_end_matches('/');
    let mut text = format!("deb {mirror} {suite} main\n");
    if ROLLING.contains(&suite) {
        return text;
    }
    text.push_str(&format!("deb {mirror} {suite}-updates main\n"));
    if let Some(security) = security {
        text.push_str(&format!("deb {} {suite}-security main\n", security.trim_end_matches('/')));
    }
    text
}

/// No two guests may have the same one: empty, it is made at the first boot.
fn machine_id(root: &GuestRoot) -> Result<(), Error> {
    root.write_atomic("etc/machine-id", b"", 0o444, Some(Owner::ROOT))?;
    // dbus keeps a copy; without one it reads the file above.
    Ok(root.remove_file("var/lib/dbus/machine-id")?)
}

/// sysvinit: there is no terminal to ask for a name on.
fn no_getty(root: &GuestRoot) -> Result<(), Error> {
    let path = "etc/inittab";
    if !root.exists(path)? {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&root.read(path, MAX)?).into_owned();
    let quiet = |line: &str| {
        let active = !line.starts_with('#') && line.contains("getty");
        if active { format!("#{line}\n") } else { format!("{line}\n") }
    };
    write(root, path, &text.lines().map(quiet).collect::<String>())
}

/// systemd: a unit whose name leads to /dev/null does not exist.
fn mask(root: &GuestRoot) -> Result<(), Error> {
    let dir = Path::new("etc/systemd/system");
    root.create_dir_all(dir, 0o755)?;
    let unit = |line: &'static str| line.split('#').next().map(str::trim).filter(|unit| !unit.is_empty());
    for unit in MASK.lines().filter_map(unit) {
        root.remove_file(dir.join(unit))?;
        root.symlink("/dev/null", dir.join(unit))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_masked_unit_has_a_name_and_a_reason() {
        for line in MASK.lines() {
            let (unit, reason) = line.split_once('#').unwrap();
            assert!(!reason.trim().is_empty(), "{line}");
            let kind = unit.trim().rsplit_once('.').unwrap().1;
            assert!(["service", "socket", "mount", "automount", "timer"].contains(&kind), "{line}");
        }
    }

    #[test]
    fn sources_follow_the_suite() {
        assert_eq!(sources("sid", "http://m/debian/", Some("http://m/sec")), "deb http://m/debian sid main\n");
        assert_eq!(
            sources("bookworm", "http://m/debian", Some("http://m/debian-security/")),
            "deb http://m/debian bookworm main\ndeb http://m/debian bookworm-updates main\n\
             deb http://m/debian-security bookworm-security main\n"
        );
    }

    #[test]
    fn a_tree_is_tamed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["etc/apt", "lib/systemd", "var/lib/dbus"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        std::fs::write(at("lib/systemd/systemd"), "").unwrap();
        std::fs::write(at("etc/machine-id"), "0123").unwrap();
        std::fs::write(at("var/lib/dbus/machine-id"), "0123").unwrap();
        std::fs::write(at("etc/inittab"), "id:2:initdefault:\n1:2345:respawn:/sbin/getty 38400 tty1\n").unwrap();
        let root = GuestRoot::open(dir.path()).unwrap();
        let mut guest = NewGuest::new("web1".parse().unwrap());
        guest.hostname = Some("web1.example.org".to_owned());
        guest.interfaces = vec!["nodev:192.0.2.12/24".parse().unwrap()];
        debian(&root, &guest, "bookworm", "http://m/debian").unwrap();
        let read = |name: &str| std::fs::read_to_string(at(name)).unwrap();
        assert_eq!(read("etc/hostname"), "web1.example.org\n");
        assert!(read("etc/hosts").ends_with("192.0.2.12\tweb1.example.org web1\n"));
        assert_eq!(read("etc/machine-id"), "");
        assert!(!at("var/lib/dbus/machine-id").exists());
        assert!(read("etc/inittab").contains("\n#1:2345"));
        let udev = std::fs::read_link(at("etc/systemd/system/systemd-udevd.service")).unwrap();
        assert_eq!(udev, Path::new("/dev/null"));
    }
}
