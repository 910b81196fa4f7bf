//! What guests may fill: tags, limits on shared file systems, disks of their own. Each test brings its file systems along,
//! as images: what the machine's own can do does not matter.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::fixture::{Fixture, Guest, eventually};
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    let (btrfs, xfs, ext4) = (Need::Tool("mkfs.btrfs"), Need::Tool("mkfs.xfs"), Need::Tool("mkfs.ext4"));
    vec![
        Trial::new("disk::ext4_project_is_held_to_its_limit", || a_project_is_held_to_its_limit("ext4"))
            .needs(Need::Quotas),
        Trial::new("disk::xfs_project_is_held_to_its_limit", || a_project_is_held_to_its_limit("xfs"))
            .needs(Need::Quotas)
            .needs(Need::Tool("mkfs.xfs")),
        Trial::new("disk::build_limits_on_ext4", || build_limits_on("ext4", "Disk quota exceeded"))
            .needs(Need::Quotas),
        Trial::new("disk::build_limits_on_btrfs", || build_limits_on("btrfs", "Disk quota exceeded"))
            .needs(Need::Tool("mkfs.btrfs")),
        Trial::new("disk::a_tag_is_set_or_its_absence_is_said", a_tag_is_set_or_its_absence_is_said).needs(xfs),
        Trial::new("disk::a_subvolume_is_held_to_its_limit", a_subvolume_is_held_to_its_limit).needs(btrfs),
        Trial::new("disk::an_image_is_the_root_and_the_limit", an_image_is_the_root_and_the_limit).needs(ext4),
    ]
}

/// A limit that holds a guest with a user namespace, which sees it in df.
fn a_project_is_held_to_its_limit(kind: &'static str) {
    let host = Fixture::new();
    let place = host.scratch(kind);
    let options: &[&str] = if kind == "ext4" { &["-O", "project,quota"] } else { &[] };
    let _mounted = Mounted::with(&image(&host, kind, 320, options), &place, "loop,prjquota");
    let guest = host.guest();
    let tree = place.join("tree");
    fs::create_dir(&tree).unwrap();
    moved(&guest, &tree);
    limit(&guest, &place, "32768", "900");
    guest.v(&["check"]).ok();
    let started = guest.v(&["start"]);
    assert!(!started.ok().err.contains("dlimits"), "{}", started.err);
    let df = |flag: &str| {
        let line = guest.sh(&format!("df {flag} / | tail -n 1")).ok().out.clone();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert_eq!((df("-k"), df("-i")), (32_768, 900));
    // ext4 says that the quota is exceeded, xfs that the device is full.
    let refused = if kind == "ext4" { "Disk quota exceeded" } else { "No space left on device" };
    guest.sh("dd if=/dev/zero of=/full bs=1M count=48").exits(1).says(refused);
    let written: u64 = guest.sh("stat -c %s /full").ok().out.trim().parse().unwrap();
    assert!(written > 16 << 20 && written <= 32 << 20, "{written}");
    let many = "mkdir /many; i=0; while [ $i -lt 900 ]; do : >/many/$i || exit 1; i=$((i+1)); done";
    guest.sh(&format!("rm /full; {many}")).exits(1).says(refused);
    // What its root gives to others inside, or moves, counts all the same; it cannot leave its project.
    // An xfs takes an inode off the account a moment after its file is gone.
    guest.sh("chown 1000:1000 /many/1 && rm /many/3").ok();
    eventually("there is room for one", Duration::from_secs(10), || guest.sh("mkdir /other").code == 0);
    guest.sh("mv /many/2 /other/").ok();
    guest.sh("rm -r /many /other").ok();
    let (xid, directory) = (guest.xid.to_string(), place.to_str().unwrap());
    let shown = host.tool("vdlimit", &["--xid", &xid, directory]).ok().out.clone();
    assert!(shown.starts_with(&format!("{xid} {directory}\nspace_used=")), "{shown}");
    assert!(
        shown.contains("\nspace_total=32768\ninodes_used=") && shown.ends_with("\ninodes_total=900\nreserved=0\n")
    );
    // Live, and to be seen at once.
    let wider = ["--xid", &guest.name, "--set", "space_total=98304", "--set", "inodes_total=3000", directory];
    host.tool("vdlimit", &wider).ok();
    assert_eq!((df("-k"), df("-i")), (98_304, 3_000));
    guest.sh(&format!("dd if=/dev/zero of=/full bs=1M count=48 && {many}")).ok();
    // The file system is larger than that, and the host is held to nothing.
    fs::write(place.join("beside"), vec![0; 100 << 20]).unwrap();
    let counted = |flag: &str| {
        let ran = host.tool("vdu", &["--xid", &xid, flag, "--script", directory]);
        ran.ok().out.trim().parse::<u64>().unwrap()
    };
    let (space, inodes) = (counted("--space"), counted("--inodes"));
    assert!(space >= 48 << 10 && inodes > 900, "{space} KiB, {inodes}");
    guest.stop();
    host.tool("vdlimit", &["--xid", &xid, directory]).exits(1).says("has no limit");
}

/// `build --space` where the file system can hold it: the guest is held from its first start on.
fn build_limits_on(kind: &'static str, refused: &str) {
    let host = Fixture::new();
    let place = host.scratch(kind);
    let (mkfs, mount): (&[&str], _) = match kind {
        "ext4" => (&["-O", "project,quota"], "loop,prjquota"),
        _ => (&[], "loop"),
    };
    let _mounted = Mounted::with(&image(&host, kind, 320, mkfs), &place, mount);
    if kind == "btrfs" {
        host_runs("btrfs", &["quota", "enable", place.to_str().unwrap()]);
    }
    let tarball = host.scratch("template").join("template.tar");
    let root = host.scratch("template").join("root");
    crate::tree::busybox(&root);
    host_runs("tar", &["-cf", tarball.to_str().unwrap(), "-C", root.to_str().unwrap(), "."]);
    let (name, xid) = host.fresh();
    let xid = xid.to_string();
    let build = |options: &[&str]| {
        let first = [&name, "build", "-m", "template", "--context", &xid, "--initstyle", "plain", "--rootdir"];
        let last = ["--", "-t", tarball.to_str().unwrap(), "--nodevsanity"];
        host.v(&[&first[..], &[place.to_str().unwrap()], options, &last].concat())
    };
    if kind == "btrfs" {
        build(&["--space", "32M", "--inodes", "3000"]).exits(1).says("--disk SIZE --inodes N");
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
        build(&["--space", "32M"]).ok();
    } else {
        build(&["--space", "32M", "--inodes", "3000"]).ok();
    }
    host.v(&[&name, "start"]).ok();
    host.v(&[&name, "exec", "/bin/sh", "-c", "dd if=/dev/urandom of=/full bs=1M count=48; sync"]).says(refused);
    host.v(&[&name, "stop"]).ok();
    host.v(&["--silent", &name, "delete"]).ok();
    assert_eq!(fs::read_dir(&place).unwrap().flatten().filter(|entry| entry.file_name() != "lost+found").count(), 0);
}

/// A program of the host, which must succeed.
#[track_caller]
pub fn host_runs(program: &str, words: &[&str]) -> String {
    let done = Command::new(program).args(words).output().unwrap();
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {words:?}: {}", error);
    String::from_utf8(done.stdout).unwrap()
}

/// An image of so many MiB with a file system of a kind in it.
pub fn image(host: &Fixture, kind: &str, mib: u64, options: &[&str]) -> PathBuf {
    let image = host.scratch("images").join(format!("{kind}.img"));
    fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
    host_runs(&format!("mkfs.{kind}"), &[&["-q"], options, &[image.to_str().unwrap()]].concat());
    image
}

/// Puts a guest's tree on a file system of its own kind at `place`, for as long as it lives: an xfs without quotas, or a
/// btrfs with them.
pub fn placed(host: &Fixture, guest: &Guest<'_>, kind: &str, place: &Path) -> Mounted {
    let mounted = Mounted::new(&image(host, kind, 320, &[]), place);
    let tree = place.join("tree");
    if kind == "btrfs" {
        host_runs("btrfs", &["quota", "enable", place.to_str().unwrap()]);
        host_runs("btrfs", &["-q", "subvolume", "create", tree.to_str().unwrap()]);
    } else {
        fs::create_dir(&tree).unwrap();
    }
    moved(guest, &tree);
    mounted
}

/// Mounted for as long as it lives.
pub struct Mounted(PathBuf);

impl Mounted {
    pub fn new(image: &Path, at: &Path) -> Self {
        Self::with(image, at, "loop")
    }

    /// With options of mount(8).
    pub fn with(image: &Path, at: &Path, options: &str) -> Self {
        fs::create_dir_all(at).unwrap();
        host_runs("mount", &["-o", options, image.to_str().unwrap(), at.to_str().unwrap()]);
        Self(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let busy = || nix::mount::umount(&self.0) == Err(nix::errno::Errno::EBUSY);
        for _ in 0..100 {
            if !busy() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        if !std::thread::panicking() {
            panic!("{} stays in use", self.0.display());
        }
    }
}

/// Puts a guest's tree elsewhere.
pub fn moved(guest: &Guest<'_>, to: &Path) {
    host_runs("cp", &["-a", &format!("{}/.", guest.root.display()), to.to_str().unwrap()]);
    fs::remove_file(guest.cfg.join("vdir")).unwrap();
    symlink(to, guest.cfg.join("vdir")).unwrap();
}

/// Sets limits of a disk for it.
pub fn limit(guest: &Guest<'_>, directory: &Path, space: &str, inodes: &str) {
    guest.set("dlimits/0/directory", &format!("{}\n", directory.display()));
    guest.set("dlimits/0/space_total", &format!("{space}\n"));
    guest.set("dlimits/0/inodes_total", &format!("{inodes}\n"));
    guest.set("dlimits/0/reserved", "0\n");
}

fn a_tag_is_set_or_its_absence_is_said() {
    let host = Fixture::new();
    let place = host.scratch("xfs");
    let mounted = Mounted::new(&image(&host, "xfs", 320, &[]), &place);
    let guest = host.guest();
    let tree = place.join("tree");
    fs::create_dir(&tree).unwrap();
    moved(&guest, &tree);
    guest.set("tag", "4711\n");
    guest.start();
    guest.sh("mkdir /new && echo text >/new/file").ok();
    let file = tree.join("new/file");
    let line = |who: &str| format!("{who:>20}  {}\n", file.display());
    assert_eq!(host.tool("lsxid", &[file.to_str().unwrap()]).ok().out, line(&guest.name));
    assert_eq!(host.tool("lsxid", &["-n", file.to_str().unwrap()]).ok().out, line("4711"));
    // A file that another owner made counts for that one.
    host.tool("chxid", &["-c", "4712", file.to_str().unwrap()]).ok();
    assert_eq!(host.tool("lsxid", &[file.to_str().unwrap()]).ok().out, line("4712"));
    let count = |tag: &str| {
        host.tool("vdu", &["--xid", tag, "--space", "--inodes", "--script", tree.to_str().unwrap()]).ok().out.clone()
    };
    assert_eq!(count("4712"), "4 1\n");
    let inodes: u64 = count("4711").trim_end().split(' ').next_back().unwrap().parse().unwrap();
    assert!(inodes > 200, "{inodes}");
    guest.stop();
    // Another tag reaches what has any, at the next start.
    guest.set("tag", "4713\n").start();
    assert_eq!(host.tool("lsxid", &["-n", file.to_str().unwrap()]).ok().out, line("4713"));
    guest.stop();
    drop(mounted);
    let other = host.guest();
    let place = host.scratch("btrfs");
    let mounted = Mounted::new(&image(&host, "btrfs", 128, &[]), &place);
    let tree = place.join("tree");
    fs::create_dir(&tree).unwrap();
    moved(&other, &tree);
    other.set("tag", "4711\n");
    other.v(&["start"]).ok().says("tag").says("keeps no tags");
    other.v(&["check"]).ok().says("tag").says("keeps no tags");
    other.stop();
    other.v(&["start", "--strict"]).exits(1).says("keeps no tags");
    drop(mounted);
}

fn a_subvolume_is_held_to_its_limit() {
    let host = Fixture::new();
    let place = host.scratch("btrfs");
    let _mounted = Mounted::new(&image(&host, "btrfs", 256, &[]), &place);
    let guest = host.guest();
    let tree = place.join("tree");
    fs::create_dir(&tree).unwrap();
    moved(&guest, &tree);
    limit(&guest, &place, "32768", "-1");
    guest.v(&["check"]).ok().says("dlimits/0").says("btrfs limits subvolumes");
    fs::remove_dir_all(&tree).unwrap();
    host_runs("btrfs", &["-q", "subvolume", "create", tree.to_str().unwrap()]);
    moved(&guest, &tree);
    guest.v(&["check"]).ok().says("dlimits/0").says("btrfs quota enable");
    host_runs("btrfs", &["quota", "enable", place.to_str().unwrap()]);
    guest.v(&["start"]).ok().says("df inside shows the whole file system");
    let fill = "dd if=/dev/urandom of=/full bs=1M count=48; ls -s /full; sync";
    guest.sh(fill).says("Disk quota exceeded");
    let xid = guest.xid.to_string();
    let directory = place.to_str().unwrap();
    let shown = host.tool("vdlimit", &["--xid", &xid, directory]).ok().out.clone();
    assert!(shown.starts_with(&format!("{xid} {directory}\nspace_used=")), "{shown}");
    assert!(shown.ends_with("\nspace_total=32768\ninodes_used=-1\ninodes_total=-1\nreserved=0\n"), "{shown}");
    host.tool("vdlimit", &["--xid", &guest.name, "--set", "space_total=98304", directory]).ok();
    guest.sh("rm /full; sync; dd if=/dev/urandom of=/full bs=1M count=48 && sync").ok();
    guest.stop();
    host.tool("vdlimit", &["--xid", &xid, directory]).exits(1).says("has no limit");
    // One that is switched off does not count.
    guest.set("dlimits/0/disabled", "").start();
    host.tool("vdlimit", &["--xid", &xid, directory]).exits(1).says("has no limit");
    guest.sh("rm /full; sync; dd if=/dev/urandom of=/full bs=1M count=48 && sync").ok();
    guest.stop();
}

fn an_image_is_the_root_and_the_limit() {
    let host = Fixture::new();
    let image = image(&host, "ext4", 32, &["-m", "0", "-N", "600"]);
    let guest = host.guest();
    {
        let place = host.scratch("disk");
        let _mounted = Mounted::new(&image, &place);
        host_runs("cp", &["-a", &format!("{}/.", guest.root.display()), place.to_str().unwrap()]);
    }
    fs::remove_dir_all(&guest.root).unwrap();
    fs::create_dir(&guest.root).unwrap();
    guest.set("disk/image", &format!("{}\n", image.display()));
    guest.v(&["check"]).ok();
    guest.v(&["plan"]).ok();
    guest.start();
    assert!(
        guest.sh("df -k / | tail -n 1").ok().out.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() < 32768
    );
    guest.sh("dd if=/dev/zero of=/full bs=1M count=64").exits(1).says("No space left on device");
    guest
        .sh("rm /full; i=0; while [ $i -lt 700 ]; do : >/tmp/$i ; i=$((i+1)); done")
        .exits(1)
        .says("No space left on device");
    guest.stop();
    assert_eq!(fs::read_dir(&guest.root).unwrap().count(), 0, "nothing of it is seen on the host");
    eventually("the loop device goes", Duration::from_secs(5), || !loops_of(&image));
    fs::rename(&image, image.with_extension("away")).unwrap();
    guest.v(&["check"]).exits(1).says("disk/image:1").says("does not exist");
    guest.v(&["start"]).exits(1).says("does not exist");
}

/// Whether a loop device stands over an image.
fn loops_of(image: &Path) -> bool {
    !host_runs("losetup", &["-j", image.to_str().unwrap()]).is_empty()
}
