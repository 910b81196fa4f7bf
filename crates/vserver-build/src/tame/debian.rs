//! Debian and its kin. Source: util-vserver's initpost, `behaviours.md` §12, brought up to date.

use std::path::Path;

use vserver_config::NewGuest;
use vserver_fs::{GuestRoot, tree};

use super::{hostname, hosts, write};
use crate::{Error, apt};

const FSTAB: &str = include_str!("../../../../etc-templates/tree/fstab");
/// Suites that have neither updates nor security updates of their own.
const ROLLING: [&str; 5] = ["sid", "unstable", "testing", "experimental", "rc-buggy"];

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
    super::machine_id(root)?;
    let system = super::System::of(root)?;
    super::apply(root, &super::built::clock_and_language(root, &system)?)?;
    super::apply(root, &super::image(root, &system)?)
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

#[cfg(test)]
mod tests {
    use super::*;

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
