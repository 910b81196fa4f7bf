//! Inits of other days and distributions: OpenRC, which is started for real, and upstart, by its jobs. And what a guest sees of
//! the host's time zone.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::cases::disk::host_runs;
use crate::fixture::{Fixture, eventually};
use crate::needs::Need;
use crate::repositories::{self, FEDORA};
use crate::tree::{self, write};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("methods::inits::openrc_knows_that_it_is_in_a_guest", openrc_knows_that_it_is_in_a_guest)
            .needs(Need::Mirror)
            .on_host_network(),
        Trial::new("methods::inits::upstart_jobs_are_overridden", upstart_jobs_are_overridden),
        Trial::new("methods::inits::the_hosts_time_zone_is_seen_inside", the_hosts_time_zone_is_seen_inside)
            .needs(Need::Tool("rpmbuild"))
            .needs(Need::Tool("createrepo_c"))
            .needs(Need::Tool("rpm")),
    ]
}

/// Builds a guest of an archive of that tree.
fn of_template(host: &Fixture, tree: &Path) -> (String, std::path::PathBuf) {
    let archive = host.scratch("archive").join("tree.tar");
    host_runs("tar", &["-C", tree.to_str().unwrap(), "-cf", archive.to_str().unwrap(), "."]);
    let (name, xid) = host.fresh();
    let context = xid.to_string();
    let words = ["build", "--context", &context, "--hostname", "old.example.org", "--initstyle", "plain"];
    let method = ["-m", "template", "--", "-t", archive.to_str().unwrap()];
    host.v(&[&[name.as_str()], &words[..], &method].concat()).ok();
    let root = host.trees().join(&name);
    (name, root)
}

const RC_INITTAB: &str = "::sysinit:/sbin/openrc sysinit\n::sysinit:/sbin/openrc boot\n::wait:/sbin/openrc default\n\
                          tty1::respawn:/sbin/getty 38400 tty1\n::ctrlaltdel:/sbin/poweroff\n::shutdown:/sbin/openrc shutdown\n";
/// It says what OpenRC takes the machine for.
const USUAL: &str = "#!/sbin/openrc-run\nstart() { echo \"usual on $(openrc --sys)\" >>/var/log/services; }\n\
                     stop() { echo stopped >>/var/log/services; }\n";
const NOT_IN_A_GUEST: &str =
    "#!/sbin/openrc-run\ndepend() { keyword -vserver; }\nstart() { echo metal >>/var/log/services; }\n";
const CLOCK: &str = "#!/sbin/openrc-run\nstart() { echo clock >>/var/log/services; }\n";

/// Debian's OpenRC with the libraries of this host, over busybox.
fn with_openrc(host: &Fixture) -> std::path::PathBuf {
    let (packages, tree) = (host.scratch("packages"), host.scratch("openrc").join("tree"));
    tree::busybox(&tree);
    let script = "set -e; cd $1; apt-get -q download openrc librc1 libeinfo1 >&2; for deb in *.deb; do dpkg-deb -x $deb $2; done
        libraries=$(echo $2/lib/*-linux-gnu); mkdir -p $2/lib64
        for file in $(LD_LIBRARY_PATH=$libraries ldd $2/sbin/openrc-run | grep -o '/[^ ]*'); do case $file in
            $2/*) ;; /lib64/*) cp -L $file $2/lib64;; *) cp -L $file $libraries;; esac; done";
    let mut sh = Command::new("sh");
    let made = sh.args(["-c", script, "sh"]).args([&packages, &tree]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    fs::remove_dir_all(tree.join("etc/init.d")).unwrap();
    for (name, script) in [("usual", USUAL), ("metal", NOT_IN_A_GUEST), ("hwclock", CLOCK)] {
        write(&tree, &format!("etc/init.d/{name}"), script, 0o755);
        let place = tree.join("etc/runlevels/default").join(name);
        std::os::unix::fs::symlink(format!("/etc/init.d/{name}"), place).unwrap();
    }
    write(&tree, "etc/inittab", RC_INITTAB, 0o644);
    tree
}

fn openrc_knows_that_it_is_in_a_guest() {
    let host = Fixture::new();
    let (name, root) = of_template(&host, &with_openrc(&host));
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    assert!(read("etc/rc.conf").ends_with("\nrc_sys=\"vserver\"\n"), "{}", read("etc/rc.conf"));
    assert!(read("etc/inittab").contains("\n#tty1::"), "{}", read("etc/inittab"));
    assert!(root.join("etc/runlevels/default/hwclock").symlink_metadata().is_err());
    host.v(&[&name, "start"]).ok();
    let status = || host.v(&[&name, "exec", "rc-service", "usual", "status"]).out;
    eventually("its service is started", Duration::from_secs(60), || status().contains("started"));
    assert_eq!(
        read("var/log/services"),
        "usual on VSERVER\n",
        "neither what is for hardware nor what is not for guests"
    );
    host.v(&[&name, "stop"]).ok();
    assert_eq!(read("var/log/services"), "usual on VSERVER\nstopped\n");
    host.v(&["--silent", &name, "delete"]).ok();
}

/// No upstart is to be had any more; the tree has its layout, and busybox in its place.
fn upstart_jobs_are_overridden() {
    let host = Fixture::new();
    let tree = host.scratch("upstart").join("tree");
    tree::busybox(&tree);
    let jobs = ["rc-sysinit", "rc", "tty1", "tty2", "console", "udev", "hwclock", "cron"];
    for job in jobs {
        write(&tree, &format!("etc/init/{job}.conf"), &format!("exec /sbin/{job}\n"), 0o644);
    }
    for service in ["S20ssh", "S10acpid"] {
        write(&tree, &format!("etc/rc2.d/{service}"), "#!/bin/sh\n", 0o755);
    }
    // busybox by another name is not known by its link.
    fs::remove_file(tree.join("sbin/init")).unwrap();
    fs::copy(tree.join("bin/busybox"), tree.join("sbin/init")).unwrap();
    fs::remove_file(tree.join("etc/inittab")).unwrap();
    let (name, root) = of_template(&host, &tree);
    for job in jobs {
        let says = fs::read_to_string(root.join(format!("etc/init/{job}.override"))).ok();
        let wanted = ["tty1", "tty2", "udev", "hwclock"].contains(&job).then(|| "manual\n".to_owned());
        assert_eq!(says, wanted, "{job}");
        assert_eq!(
            fs::read_to_string(root.join(format!("etc/init/{job}.conf"))).unwrap(),
            format!("exec /sbin/{job}\n")
        );
    }
    assert!(root.join("etc/rc2.d/S20ssh").exists() && !root.join("etc/rc2.d/S10acpid").exists());
    host.v(&["--silent", &name, "delete"]).ok();
}

/// A zone that no host has by chance is that of the host, for this test.
fn the_hosts_time_zone_is_seen_inside() {
    let host = Fixture::new();
    let zone = host.scratch("zone").join("localtime");
    // RFC 9636: nothing before the footer but the counts, then the rule: 5 hours and 45 minutes east of Greenwich.
    let header = |version: u8| [b"TZif".as_slice(), &[version], &[0; 15], &counts()].concat();
    fs::write(&zone, [header(b'2'), block(), header(b'2'), block(), b"\n<+0545>-5:45\n".to_vec()].concat()).unwrap();
    let place = Path::new("/etc/localtime");
    assert!(place.exists(), "a host without a time zone has none to give");
    host_runs("mount", &["--bind", zone.to_str().unwrap(), place.to_str().unwrap()]);
    let made = host.scratch("rpm");
    repositories::rpm(&made, &FEDORA, "page\n");
    let files = ["filesystem", "busybox", "init"].map(|name| format!("{name}-1-1.{}.rpm\n", std::env::consts::ARCH));
    write(&made, "repo/list", &files.concat(), 0o644);
    let list = made.join("repo/list");
    let (name, root) = super::build(&host, "127.0.9.15", &["-m", "rpm", "--", list.to_str().unwrap()]);
    host_runs("umount", &[place.to_str().unwrap()]);
    assert_eq!(fs::read(root.join("etc/localtime")).unwrap(), fs::read(&zone).unwrap());
    host.v(&[&name, "start"]).ok();
    host.v(&[&name, "exec", "busybox", "date", "+%z"]).ok().says("+0545");
    host.v(&[&name, "stop"]).ok();
    host.v(&["--silent", &name, "delete"]).ok();
}

/// One type of local time, whose abbreviation has six characters and a zero.
fn counts() -> Vec<u8> {
    [0u32, 0, 0, 0, 1, 7].iter().flat_map(|count| count.to_be_bytes()).collect()
}

fn block() -> Vec<u8> {
    [20_700i32.to_be_bytes().as_slice(), &[0, 0], b"+0545\0\0"].concat()
}
