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
        Trial::new("disk::a_tag_is_set_or_its_absence_is_said", a_tag_is_set_or_its_absence_is_said).needs(xfs),
        Trial::new("disk::a_subvolume_is_held_to_its_limit", a_subvolume_is_held_to_its_limit).needs(btrfs),
        Trial::new("disk::an_image_is_the_root_and_the_limit", an_image_is_the_root_and_the_limit).needs(ext4),
    ]
}

/// A program of the host, which must succeed.
#[track_caller]
fn host_runs(program: &str, words: &[&str]) -> String {
    let done = Command::new(program).args(words).output().unwrap();
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {words:?}: {}", error);
    String::from_utf8(done.stdout).unwrap()
}

/// An image of so many MiB with a file system of a kind in it.
fn image(host: &Fixture, kind: &str, mib: u64, options: &[&str]) -> PathBuf {
    let image = host.scratch("images").join(format!("{kind}.img"));
    fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
    host_runs(&format!("mkfs.{kind}"), &[&["-q"], options, &[image.to_str().unwrap()]].concat());
    image
}

/// Mounted for as long as it lives.
struct Mounted(PathBuf);

impl Mounted {
    fn new(image: &Path, at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        host_runs("mount", &["-o", "loop", image.to_str().unwrap(), at.to_str().unwrap()]);
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
fn moved(guest: &Guest<'_>, to: &Path) {
    host_runs("cp", &["-a", &format!("{}/.", guest.root.display()), to.to_str().unwrap()]);
    fs::remove_file(guest.cfg.join("vdir")).unwrap();
    symlink(to, guest.cfg.join("vdir")).unwrap();
}

fn limit(guest: &Guest<'_>, directory: &Path, space: &str, inodes: &str) {
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
