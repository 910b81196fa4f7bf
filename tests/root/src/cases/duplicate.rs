//! copy and rename: a second guest, and another name, with all that belongs to it.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::fs::{XattrFlags, lgetxattr, llistxattr, lsetxattr};

use crate::fixture::{Fixture, eventually};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("duplicate::a_copy_has_all_but_the_identity", a_copy_has_all_but_the_identity).smoke(),
        Trial::new("duplicate::a_copy_keeps_what_files_are", a_copy_keeps_what_files_are),
        Trial::new("duplicate::a_copy_keeps_all_that_a_file_has", copy_keeps_all_that_a_file_has),
        Trial::new("duplicate::an_interrupted_copy_leaves_nothing", an_interrupted_copy_leaves_nothing),
        Trial::new("duplicate::package_data_goes_with_the_name", package_data_goes_with_the_name),
        Trial::new("duplicate::a_tree_of_two_guests_is_not_renamed", a_tree_of_two_guests_is_not_renamed),
        Trial::new("duplicate::a_failed_copy_leaves_nothing", a_failed_copy_leaves_nothing),
        Trial::new("duplicate::a_renamed_guest_is_the_same", a_renamed_guest_is_the_same),
        Trial::new("duplicate::what_is_taken_or_runs_is_refused", what_is_taken_or_runs_is_refused),
    ]
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn a_copy_has_all_but_the_identity() {
    let host = Fixture::new();
    let guest = host.guest();
    guest
        .address(0, "127.9.8.7", 8)
        .set("tag", "4711\n")
        .set("cflags", "# why\nvirt_uptime\n")
        .set("notes.of.mine", "kept\n");
    fs::create_dir_all(guest.root.join("etc/ssh")).unwrap();
    fs::write(guest.root.join("etc/machine-id"), "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::write(guest.root.join("etc/ssh/ssh_host_ed25519_key"), "old").unwrap();
    let (new, xid) = host.fresh();
    let copied = guest.v(&["copy", &new, "--context", &xid.to_string(), "--hostname", "second.test"]);
    copied.ok().says("has no address yet");
    let (cfg, root) = (host.confdir().join(&new), host.trees().join(&new));
    assert_eq!(read(&cfg.join("cflags")), "# why\nvirt_uptime\n");
    assert_eq!(read(&cfg.join("notes.of.mine")), "kept\n");
    assert_eq!(read(&cfg.join("context")), format!("{xid}\n"));
    assert_eq!(read(&cfg.join("uts/nodename")), "second.test\n");
    assert_eq!(read(&cfg.join("name")), format!("{new}\n"));
    assert!(!cfg.join("interfaces").exists(), "addresses are not copied");
    assert!(!cfg.join("tag").exists(), "two guests would share one disk limit");
    assert_eq!(fs::read_link(cfg.join("run")).unwrap(), Path::new("/var/run/vservers").join(&new));
    assert_eq!(read(&root.join("etc/machine-id")), "");
    // A new key, or none where this host cannot make one.
    let key = fs::read_to_string(root.join("etc/ssh/ssh_host_ed25519_key")).unwrap_or_default();
    assert_ne!(key, "old");
    assert_eq!(read(&guest.root.join("etc/ssh/ssh_host_ed25519_key")), "old");
    // Both run side by side.
    guest.start();
    host.v(&[&new, "start"]).ok();
    let name = host.v(&[&new, "exec", "hostname"]);
    name.ok().says("second.test");
    host.v(&[&new, "stop"]).ok();
}

fn a_copy_keeps_what_files_are() {
    let host = Fixture::new();
    let guest = host.guest();
    let dir = guest.root.join("srv");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("one"), "content").unwrap();
    fs::hard_link(dir.join("one"), dir.join("two")).unwrap();
    std::os::unix::fs::chown(dir.join("one"), Some(33), Some(34)).unwrap();
    fs::set_permissions(dir.join("one"), fs::Permissions::from_mode(0o4750)).unwrap();
    symlink("/etc/shadow", dir.join("link")).unwrap();
    fs::File::create(dir.join("sparse")).unwrap().set_len(64 << 20).unwrap();
    assert!(
        Command::new("touch").args(["-d", "2001-02-03 04:05:06"]).arg(dir.join("one")).status().unwrap().success()
    );
    let (new, _) = host.fresh();
    guest.v(&["copy", &new]).ok();
    let copy = host.trees().join(&new).join("srv");
    let (one, two) = (fs::metadata(copy.join("one")).unwrap(), fs::metadata(copy.join("two")).unwrap());
    assert_eq!((one.ino(), one.nlink()), (two.ino(), 2), "hard links stay links");
    assert_ne!(one.ino(), fs::metadata(dir.join("one")).unwrap().ino(), "and lead into the copy");
    assert_eq!((one.uid(), one.gid(), one.mode() & 0o7777, one.mtime()), (33, 34, 0o4750, 981_173_106));
    assert_eq!(fs::read_link(copy.join("link")).unwrap(), Path::new("/etc/shadow"));
    let sparse = fs::metadata(copy.join("sparse")).unwrap();
    assert_eq!((sparse.len(), sparse.blocks()), (64 << 20, 0), "a hole stays a hole");
}

fn a_failed_copy_leaves_nothing() {
    let host = Fixture::new();
    let guest = host.guest();
    let (new, _) = host.fresh();
    guest.set("disk/image", "/nowhere.img\n");
    guest.v(&["copy", &new]).exits(1).says("'/nowhere.img'");
    fs::remove_dir_all(guest.cfg.join("disk")).unwrap();
    guest.v(&["copy", &new, "--context", "99999"]).exits(1).says("is larger than 65534");
    guest.v(&["copy", &new, "--interface", "nonsense"]).exits(1);
    fs::write(host.trees().join(&new), "in the way").unwrap();
    guest.v(&["copy", &new]).exits(1).says("exists already");
    fs::remove_file(host.trees().join(&new)).unwrap();
    fs::rename(&guest.root, host.trees().join("elsewhere")).unwrap();
    guest.v(&["copy", &new]).exits(1).says("the guest has no tree");
    fs::rename(host.trees().join("elsewhere"), &guest.root).unwrap();
    assert!(!host.confdir().join(&new).exists() && !host.trees().join(&new).exists());
    let rest: Vec<_> = fs::read_dir(host.trees()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(rest, [guest.name.as_str()]);
}

fn a_renamed_guest_is_the_same() {
    let host = Fixture::new();
    let (guest, other) = (host.guest(), host.guest());
    other.set("apps/init/depends", &format!("# first the database\n{}\n", guest.name));
    guest.set("notes.of.mine", "kept\n");
    fs::write(guest.root.join("mark"), "same").unwrap();
    let inode = fs::metadata(&guest.root).unwrap().ino();
    let (new, _) = host.fresh();
    guest.v(&["rename", &new]).ok().says("depends on");
    let (cfg, root) = (host.confdir().join(&new), host.trees().join(&new));
    assert!(!guest.cfg.exists() && !guest.root.exists());
    assert_eq!(fs::metadata(&root).unwrap().ino(), inode);
    assert_eq!(fs::read_link(cfg.join("vdir")).unwrap(), root);
    assert_eq!(read(&cfg.join("notes.of.mine")), "kept\n");
    assert_eq!(read(&cfg.join("name")), format!("{new}\n"));
    assert_eq!(read(&other.cfg.join("apps/init/depends")), format!("# first the database\n{new}\n"));
    host.v(&[&new, "start"]).ok();
    host.v(&[&new, "exec", "cat", "/mark"]).ok().says("same");
    host.v(&[&new, "stop"]).ok();
    // And back, so that the guest's own clean-up finds it.
    host.v(&[&new, "rename", &guest.name]).ok();
}

fn what_is_taken_or_runs_is_refused() {
    let host = Fixture::new();
    let (guest, other) = (host.guest(), host.guest());
    let (new, _) = host.fresh();
    for verb in ["rename", "copy"] {
        guest.v(&[verb, &other.name]).exits(1).says("there is a configuration of that name");
        guest.v(&[verb, &guest.name]).exits(1).says("its own name");
        guest.v(&[verb, "a/../b"]).exits(1);
        guest.v(&[verb]).exits(2);
    }
    guest.start();
    for verb in ["rename", "copy"] {
        guest.v(&[verb, &new]).exits(1).says("stop it with");
    }
    assert!(guest.is_running() && !host.confdir().join(&new).exists());
    let nobody = host.v(&["nobody-at-all", "rename", &new]);
    nobody.exits(5);
}

/// Names that no guest is called by, with nothing of them left behind.
fn is_gone(host: &Fixture, name: &str) {
    for dir in [host.confdir(), host.trees()] {
        for entry in fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap().file_name().into_string().unwrap();
            assert!(!entry.contains(name), "{entry} is left in {}", dir.display());
        }
    }
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty()).unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// Names and values.
fn attributes(path: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut names, mut value) = (vec![0; 4096], vec![0; 4096]);
    let length = llistxattr(path, &mut names[..]).unwrap();
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let name = String::from_utf8(name.to_vec()).unwrap();
            let length = lgetxattr(path, &name, &mut value[..]).unwrap();
            (name, value[..length].to_vec())
        })
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn special(root: &Path) {
    let at = |name: &str| root.join(name);
    fs::create_dir_all(at("srv/deep/er")).unwrap();
    fs::write(at("srv/file"), "text").unwrap();
    fs::hard_link(at("srv/file"), at("srv/deep/er/same")).unwrap();
    fs::write(at("srv/capable"), "x").unwrap();
    std::os::unix::fs::chown(at("srv/file"), Some(1000), Some(50)).unwrap();
    fs::set_permissions(at("srv/file"), PermissionsExt::from_mode(0o6751)).unwrap();
    set_attribute(&at("srv/file"), "user.colour", b"red");
    set_attribute(&at("srv/deep"), "trusted.secret", b"yes");
    // cap_net_raw=ep, and the ACL user:1000:rw.
    set_attribute(&at("srv/capable"), "security.capability", &bytes("0100000200200000000000000000000000000000"));
    let acl = "0200000001000600ffffffff02000600e803000004000400ffffffff10000600ffffffff20000400ffffffff";
    set_attribute(&at("srv/capable"), "system.posix_acl_access", &bytes(acl));
    let ran = Command::new("mknod").arg(at("srv/null")).args(["c", "1", "3"]).status().unwrap();
    assert!(ran.success() && Command::new("mkfifo").arg(at("srv/pipe")).status().unwrap().success());
    symlink("/etc/shadow", at("srv/link")).unwrap();
    std::os::unix::fs::lchown(at("srv/link"), Some(7), Some(8)).unwrap();
    let hole = File::create(at("srv/hole")).unwrap();
    hole.write_at(b"end", 32 << 20).unwrap();
    hole.set_len(64 << 20).unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 5);
    for name in ["srv/file", "srv/hole", "srv/deep/er", "srv/deep", "srv"] {
        File::open(at(name)).unwrap().set_modified(old).unwrap();
    }
}

fn copy_keeps_all_that_a_file_has() {
    let host = Fixture::new();
    let guest = host.guest();
    special(&guest.root);
    let new = host.fresh().0;
    host.v(&[&guest.name, "copy", &new]).ok();
    let root = host.trees().join(&new);
    let names = ["", "srv", "srv/deep", "srv/deep/er", "srv/deep/er/same", "srv/file", "srv/capable", "srv/null"];
    for name in names.into_iter().chain(["srv/pipe", "srv/link", "srv/hole", "bin/busybox", "tmp"]) {
        let (was, is) = (guest.root.join(name), root.join(name));
        let facts = |path: &Path| {
            let info = path.symlink_metadata().unwrap();
            let times = info.modified().unwrap();
            (
                info.mode(),
                info.uid(),
                info.gid(),
                info.rdev(),
                times,
                info.is_dir() || info.nlink() == 1,
                attributes(path),
            )
        };
        assert_eq!(facts(&was), facts(&is), "{name}");
    }
    let (one, two) = (root.join("srv/file").metadata().unwrap(), root.join("srv/deep/er/same").metadata().unwrap());
    assert_eq!((one.ino(), one.nlink()), (two.ino(), 2));
    assert!(attributes(&root.join("srv/capable")).len() >= 2);
    assert_eq!(fs::read_link(root.join("srv/link")).unwrap(), Path::new("/etc/shadow"));
    let hole = root.join("srv/hole").metadata().unwrap();
    assert!(hole.len() == 64 << 20 && hole.blocks() * 512 < 1 << 20, "{} blocks", hole.blocks());
    let mut end = [0; 3];
    File::open(root.join("srv/hole")).unwrap().read_at(&mut end, 32 << 20).unwrap();
    assert_eq!(&end, b"end");
}

fn an_interrupted_copy_leaves_nothing() {
    let host = Fixture::new();
    let guest = host.guest();
    for dir in 0..100 {
        let dir = guest.root.join(format!("srv/{dir}"));
        fs::create_dir_all(&dir).unwrap();
        (0..100).for_each(|file| fs::write(dir.join(file.to_string()), "x").unwrap());
    }
    let new = host.fresh().0;
    let mut child = host.command("vserver").args([&guest.name, "copy", &new]).spawn().unwrap();
    let begun = || {
        fs::read_dir(host.trees())
            .unwrap()
            .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with(&format!(".{new}.")))
    };
    eventually("the copy has begun", Duration::from_secs(20), begun);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    is_gone(&host, &new);
    host.v(&[&guest.name, "copy", &new]).ok();
    assert_eq!(read(&host.trees().join(&new).join("srv/99/99")), "x");
}

fn package_data_goes_with_the_name() {
    let host = Fixture::new();
    let guest = host.guest();
    let (new, _) = host.fresh();
    let base = host.scratch("pkg");
    fs::create_dir_all(host.confdir().join(".defaults/apps/pkgmgmt")).unwrap();
    symlink(&base, host.confdir().join(".defaults/apps/pkgmgmt/base")).unwrap();
    fs::create_dir_all(base.join(&guest.name).join("rpm")).unwrap();
    guest.set("apps/pkgmgmt/style", "redhat\n");
    symlink(base.join(&guest.name), guest.cfg.join("apps/pkgmgmt/base")).unwrap();
    fs::create_dir(base.join(&new)).unwrap();
    guest.v(&["rename", &new]).exits(1).says("exists already");
    assert!(guest.cfg.exists() && guest.root.exists());
    fs::remove_dir(base.join(&new)).unwrap();
    guest.v(&["rename", &new]).ok();
    assert!(base.join(&new).join("rpm").is_dir() && !base.join(&guest.name).exists());
    let link = host.confdir().join(&new).join("apps/pkgmgmt/base");
    assert_eq!(fs::read_link(link).unwrap(), base.join(&new));
    fs::create_dir(base.join("another")).unwrap();
    host.v(&["--silent", &new, "delete"]).ok();
    assert!(!base.join(&new).exists() && base.join("another").exists());
}

fn a_tree_of_two_guests_is_not_renamed() {
    let host = Fixture::new();
    let (guest, other) = (host.guest(), host.guest());
    let (new, _) = host.fresh();
    fs::remove_file(other.cfg.join("vdir")).unwrap();
    symlink(&guest.root, other.cfg.join("vdir")).unwrap();
    guest.v(&["rename", &new]).exits(1).says(&format!("is also that of guest '{}'; it is not renamed", other.name));
    assert!(guest.cfg.exists() && guest.root.exists() && !host.confdir().join(&new).exists());
    fs::remove_file(other.cfg.join("vdir")).unwrap();
    symlink(&other.root, other.cfg.join("vdir")).unwrap();
}
