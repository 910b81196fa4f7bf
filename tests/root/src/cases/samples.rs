//! A configuration tree as found on a host of the original, started as it is: what it needs of the host stands beside it
//! as programs that write down how they are called.

use std::fs;
use std::path::Path;

use crate::fixture::{Fixture, Guest};
use crate::tree;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![Trial::new("samples::scripts_and_fstab", scripts_and_fstab)]
}

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/vserver-config/tests/samples");
/// Files that stand for links, and the number and name that a test has of its own.
const OWN: [&str; 5] = ["vdir", "cache", "run", "context", "name"];

/// Copies files with their modes but for those that are a test's own. Hosts have no read-only files there.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        if OWN.contains(&name.to_str().unwrap()) {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else {
            let executable =
                std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o111 != 0;
            let mode = if executable { 0o755 } else { 0o644 };
            tree::write(to, name.to_str().unwrap(), &fs::read_to_string(&path).unwrap(), mode);
        }
    }
}

/// 05-scripts-fstab: its root on a volume of its own, binds of a directory and of a file, a remote mount, sourced and
/// executed scripts, the host's scripts, its own start and stop command.
fn scripts_and_fstab() {
    let host = Fixture::new();
    let guest = host.guest_of_style("gentoo");
    let sample = Path::new(SAMPLES).join("05-scripts-fstab/etc/vservers");
    copy(&sample.join("app5"), &guest.cfg);
    copy(&sample.join(".defaults/scripts"), &host.confdir().join(".defaults/scripts"));
    fs::remove_file(guest.cfg.join("apps/init/depends")).unwrap();
    guest.set("interfaces/0/dev", "lo\n");

    let volume = guest.root.with_extension("volume");
    fs::rename(&guest.root, &volume).unwrap();
    fs::create_dir(&guest.root).unwrap();
    let (bin, srv, log) = (host.scratch("bin"), host.scratch("srv"), host.scratch("log").join("calls"));
    for (name, rest) in
        [("modprobe", ""), ("iptables", ""), ("logger", ""), ("fsck", ""), ("mount", "/bin/mount -t tmpfs none .")]
    {
        let script = format!("#!/bin/sh\necho \"{name} $*\" >>{}\n{rest}\n", log.display());
        tree::write(&bin, name, &script, 0o755);
    }
    tree::write(&srv, "shared/note", "shared\n", 0o644);
    tree::write(&srv, "app5.conf", "config\n", 0o644);
    let fstab = fs::read_to_string(guest.cfg.join("fstab")).unwrap();
    let fstab = fstab.replace(
        "/dev/vg0/app5   /               ext3    noatime,dev ",
        &format!("{} / none bind ", volume.display()),
    );
    let fstab = fstab.replace("\n/srv/shared ", &format!("\n{}/shared ", srv.display()));
    let fstab = fstab.replace("\n/srv/app5.conf ", &format!("\n{}/app5.conf ", srv.display()));
    guest.set("fstab", &fstab);
    let rc = "#!/bin/sh\necho \"$1|$APP_MODE|$TERM|$PATH\" >>/var/log/rc\n\
              [ \"$1\" = stop ] || { sleep 86400 </dev/null >/dev/null 2>&1 & }\n";
    tree::write(&volume, "etc/rc.app", rc, 0o755);

    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display());
    let run = |verb: &str| {
        let ran = guest.host_command(&[verb]).env("PATH", &path).env("TERM", "vt100").output().unwrap();
        assert!(ran.status.success(), "{verb}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    run("start");
    inside(&guest);
    run("stop");
    let name = &guest.name;
    let expected = [
        "fsck -s -n -A -T".to_owned(),
        "modprobe dummy".to_owned(),
        "mount -n -t nfs -o rw,hard,intr,dev -- nas:/export/app5 .".to_owned(),
        "iptables -I INPUT -d 192.0.2.105 -j ACCEPT".to_owned(),
        format!("logger starting {name} (pre-start)"),
        format!("logger {name} is up"),
        "iptables -D INPUT -d 192.0.2.105 -j ACCEPT".to_owned(),
    ];
    assert_eq!(fs::read_to_string(&log).unwrap().lines().collect::<Vec<_>>(), expected);
    let said = fs::read_to_string(volume.join("var/log/rc")).unwrap();
    assert_eq!(said.lines().next(), Some("start all|production|vt100|/bin:/usr/bin:/sbin:/usr/sbin"));
    assert!(said.lines().nth(1).is_some_and(|line| line.starts_with("stop|")), "{said}");
}

fn inside(guest: &Guest<'_>) {
    guest.sh("cat /srv/shared/note /etc/app.conf").ok().says("shared\nconfig\n");
    assert_ne!(guest.sh("touch /srv/shared/x").code, 0, "read-only");
    let mounts = guest.sh("cut -d' ' -f2,4 /proc/mounts").ok().out.clone();
    let line = |target: &str| mounts.lines().find(|line| line.starts_with(&format!("{target} "))).map(str::to_owned);
    let run = line("/run").unwrap();
    assert!(["nosuid", "noexec", "nodev", "size=32768k"].iter().all(|word| run.contains(word)), "{run}");
    assert!(line("/net/app5").is_some() && line("/data").is_none(), "{mounts}");
    let mtab = guest.sh("cat /etc/mtab").ok().out.clone();
    assert!(
        mtab.starts_with("/dev/hdv1 / ufs defaults 0 0\n") && mtab.contains("nas:/export/app5 /net/app5 nfs "),
        "{mtab}"
    );
}
