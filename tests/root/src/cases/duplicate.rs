//! copy and rename: a second guest, and another name, with all that belongs to it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::fixture::Fixture;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("duplicate::a_copy_has_all_but_the_identity", a_copy_has_all_but_the_identity).smoke(),
        Trial::new("duplicate::a_copy_keeps_what_files_are", a_copy_keeps_what_files_are),
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
    guest.address(0, "127.9.8.7", 8).set("cflags", "# why\nvirt_uptime\n").set("notes.of.mine", "kept\n");
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
