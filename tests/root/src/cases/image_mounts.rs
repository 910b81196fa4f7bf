//! Files that a guest's root mounts as disks (ccapability `admin_cloop`).

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::time::Duration;

use super::block_mounts::Loop;
use super::disk::{Mounted, host_runs, image, limit, moved};
use crate::fixture::{Fixture, Guest, eventually};
use crate::needs::Need;
use crate::security::bench::{self, Mode};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    let with = |name, body: fn()| Trial::new(name, body).needs(Need::Tool("mkfs.ext4")).needs(Need::Loop);
    vec![
        with("image_mounts::a_file_is_mounted_inside", a_file_is_mounted_inside),
        with("image_mounts::an_xfs_inside", an_xfs_inside).needs(Need::Tool("mkfs.xfs")),
        with("image_mounts::read_only", read_only),
        with("image_mounts::its_root_alone", its_root_alone),
        with("image_mounts::only_its_own_files", only_its_own_files),
        with("image_mounts::a_journal_elsewhere", a_journal_elsewhere),
        with("image_mounts::so_many_at_a_time", so_many_at_a_time),
        with("image_mounts::what_is_shared_is_not_written", what_is_shared_is_not_written),
        with("image_mounts::limits_of_its_disk_hold", limits_of_its_disk_hold).needs(Need::Quotas),
        with("image_mounts::stopped_in_the_middle", stopped_in_the_middle),
        with("image_mounts::without_the_word", without_the_word),
    ]
}

/// A guest that may mount what it has in `/data.img`, on `/disk`.
pub fn with_image<'h>(host: &'h Fixture, kind: &str, mib: u64) -> Guest<'h> {
    let guest = bench::guest(host, Mode::User);
    guest.set("ccapabilities", "admin_cloop\n");
    fs::copy(image(host, kind, mib, &[]), guest.root.join("data.img")).unwrap();
    fs::create_dir(guest.root.join("disk")).unwrap();
    guest
}

/// What mount(2) of a file answers inside.
fn mount(guest: &Guest<'_>, source: &str, target: &str, more: &[&str]) -> String {
    let words = [&["/probe", "mount_of", source, target], more].concat();
    guest.exec(&words).ok().out.trim().to_owned()
}

fn ext4(guest: &Guest<'_>, source: &str) -> String {
    mount(guest, source, "/disk", &["ext4"])
}

/// How many loop devices there are over files of this guest.
pub fn devices_of(guest: &Guest<'_>) -> usize {
    let (all, _) = vserver_sys::block::all_loops().unwrap();
    let name = format!(" {}", guest.name);
    all.iter().filter(|one| one.label().starts_with(b"vserver ") && one.label().ends_with(name.as_bytes())).count()
}

pub fn nothing_is_left(guest: &Guest<'_>) {
    eventually("its loop devices are gone", Duration::from_secs(20), || devices_of(guest) == 0);
}

fn a_file_is_mounted_inside() {
    let host = Fixture::new();
    let guest = with_image(&host, "ext4", 24);
    let checked = guest.v(&["check"]).ok().out.clone();
    let line = checked.lines().find(|line| line.contains("ccapabilities admin_cloop")).unwrap();
    assert!(line.starts_with("honoured") || line.starts_with("partly"), "{checked}");
    is_used_inside(&guest, "ext4");
    guest.start();
    assert_eq!(ext4(&guest, "/data.img"), "OK");
    guest.sh("cat /disk/own && ls -d /disk/lost+found").ok().says("text");
    guest.stop();
}

fn an_xfs_inside() {
    let host = Fixture::new();
    is_used_inside(&with_image(&host, "xfs", 320), "xfs");
}

fn is_used_inside(guest: &Guest<'_>, kind: &str) {
    guest.set("ccapabilities", "admin_cloop,namespace\n");
    let started = guest.v(&["start"]).ok().err.clone();
    assert!(!started.contains("admin_cloop"), "{started}");
    assert_eq!(mount(guest, "/data.img", "/disk", &[kind]), "OK");
    let line = guest.sh("grep ' /disk ' /proc/self/mounts").ok().out.clone();
    assert!(line.starts_with(&format!("/data.img /disk {kind} rw,nosuid,nodev,")), "{line}");
    guest.sh("echo text >/disk/own && cp /disk/own /disk/adas && chown 1000:1000 /disk/adas").ok();
    guest.sh("stat -c %u /disk /disk/own /disk/adas").ok().says("0\n0\n1000\n");
    guest.sh("su ada -c 'echo x >/disk/own'").exits(1);
    let seen = format!("/proc/{}/root/disk/adas", guest.init());
    assert_eq!(i64::from(fs::metadata(seen).unwrap().uid()), guest.id_base() + 1000);
    // Nobody inside has the device, nor is the file mounted twice.
    guest.sh("ls /dev/loop0 && for file in /dev/loop*; do [ -f $file ] || exit 1; done").ok();
    assert_eq!(devices_of(guest), 1);
    guest.sh("mkdir /two").ok();
    assert_eq!(mount(guest, "/data.img", "/two", &[kind]), "EBUSY");
    guest.sh("umount /disk && ! grep ' /disk ' /proc/self/mounts").ok();
    nothing_is_left(guest);
    // By a relative name and a link, in another namespace of mounts, too.
    guest.sh("ln -s data.img /link && mkdir -p /a/b").ok();
    guest.sh(&format!("cd /a && /probe mount_of ../link b {kind}")).ok().says("OK");
    guest.sh("cat /a/b/adas && umount /a/b").ok().says("text");
    nothing_is_left(guest);
    guest
        .sh(&format!("unshare -m sh -c '/probe mount_of /data.img /disk {kind} && cat /disk/own'"))
        .ok()
        .says("text");
    nothing_is_left(guest);
    // Programs that mount by descriptor hear that there is no such call, and use mount(2).
    assert_eq!(guest.exec(&["/probe", "fsopen_of", kind]).ok().out.trim(), "ENOSYS");
    guest.sh("mount -t tmpfs none /disk && mount --bind /etc /disk && umount /disk && umount /disk").ok();
    // With the guest it goes, too.
    assert_eq!(mount(guest, "/data.img", "/disk", &[kind]), "OK");
    guest.stop();
    nothing_is_left(guest);
    guest.start();
    assert_eq!(mount(guest, "/data.img", "/disk", &[kind]), "OK");
    guest.sh("cat /disk/own").ok().says("text");
    guest.v(&["stop", "--kill"]).ok();
    nothing_is_left(guest);
}

/// Nothing is written, not even by the kernel, and what its root may not write it mounts so only.
fn read_only() {
    let host = Fixture::new();
    let guest = with_image(&host, "ext4", 24);
    guest.set("ccapabilities", "admin_cloop,secure_remount\n");
    guest.start();
    let sum = || guest.sh("md5sum </data.img").ok().out.clone();
    let before = sum();
    for _ in 0..2 {
        assert_eq!(mount(&guest, "/data.img", "/disk", &["ext4", "", "ro"]), "OK");
        guest.sh("ls -d /disk/lost+found && echo x >/disk/x").exits(1).says("Read-only");
        guest.sh("mkdir -p /two").ok();
        // Twice is no harm.
        assert_eq!(mount(&guest, "/data.img", "/two", &["ext4", "", "ro"]), "OK");
        guest.sh("umount /two; mount -o remount,rw /disk; echo x >/disk/x; umount /disk").exits(0);
    }
    assert_eq!(sum(), before);
    // A file on a mount that is only to be read.
    guest.sh("mkdir /ro && mount -t tmpfs none /ro && cp /data.img /ro && mount -o remount,bind,ro /ro").ok();
    assert_eq!(ext4(&guest, "/ro/data.img"), "EROFS");
    assert_eq!(mount(&guest, "/ro/data.img", "/disk", &["ext4", "", "ro"]), "OK");
    guest.stop();
}

/// Neither another user nor one who is root in a namespace of his own.
fn its_root_alone() {
    let host = Fixture::new();
    let guest = with_image(&host, "ext4", 24);
    guest.set("ccapabilities", "admin_cloop,namespace\n");
    guest.start();
    guest.sh("chmod 666 /data.img").ok();
    guest.sh("su ada -c '/probe mount_of /data.img /disk ext4'").ok().says("EPERM");
    let inner = "unshare -U -r -m /probe mount_of /data.img /disk ext4";
    guest.sh(inner).ok().says("EPERM");
    for options in ["errors=panic", "journal_path=/dev/null", "data=journal", "loop", "offset=512"] {
        assert_eq!(mount(&guest, "/data.img", "/disk", &["ext4", options]), "EINVAL", "{options}");
    }
    assert_eq!(mount(&guest, "/data.img", "/disk", &["xfs"]), "EINVAL");
    assert_eq!(mount(&guest, "/data.img", "/disk", &["btrfs"]), "ENODEV");
    guest.sh(": >/empty && truncate -s 1099511627776 /sparse").ok();
    for file in ["/etc/passwd", "/empty", "/sparse"] {
        assert_ne!(ext4(&guest, file), "OK");
    }
    guest.sh("! grep ' /disk ' /proc/self/mounts").ok();
    guest.stop();
}

/// Neither a file of the host's, wherever a link leads, nor one that the kernel or a process makes up.
fn only_its_own_files() {
    let host = Fixture::new();
    let guest = with_image(&host, "ext4", 24);
    let outside = host.scratch("outside");
    fs::copy(guest.root.join("data.img"), outside.join("data.img")).unwrap();
    let way = format!("{}{}/data.img", "../".repeat(20), outside.to_str().unwrap().trim_start_matches('/'));
    guest.set("fstab", &format!("none /proc proc defaults 0 0\n{} /shown none bind 0 0\n", outside.display()));
    fs::create_dir(guest.root.join("shown")).unwrap();
    let own = guest.root.join("own.img");
    fs::rename(guest.root.join("data.img"), &own).unwrap();
    guest.start();
    guest.sh(&format!("ln -s {way} /way")).ok();
    assert_eq!(ext4(&guest, "/way"), "ENOENT");
    // What it is given is as good as its own, except what belongs to somebody else.
    assert_eq!(ext4(&guest, "/shown/data.img"), "OK");
    guest.sh("umount /disk").ok();
    chown(outside.join("data.img"), Some(70_000), Some(70_000)).unwrap();
    fs::set_permissions(outside.join("data.img"), fs::Permissions::from_mode(0o666)).unwrap();
    for more in [&["ext4"][..], &["ext4", "", "ro"]] {
        let answer = mount(&guest, "/shown/data.img", "/disk", more);
        assert!(["EPERM", "EACCES"].contains(&answer.as_str()), "{answer}");
    }
    for (source, answer) in [("/dev/null", "ENOTBLK"), ("/etc", "ENOTBLK"), ("/none", "ENOENT")] {
        assert_eq!(ext4(&guest, source), answer, "{source}");
    }
    guest.sh("mkfifo /pipe").ok();
    assert_eq!(ext4(&guest, "/pipe"), "ENOTBLK");
    for source in ["/proc/self/status", "/proc/uptime", "/proc/kcore", "/proc/self/oom_score_adj"] {
        let answer = mount(&guest, source, "/disk", &["ext4", "", "ro"]);
        assert!(["EPERM", "EACCES", "ENOENT"].contains(&answer.as_str()), "{source}: {answer}");
    }
    // From a smaller root nothing beyond it.
    guest.sh("mkdir -p /jail/disk && cp /probe /jail").ok();
    guest.sh("chroot /jail /probe mount_of /../own.img /disk ext4").ok().says("ENOENT");
    guest.sh("mv /own.img /jail && chroot /jail /probe mount_of /../own.img /../../disk ext4").ok().says("OK");
    guest.sh("ls -d /jail/disk/lost+found && umount /jail/disk").ok();
    guest.stop();
}

/// An ext4 can name any device as that of its journal: none is ever opened.
fn a_journal_elsewhere() {
    let host = Fixture::new();
    let guest = with_image(&host, "ext4", 24);
    let [disk, journal] = ["disk", "journal"].map(|name| {
        let file = host.scratch("images").join(name);
        File::create(&file).unwrap().set_len(32 << 20).unwrap();
        file
    });
    let device = Loop::new(&journal, &[]);
    host_runs("mkfs.ext4", &["-q", "-b", "4096", "-O", "journal_dev", &device.0]);
    host_runs("mkfs.ext4", &["-q", "-b", "4096", "-J", &format!("device={}", device.0), disk.to_str().unwrap()]);
    fs::copy(&disk, guest.root.join("data.img")).unwrap();
    guest.start();
    let before = fs::read(&journal).unwrap();
    for _ in 0..2 {
        assert_eq!(ext4(&guest, "/data.img"), "OK");
        guest.sh("echo text >>/disk/x && umount /disk").ok();
        eventually("it is not mounted", Duration::from_secs(10), || devices_of(&guest) == 0);
    }
    host_runs("sync", &[]);
    assert!(fs::read(&journal).unwrap() == before, "something was written to the journal");
    guest.stop();
}

/// The host's loop devices are for all.
fn so_many_at_a_time() {
    let host = Fixture::new();
    let guest = with_image(&host, "ext4", 4);
    guest.start();
    guest.sh("for i in $(seq 17); do mkdir /d$i; cp /data.img /data$i.img; done").ok();
    let mount_at = |i: u32| mount(&guest, &format!("/data{i}.img"), &format!("/d{i}"), &["ext4"]);
    for i in 1..=16 {
        assert_eq!(mount_at(i), "OK", "{i}");
    }
    assert_eq!(mount_at(17), "ENOSPC");
    guest.sh("umount /d3").ok();
    eventually("there is room for one", Duration::from_secs(10), || mount_at(17) == "OK");
    guest.sh("umount /d1 /d2").ok();
    eventually("they are gone", Duration::from_secs(10), || devices_of(&guest) == 14);
    assert_eq!(devices_of(&guest), 14);
    guest.stop();
    nothing_is_left(&guest);
}

/// A file that two guests share is copied before it is written.
fn what_is_shared_is_not_written() {
    let host = Fixture::new();
    let pair = [with_image(&host, "ext4", 24), with_image(&host, "ext4", 24)];
    for guest in &pair {
        fs::create_dir_all(guest.cfg.join("apps/vunify")).unwrap();
        guest.set("apps/vunify/pkgmgmt-ignore", "");
        guest.set("apps/vunify/exclude", "/dev\n/proc\n/sys\n");
    }
    fs::copy(pair[0].root.join("data.img"), pair[1].root.join("data.img")).unwrap();
    host.tool("vhashify", &["--ignore-mtime", &pair[0].name, &pair[1].name]).ok();
    let inode = |guest: &Guest<'_>| fs::metadata(guest.root.join("data.img")).unwrap().ino();
    assert_eq!(inode(&pair[0]), inode(&pair[1]));
    for guest in &pair {
        guest.start();
    }
    assert_eq!(mount(&pair[0], "/data.img", "/disk", &["ext4", "", "ro"]), "OK");
    pair[0].sh("umount /disk").ok();
    assert_eq!(ext4(&pair[0], "/data.img"), "OK");
    pair[0].sh("echo text >/disk/x && umount /disk").ok();
    assert_eq!(ext4(&pair[0], "/data.img"), "OK");
    pair[0].sh("cat /disk/x && umount /disk").ok().says("text");
    assert_eq!(ext4(&pair[1], "/data.img"), "OK");
    pair[1].sh("ls /disk/x").exits(1);
    for guest in &pair {
        guest.stop();
    }
}

/// What a loop device writes the kernel writes, which an ext4 holds to no limit: so none is written where there is one.
fn limits_of_its_disk_hold() {
    let host = Fixture::new();
    let guest = with_image(&host, "ext4", 8);
    let place = host.scratch("limited");
    let _mounted = Mounted::with(&image(&host, "ext4", 320, &["-O", "project,quota"]), &place, "loop,prjquota");
    let tree = place.join("tree");
    fs::create_dir(&tree).unwrap();
    moved(&guest, &tree);
    limit(&guest, &place, "32768", "900");
    guest.start();
    assert_eq!(ext4(&guest, "/data.img"), "EDQUOT");
    assert_eq!(mount(&guest, "/data.img", "/disk", &["ext4", "", "ro"]), "OK");
    guest.stop();
}

/// A guest that mounts without end, and whose callers are killed, ends like others, and nothing stays.
fn stopped_in_the_middle() {
    let host = Fixture::new();
    let guest = with_image(&host, "ext4", 24);
    let storm = "for d in 1 2 3 4; do mkdir -p /d$d; cp /data.img /data$d.img; (while :; do timeout -s KILL 0.05 /probe mount_of \
                 /data$d.img /d$d ext4; umount /d$d; done) >/dev/null 2>&1 & done";
    for kill in [false, true] {
        guest.start();
        guest.sh(storm).ok();
        eventually("something is mounted", Duration::from_secs(20), || devices_of(&guest) > 0);
        guest.v(if kill { &["stop", "--kill"] } else { &["stop"] }).ok();
        nothing_is_left(&guest);
    }
    guest.start();
    assert_eq!(ext4(&guest, "/data.img"), "OK");
    guest.stop();
}

/// Mounts of its own are not enough, nor are devices; nor is the word without a user namespace, and that is said. With it
/// alone no device is mounted.
fn without_the_word() {
    let host = Fixture::new();
    let guest = with_image(&host, "ext4", 24);
    for (words, answer) in [("secure_mount", "EPERM"), ("binary_mount", "ENOTBLK")] {
        guest.set("ccapabilities", &format!("{words}\n"));
        guest.start();
        assert_eq!(ext4(&guest, "/data.img"), answer, "{words}");
        guest.stop();
    }
    let file = host.scratch("images").join("other");
    fs::copy(guest.root.join("data.img"), &file).unwrap();
    let device = Loop::new(&file, &[]);
    guest.set(&format!("apps/vdevmap/{}/device", device.name()), &format!("{}\n", device.0));
    guest.set(&format!("apps/vdevmap/{}/open", device.name()), "");
    for (words, answer) in [("admin_cloop", "EPERM"), ("admin_cloop,binary_mount", "OK")] {
        guest.set("ccapabilities", &format!("{words}\n"));
        guest.start();
        assert_eq!(ext4(&guest, &device.0), answer, "{words}");
        guest.stop();
    }
    let classic = bench::guest(&host, Mode::Classic);
    classic.set("ccapabilities", "admin_cloop\n");
    fs::copy(&file, classic.root.join("data.img")).unwrap();
    fs::create_dir(classic.root.join("disk")).unwrap();
    classic.v(&["start"]).ok().says("ccapabilities admin_cloop");
    assert_eq!(ext4(&classic, "/data.img"), "EPERM");
    classic.stop();
}
