//! A tree that was made of packages just now: it has what they have, and nothing yet of one guest.

use std::path::Path;

use vserver_config::NewGuest;
use vserver_fs::GuestRoot;

use super::change::Change;
use super::system::{Init, System, text};
use super::{hostname, hosts, names};
use crate::Error;

const FSTAB: &str = include_str!("../../../../etc-templates/tree/fstab");
const LOCALE: &str = include_str!("../../../../etc-templates/tree/locale.conf");

/// Makes a guest of what a package tool has installed.
pub(crate) fn built(root: &GuestRoot, guest: &NewGuest) -> Result<(), Error> {
    let system = System::of(root)?;
    super::apply(root, &changes(root, &system, guest)?)?;
    super::machine_id(root)
}

fn changes(root: &GuestRoot, system: &System, guest: &NewGuest) -> Result<Vec<Change>, Error> {
    let address = guest.interfaces.first().map(|first| first.address.ip);
    let mut changes = names::changes(root, &hostname(guest), address)?;
    if text(root, "etc/hosts")?.is_none_or(|text| text.trim().is_empty()) {
        changes.retain(|change| change.path != "etc/hosts");
        changes.push(Change::write("etc/hosts", hosts(guest), "its own name and address"));
    }
    changes.push(Change::write("etc/fstab", FSTAB, "file systems are mounted from outside"));
    changes.extend(clock_and_language(root, system)?);
    changes.extend(super::image(root, system)?);
    Ok(changes)
}

/// The host's time zone, and a language that every system has; each unless the tree says something.
pub(super) fn clock_and_language(root: &GuestRoot, system: &System) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    let zone = std::fs::read(Path::new("/etc/localtime")).unwrap_or_default();
    let is_link = |path: &str| root.readlink(path).is_ok();
    if !zone.is_empty() && !is_link("etc/localtime") && !root.exists("etc/localtime")? {
        changes.push(Change::write("etc/localtime", zone, "its time zone is that of the host"));
    }
    let says = root.exists("etc/locale.conf")? || root.exists("etc/default/locale")?;
    if system.init == Init::Systemd && !says {
        changes.push(Change::write("etc/locale.conf", LOCALE, "a language that every system has"));
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, GuestRoot) {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let root = GuestRoot::open(dir.path()).unwrap();
        (dir, root)
    }

    fn made(files: &[(&str, &str)]) -> impl Fn(&str) -> String + use<> {
        let (dir, root) = tree(files);
        let mut guest = NewGuest::new("web1".parse().unwrap());
        guest.hostname = Some("web1.example.org".to_owned());
        guest.interfaces = vec!["nodev:192.0.2.12/24".parse().unwrap()];
        built(&root, &guest).unwrap();
        move |name| std::fs::read_to_string(dir.path().join(name)).unwrap_or_else(|_| "none".to_owned())
    }

    #[test]
    fn each_init_gets_what_it_reads() {
        let openrc = made(&[
            ("sbin/init", ""),
            ("sbin/openrc", ""),
            ("etc/rc.conf", "#rc_sys=\"\"\n"),
            ("etc/inittab", "::sysinit:/sbin/openrc sysinit\ntty1::respawn:/sbin/getty 38400 tty1\n"),
            ("etc/runlevels/boot/hwclock", ""),
            ("etc/runlevels/boot/syslog", ""),
        ]);
        assert_eq!(openrc("etc/rc.conf"), "#rc_sys=\"\"\nrc_sys=\"vserver\"\n");
        assert!(openrc("etc/inittab").contains("\n#tty1"));
        assert_eq!(
            (openrc("etc/runlevels/boot/hwclock"), openrc("etc/runlevels/boot/syslog")),
            ("none".into(), String::new())
        );
        assert_eq!(openrc("etc/hostname"), "web1.example.org\n");
        let systemd = made(&[
            ("usr/lib/systemd/systemd", ""),
            ("etc/machine-id", "0123"),
            ("etc/hosts", "127.0.0.1 localhost\n"),
        ]);
        assert_eq!((systemd("etc/locale.conf"), systemd("etc/machine-id")), (LOCALE.to_owned(), String::new()));
        assert_eq!(systemd("etc/hosts"), "127.0.0.1 localhost\n192.0.2.12\tweb1.example.org web1\n");
        assert_eq!(systemd("etc/fstab"), FSTAB);
        let upstart = made(&[("sbin/init", ""), ("etc/init/rc-sysinit.conf", ""), ("etc/init/tty1.conf", "")]);
        assert_eq!(upstart("etc/init/tty1.override"), "manual\n");
        assert!(upstart("etc/hosts").contains("192.0.2.12\tweb1.example.org"));
        let sysv = made(&[
            ("sbin/init", ""),
            ("etc/inittab", "1:2345:respawn:/sbin/mingetty tty1\n"),
            ("etc/rc.d/rc3.d/S01kudzu", ""),
        ]);
        assert_eq!(
            (sysv("etc/rc.d/rc3.d/S01kudzu"), sysv("etc/inittab")),
            ("none".into(), "#1:2345:respawn:/sbin/mingetty tty1\n".into())
        );
    }
}
