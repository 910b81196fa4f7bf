//! Block devices that a guest's root mounts itself (ccapability `binary_mount`).

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::disk::{Mounted, host_runs, image};
use crate::fixture::{Fixture, Guest, eventually};
use crate::needs::Need;
use crate::security::bench::{self, Mode};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    let ext4 = || Need::Tool("mkfs.ext4");
    vec![
        Trial::new("block_mounts::a_device_is_mounted_inside", a_device_is_mounted_inside).needs(ext4()),
        Trial::new("block_mounts::an_xfs_inside", an_xfs_inside).needs(Need::Tool("mkfs.xfs")),
        Trial::new("block_mounts::debians_mount", debians_mount).needs(ext4()).needs(Need::Tool("ldd")),
        Trial::new("block_mounts::a_vfat_inside", a_vfat_inside)
            .needs(Need::FileSystem("vfat"))
            .needs(Need::Tool("mkfs.vfat")),
        Trial::new("block_mounts::an_iso9660_inside", an_iso9660_inside)
            .needs(Need::FileSystem("iso9660"))
            .needs(Need::Tool("genisoimage")),
        Trial::new("block_mounts::a_journal_elsewhere", a_journal_elsewhere).needs(ext4()),
        Trial::new("block_mounts::only_what_the_guest_may_use", only_what_the_guest_may_use).needs(ext4()),
        Trial::new("block_mounts::only_as_the_guest_may_use_it", only_as_the_guest_may_use_it).needs(ext4()),
        Trial::new("block_mounts::nodes_on_the_disk", nodes_on_the_disk).needs(ext4()),
        Trial::new("block_mounts::nothing_leads_out", nothing_leads_out).needs(ext4()),
        Trial::new("block_mounts::stopped_in_the_middle", stopped_in_the_middle).needs(ext4()),
        Trial::new("block_mounts::without_the_word", without_the_word).needs(ext4()),
    ]
}

/// A loop device of the host's over an image, for as long as this process lives: it is told to go while it is held open.
pub struct Loop(pub String, File);

impl Loop {
    /// Over `image`, with options of losetup(8).
    pub fn new(image: &Path, options: &[&str]) -> Self {
        let words = [options, &["--find", "--show", image.to_str().unwrap()]].concat();
        let path = host_runs("losetup", &words).trim().to_owned();
        let held = File::open(&path).unwrap();
        host_runs("losetup", &["--detach", &path]);
        Self(path, held)
    }

    /// Below `/dev`.
    pub fn name(&self) -> &str {
        self.0.trim_start_matches("/dev/")
    }

    /// Major and minor number.
    fn number(&self) -> String {
        let found = self.1.metadata().unwrap().rdev();
        format!("{}:{}", nix::sys::stat::major(found), nix::sys::stat::minor(found))
    }
}

/// A guest that may use the device, and mount.
fn with_device<'h>(host: &'h Fixture, device: &Loop) -> Guest<'h> {
    let guest = bench::guest(host, Mode::User);
    guest.set("ccapabilities", "binary_mount\n");
    map(&guest, device);
    fs::create_dir(guest.root.join("disk")).unwrap();
    guest
}

fn map(guest: &Guest<'_>, device: &Loop) {
    guest.set(&format!("apps/vdevmap/{}/device", device.name()), &format!("{}\n", device.0));
    guest.set(&format!("apps/vdevmap/{}/open", device.name()), "");
}

/// An image with things in it that a guest must not be helped by.
fn prepared(host: &Fixture, kind: &str, mib: u64) -> PathBuf {
    let image = image(host, kind, mib, &[]);
    let place = host.scratch("prepared");
    let _mounted = Mounted::new(&image, &place);
    host_runs("mknod", &["-m", "666", place.join("null").to_str().unwrap(), "c", "1", "3"]);
    fs::write(place.join("set"), "x").unwrap();
    fs::set_permissions(place.join("set"), fs::Permissions::from_mode(0o4755)).unwrap();
    image
}

fn owner_on_the_host(guest: &Guest<'_>, path: &str) -> i64 {
    let path = format!("/proc/{}/root{path}", guest.init());
    host_runs("stat", &["-c", "%u", &path]).trim().parse().unwrap()
}

/// Written inside, owners are those inside, on the disk, too; nothing of it stays mounted.
fn a_device_is_mounted_inside() {
    let host = Fixture::new();
    let image = prepared(&host, "ext4", 24);
    let device = Loop::new(&image, &[]);
    is_used_inside(&host, &device, "ext4");
    let guest = with_device(&host, &device);
    let checked = guest.v(&["check"]).ok().out.clone();
    let line = checked.lines().find(|line| line.contains("ccapabilities binary_mount")).unwrap();
    assert!(line.starts_with("honoured") || line.starts_with("partly"), "{checked}");
    let started = guest.v(&["start"]).ok().err.clone();
    assert!(!started.contains("binary_mount"), "{started}");
    // As programs do that are not told the type, from a directory, by links, and read-only.
    guest.sh(&format!("mkdir -p /a/b && cd /a && mount {} b && stat -c %u /a/b/own && umount b", device.0)).ok();
    guest.sh(&format!("ln -s {0} /link && mount -t ext4 -o ro,noatime /link /disk && umount /disk", device.0)).ok();
    guest.sh(&format!("mount -t ext4 -o ro {} /disk && echo x >/disk/x", device.0)).exits(1).says("Read-only");
    guest.stop();
    let at = PathBuf::from("/sys/fs/ext4").join(device.name());
    eventually("nothing stays mounted", Duration::from_secs(10), || !at.exists());
    drop(device);
    let place = host.scratch("looked-at");
    let _mounted = Mounted::new(&image, &place);
    let owner = |file: &str| fs::metadata(place.join(file)).unwrap().uid();
    assert_eq!((owner("own"), owner("adas")), (0, 1000));
    assert_eq!(fs::read_to_string(place.join("adas")).unwrap(), "text\n");
}

fn an_xfs_inside() {
    let host = Fixture::new();
    let device = Loop::new(&prepared(&host, "xfs", 320), &[]);
    is_used_inside(&host, &device, "xfs");
}

/// The mount of util-linux, which finds out the type by itself.
fn debians_mount() {
    const TOOLS: [&str; 2] = ["/usr/bin/mount", "/usr/bin/umount"];
    let host = Fixture::new();
    let device = Loop::new(&image(&host, "ext4", 24, &[]), &[]);
    let guest = with_device(&host, &device);
    carry(&guest, &TOOLS);
    guest.start();
    let mount = |words: &str| guest.sh(&format!("/usr/bin/mount {words} {} /disk", device.0));
    mount("").ok();
    guest.sh("echo text >/disk/x && /usr/bin/mount -t ext4").ok().says(" on /disk type ext4 (rw,nosuid,nodev,");
    guest.sh("/usr/bin/umount /disk").ok();
    mount("-o ro,noexec,errors=continue").ok();
    guest
        .sh("grep ' /disk ext4 ro,nosuid,nodev,noexec,' /proc/self/mounts && cat /disk/x && /usr/bin/umount /disk")
        .ok()
        .says("text");
    mount("-t btrfs").exits(32).says("unknown filesystem type 'btrfs'");
    mount("-o data=journal").exits(32).says("wrong fs type, bad option");
    guest.sh("/usr/bin/mount -t tmpfs none /disk && /usr/bin/umount /disk").ok();
    guest.stop();
}

/// Copies programs of the host's into a guest, with their libraries.
pub fn carry(guest: &Guest<'_>, tools: &[&str]) {
    let libraries = host_runs("ldd", tools);
    let files = libraries.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
    for file in files.chain(tools.iter().copied()) {
        let inside = guest.root.join(file.trim_start_matches('/'));
        fs::create_dir_all(inside.parent().unwrap()).unwrap();
        fs::copy(file, inside).unwrap();
    }
}

fn is_used_inside(host: &Fixture, device: &Loop, kind: &str) {
    let guest = with_device(host, device);
    guest.start();
    guest.sh(&format!("mount -t {kind} {} /disk", device.0)).ok();
    let line = guest.sh("grep ' /disk ' /proc/self/mounts").ok().out.clone();
    assert!(line.starts_with(&format!("{} /disk {kind} rw,nosuid,nodev,", device.0)), "{line}");
    guest.sh("echo text >/disk/own && cp /disk/own /disk/adas && chown 1000:1000 /disk/adas").ok();
    guest.sh("stat -c %u /disk /disk/own /disk/adas").ok().says("0\n0\n1000\n");
    guest.sh("su ada -c 'echo x >/disk/own'").exits(1);
    let base = guest.id_base();
    assert_eq!(owner_on_the_host(&guest, "/disk/own"), base);
    assert_eq!(owner_on_the_host(&guest, "/disk/adas"), base + 1000);
    guest.sh("stat -c %a /disk/set").ok().says("4755");
    guest.sh("echo x >/disk/null").exits(1).says("Permission denied");
    guest.sh("umount /disk && ! grep ' /disk ' /proc/self/mounts").ok();
    // Programs that mount by descriptor hear that there is no such call, for what is mounted so.
    assert_eq!(guest.exec(&["/probe", "fsopen_of", kind]).ok().out.trim(), "ENOSYS");
    assert_eq!(guest.exec(&["/probe", "fsopen_of", "btrfs"]).ok().out.trim(), "ENODEV");
    assert_eq!(guest.exec(&["/probe", "fsopen_of", "tmpfs"]).ok().out.trim(), "OK");
    // Other mounts are the kernel's, as before.
    guest.sh("mount -t tmpfs none /disk && mount --bind /etc /disk && umount /disk && umount /disk").ok();
    guest.sh(&format!("mount -t {kind} {} /disk", device.0)).ok();
    guest.stop();
}

/// Its files have one owner, the guest's root or whom that says.
fn a_vfat_inside() {
    let host = Fixture::new();
    let image = host.scratch("images").join("vfat.img");
    File::create(&image).unwrap().set_len(24 << 20).unwrap();
    host_runs("mkfs.vfat", &[image.to_str().unwrap()]);
    let device = Loop::new(&image, &[]);
    let guest = with_device(&host, &device);
    guest.start();
    guest
        .sh(&format!("mount -t vfat {} /disk && echo text >/disk/own && stat -c %u /disk/own", device.0))
        .ok()
        .says("0\n");
    assert_eq!(owner_on_the_host(&guest, "/disk/own"), guest.id_base());
    guest.sh("umount /disk").ok();
    guest
        .sh(&format!("mount -t vfat -o uid=1000,umask=077 {} /disk && su ada -c 'cat /disk/own'", device.0))
        .ok()
        .says("text");
    guest.sh("stat -c %u:%a /disk/own").ok().says("1000:700");
    guest.stop();
}

fn an_iso9660_inside() {
    let host = Fixture::new();
    let (image, files) = (host.scratch("images").join("disc.iso"), host.scratch("files"));
    fs::write(files.join("own"), "text\n").unwrap();
    host_runs("genisoimage", &["-quiet", "-R", "-o", image.to_str().unwrap(), files.to_str().unwrap()]);
    let device = Loop::new(&image, &["--read-only"]);
    let guest = with_device(&host, &device);
    guest.start();
    guest
        .sh(&format!("mount -t iso9660 -o ro {} /disk && stat -c %u /disk/own && umount /disk", device.0))
        .ok()
        .says("0\n");
    guest
        .sh(&format!("mount -t iso9660 -o ro,uid=1000 {} /disk && stat -c %u /disk/own", device.0))
        .ok()
        .says("1000\n");
    assert_eq!(owner_on_the_host(&guest, "/disk/own"), guest.id_base() + 1000);
    guest.stop();
}

/// An ext4 can name any device as that of its journal: the kernel opens it only if the guest may.
fn a_journal_elsewhere() {
    let host = Fixture::new();
    let [disk, journal] = ["disk", "journal"].map(|name| {
        let image = host.scratch("images").join(name);
        File::create(&image).unwrap().set_len(32 << 20).unwrap();
        Loop::new(&image, &[])
    });
    host_runs("mkfs.ext4", &["-q", "-b", "4096", "-O", "journal_dev", &journal.0]);
    host_runs("mkfs.ext4", &["-q", "-b", "4096", "-J", &format!("device={}", journal.0), &disk.0]);
    let guest = with_device(&host, &disk);
    guest.start();
    let mount = format!("mount -t ext4 {} /disk", disk.0);
    assert_ne!(guest.sh(&mount).code, 0);
    guest.stop();
    map(&guest, &journal);
    guest.start();
    guest.sh(&mount).ok();
    guest.stop();
}

/// Neither another's device, nor something that is none, nor one that was taken away; nobody but its root.
fn only_what_the_guest_may_use() {
    let host = Fixture::new();
    let (own, other) = (image(&host, "ext4", 24, &[]), host.scratch("images").join("other.img"));
    fs::copy(&own, &other).unwrap();
    let (own, other) = (Loop::new(&own, &[]), Loop::new(&other, &[]));
    let guest = with_device(&host, &own);
    guest.set("ccapabilities", "binary_mount,namespace\n");
    guest.start();
    let mounts = |source: &str, more: &str| guest.sh(&format!("mount -t ext4 {more} {source} /disk"));
    mounts(&other.0, "").exits(255).says("No such file or directory");
    mounts("/dev/null", "").exits(255).says("Block device required");
    for options in ["errors=panic", "journal_path=/dev/null", "data=journal", "mand"] {
        mounts(&own.0, &format!("-o {options}")).exits(255).says("Invalid argument");
    }
    guest.sh(&format!("mount -t xfs {} /disk", own.0)).exits(255).says("Invalid argument");
    guest.sh(&format!("mount -t btrfs {} /disk", own.0)).exits(255).says("No such device");
    assert_ne!(guest.sh("mount -t nfs 127.0.0.1:/x /disk").code, 0);
    assert_ne!(guest.sh(&format!("su ada -c 'mount -t ext4 {} /disk'", own.0)).code, 0);
    let inner = format!("unshare -U -r -m mount -t ext4 {} /disk", own.0);
    assert_ne!(guest.sh(&inner).says("denied").code, 0);
    // A mount namespace that its root made is as good as the first.
    guest.sh(&format!("unshare -m sh -c 'mount -t ext4 {} /disk && ls -d /disk/lost+found'", own.0)).ok();
    guest.sh("! grep ' /disk ' /proc/self/mounts").ok();
    mounts(&own.0, "").ok();
    guest.sh("umount /disk").ok();
    host.tool("vdevmap", &["--xid", &guest.name, "--unset", "--open", "--device", &own.0]).ok();
    assert_ne!(mounts(&own.0, "").says("denied").code, 0);
    guest.sh("! grep ' /disk ' /proc/self/mounts").ok();
    guest.stop();
}

/// A device that the guest only reads is not written, neither by it nor by the kernel that ends a journal.
fn only_as_the_guest_may_use_it() {
    let host = Fixture::new();
    let image = image(&host, "ext4", 24, &[]);
    let device = Loop::new(&image, &[]);
    let guest = with_device(&host, &device);
    guest.set("cgroup/devices.allow", &format!("b {} r\n", device.number()));
    guest.start();
    host.tool("vdevmap", &["--xid", &guest.name, "--unset", "--open", "--device", &device.0]).ok();
    guest.sh(&format!("head -c 1 {} | wc -c", device.0)).ok().says("1");
    for more in ["", "-o ro"] {
        assert_ne!(guest.sh(&format!("mount -t ext4 {more} {} /disk", device.0)).says("denied").code, 0);
    }
    guest.sh("! grep ' /disk ' /proc/self/mounts").ok();
    guest.stop();
    drop((guest, device));
    // One that nobody writes.
    let device = Loop::new(&image, &["--read-only"]);
    let guest = with_device(&host, &device);
    guest.start();
    guest.exec(&["/bin/busybox", "mount", "-t", "ext4", "-o", "ro", &device.0, "/disk"]).ok();
    guest.sh("ls -d /disk/lost+found && umount /disk").ok();
    guest.stop();
}

/// A guest that may change mounts takes `nodev` off: what it may not use, it does not use by another node either.
fn nodes_on_the_disk() {
    let host = Fixture::new();
    let image = prepared(&host, "ext4", 24);
    let other = Loop::new(&image, &[]);
    let copy = host.scratch("images").join("copy.img");
    {
        let place = host.scratch("prepared");
        let _mounted = Mounted::new(&image, &place);
        let number = other.number();
        let (major, minor) = number.split_once(':').unwrap();
        host_runs("mknod", &["-m", "666", place.join("other").to_str().unwrap(), "b", major, minor]);
    }
    fs::copy(&image, &copy).unwrap();
    let device = Loop::new(&copy, &[]);
    let guest = with_device(&host, &device);
    guest.set("ccapabilities", "binary_mount,secure_remount\n");
    guest.start();
    guest.sh(&format!("mount -t ext4 {} /disk && ! head -c 1 /disk/other", device.0)).ok();
    guest.sh("mount -o remount,bind,dev,suid /disk && echo x >/disk/null").ok();
    guest.sh("head -c 1 /disk/other").exits(1).says("Operation not permitted");
    guest.sh("mkdir /two && mount -t ext4 /disk/other /two").exits(1).says("denied");
    guest.stop();
}

/// Links of the guest's end in the guest.
fn nothing_leads_out() {
    let host = Fixture::new();
    let device = Loop::new(&image(&host, "ext4", 24, &[]), &[]);
    let guest = with_device(&host, &device);
    let outside = host.scratch("outside");
    let way = format!("{}{}", "../".repeat(20), outside.to_str().unwrap().trim_start_matches('/'));
    guest.start();
    guest.sh(&format!("ln -s {way} /way && ln -s /proc/1/root/disk /magic")).ok();
    guest.sh(&format!("mount -t ext4 {} /way", device.0)).exits(255).says("No such file or directory");
    guest
        .sh(&format!(
            "mkdir -p {0} && mount -t ext4 {1} /way && echo x >{0}/x && umount /way",
            outside.display(),
            device.0
        ))
        .ok();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    guest.sh(&format!("mount -t ext4 {} /magic && ls -d /disk/lost+found && umount /disk", device.0)).ok();
    // From a smaller root the same.
    guest
        .sh("mkdir -p /jail/bin /jail/dev /jail/disk && cp /bin/busybox /jail/bin && mount -o rbind /dev /jail/dev")
        .ok();
    let words = format!("chroot /jail /bin/busybox mount -t ext4 {} /../../disk", device.0);
    guest.sh(&format!("{words} && ls -d /jail/disk/lost+found && umount /jail/disk")).ok();
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!table.contains(&device.0), "{table}");
    guest.stop();
}

/// A guest that mounts without end, and whose callers are killed, ends like others, and nothing stays mounted.
fn stopped_in_the_middle() {
    let host = Fixture::new();
    let device = Loop::new(&image(&host, "ext4", 24, &[]), &[]);
    let guest = with_device(&host, &device);
    let at = PathBuf::from("/sys/fs/ext4").join(device.name());
    let storm = format!(
        "mkdir -p /d1 /d2 /d3 /d4; for d in 1 2 3 4; do (while :; do timeout -s KILL 0.02 mount -t ext4 {} /d$d; \
         umount /d$d; done) >/dev/null 2>&1 & done",
        device.0
    );
    for kill in [false, true] {
        guest.start();
        guest.sh(&storm).ok();
        eventually("something is mounted", Duration::from_secs(20), || at.exists());
        guest.v(if kill { &["stop", "--kill"] } else { &["stop"] }).ok();
        eventually("nothing stays mounted", Duration::from_secs(20), || !at.exists());
    }
    guest.start();
    guest.sh(&format!("mount -t ext4 {} /disk && umount /disk", device.0)).ok();
    guest.stop();
}

/// Mounts of its own are not enough; nor is the word without a user namespace, and that is said.
fn without_the_word() {
    let host = Fixture::new();
    let device = Loop::new(&image(&host, "ext4", 24, &[]), &[]);
    let guest = with_device(&host, &device);
    guest.set("ccapabilities", "secure_mount\n");
    guest.start();
    assert_ne!(guest.sh(&format!("mount -t ext4 {} /disk", device.0)).says("denied").code, 0);
    guest.stop();
    let classic = bench::guest(&host, Mode::Classic);
    map(&classic, &device);
    classic.set("ccapabilities", "binary_mount\n");
    classic.v(&["start"]).ok().says("ccapabilities binary_mount");
    assert_ne!(classic.sh(&format!("mkdir /disk; mount -t ext4 {} /disk", device.0)).code, 0);
    classic.stop();
}
