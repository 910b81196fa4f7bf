//! Guests that share files: what one changes never reaches another, and the host finds one plain tree when they have ended.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use crate::fixture::{Fixture, Guest};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("unify::what_a_guest_changes_stays_its_own", what_a_guest_changes_stays_its_own),
        Trial::new("unify::without_a_user_namespace", without_a_user_namespace),
        Trial::new("unify::a_running_guest_is_refused", a_running_guest_is_refused),
        Trial::new("unify::after_a_crash_the_changes_are_there", after_a_crash_the_changes_are_there),
        Trial::new("unify::flatten_ends_it", flatten_ends_it),
        Trial::new(
            "unify::a_clone_has_an_identity_and_files_of_its_own",
            a_clone_has_an_identity_and_files_of_its_own,
        ),
        Trial::new("unify::reference_guests", reference_guests),
        Trial::new("unify::vcopy_makes_what_the_destination_lacks", vcopy_makes_what_the_destination_lacks),
        Trial::new("unify::vcopy_shares_copies_and_leaves", vcopy_shares_copies_and_leaves),
        Trial::new("unify::vclone_makes_a_tree", vclone_makes_a_tree),
        Trial::new("unify::the_configuration_decides", the_configuration_decides),
        Trial::new("unify::rename_copy_and_delete_after_a_crash", rename_copy_and_delete_after_a_crash),
    ]
}

fn pair(host: &Fixture) -> [Guest<'_>; 2] {
    let pair = [host.guest(), host.guest()];
    for guest in &pair {
        fs::create_dir_all(guest.cfg.join("apps/vunify")).unwrap();
        guest.set("apps/vunify/pkgmgmt-ignore", "");
        guest.set("apps/vunify/exclude", "/dev\n/proc\n/sys\n");
        for dir in ["srv/old/deep", "srv/gone"] {
            fs::create_dir_all(guest.root.join(dir)).unwrap();
        }
        for name in ["srv/append", "srv/mode", "srv/owner", "srv/delete", "srv/same", "srv/old/deep/x", "srv/gone/x"]
        {
            fs::write(guest.root.join(name), format!("what {name} had at the beginning\n")).unwrap();
        }
    }
    let paths = [&pair[0].root, &pair[1].root];
    for name in ["append", "mode", "owner", "delete", "same", "old/deep/x", "gone/x"] {
        let time = paths[0].join("srv").join(name).metadata().unwrap().modified().unwrap();
        fs::File::open(paths[1].join("srv").join(name)).unwrap().set_modified(time).unwrap();
    }
    pair
}

fn share(host: &Fixture, pair: &[Guest<'_>; 2]) {
    host.tool("vhashify", &["--ignore-mtime", &pair[0].name, &pair[1].name]).ok();
    for name in ["srv/append", "srv/same", "bin/busybox"] {
        assert_eq!(inode(&pair[0], name), inode(&pair[1], name), "{name}");
    }
}

fn inode(guest: &Guest<'_>, name: &str) -> u64 {
    guest.root.join(name).symlink_metadata().unwrap().ino()
}

fn read(guest: &Guest<'_>, name: &str) -> String {
    fs::read_to_string(guest.root.join(name)).unwrap()
}

const CHANGE: &str = "set -e; echo more >> /srv/append; chmod 600 /srv/mode; chown 33:33 /srv/owner; rm /srv/delete; \
     rm -r /srv/gone; mkdir /srv/gone; echo new > /srv/gone/new; echo x > /srv/new; ln -s /etc /srv/link; \
     touch /srv/old/deep/y; mv /srv/new /srv/moved; mkdir -p /srv/a/b; echo deep > /srv/a/b/c";

fn see_changes(changed: &Guest<'_>, other: &Guest<'_>) {
    assert_eq!(read(changed, "srv/append"), "what srv/append had at the beginning\nmore\n");
    let at = |name: &str| changed.root.join(name);
    assert_eq!(at("srv/mode").metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    let owner = at("srv/owner").metadata().unwrap();
    assert_eq!((owner.uid(), owner.gid()), (33, 33));
    assert!(!at("srv/delete").exists() && !at("srv/gone/x").exists() && !at("srv/new").exists());
    assert_eq!(read(changed, "srv/gone/new"), "new\n");
    assert_eq!(read(changed, "srv/moved"), "x\n");
    assert_eq!(read(changed, "srv/a/b/c"), "deep\n");
    assert_eq!(at("srv/moved").metadata().unwrap().uid(), 0);
    assert_eq!(fs::read_link(at("srv/link")).unwrap().to_str(), Some("/etc"));
    assert!(at("srv/old/deep/x").exists() && at("srv/old/deep/y").exists());
    assert_eq!(inode(changed, "srv/same"), inode(other, "srv/same"), "what nobody wrote to is still shared");
    assert!(!changed.root.with_file_name(format!(".{}.layers", changed.name)).exists());
    for name in ["append", "mode", "owner", "delete", "old/deep/x", "gone/x"] {
        let name = format!("srv/{name}");
        assert_eq!(read(other, &name), format!("what {name} had at the beginning\n"));
    }
    assert_eq!(other.root.join("srv/mode").metadata().unwrap().permissions().mode() & 0o7777, 0o644);
    assert_eq!(other.root.join("srv/owner").metadata().unwrap().uid(), 0);
    assert!(!other.root.join("srv/old/deep/y").exists());
}

fn what_a_guest_changes_stays_its_own() {
    let host = Fixture::new();
    let pair = pair(&host);
    share(&host, &pair);
    pair[0].start();
    pair[1].start();
    pair[0].sh(CHANGE).ok();
    pair[0].sh("cat /srv/append; ls -ln /srv/owner; cat /srv/a/b/c").ok().says("more").says(" 33 ").says("deep");
    pair[0].v(&["export", "/dev/null/none"]).exits(1).says("cannot be packed").says("stop it with");
    pair[1].sh("cat /srv/append /srv/delete /srv/gone/x; [ ! -e /srv/a ]").ok();
    let said = pair[1].sh("cat /srv/append");
    assert_eq!(said.out, "what srv/append had at the beginning\n");
    pair[0].stop();
    see_changes(&pair[0], &pair[1]);
    let said = host.tool("vdu", &["--shares", "--script", pair[1].root.to_str().unwrap()]);
    let shares: Vec<u64> = said.ok().out.split_whitespace().map(|word| word.parse().unwrap()).collect();
    assert!(shares[1] > 500 && shares[0] < shares[1], "its busybox is shared: {shares:?}");
    // Once more from there: what came into the tree is a layer below now.
    pair[0].start().sh("set -e; rm /srv/gone/new; cat /srv/moved; echo again >> /srv/append").ok().says("x");
    pair[0].stop();
    assert_eq!(read(&pair[0], "srv/append"), "what srv/append had at the beginning\nmore\nagain\n");
    assert!(!pair[0].root.join("srv/gone/new").exists());
}

fn without_a_user_namespace() {
    let host = Fixture::new();
    let pair = pair(&host);
    pair[0].set("userns", "off\n");
    share(&host, &pair);
    pair[0].start().sh(CHANGE).ok();
    pair[0].stop();
    see_changes(&pair[0], &pair[1]);
}

fn a_running_guest_is_refused() {
    let host = Fixture::new();
    let pair = pair(&host);
    pair[1].start();
    host.tool("vhashify", &[&pair[0].name, &pair[1].name]).exits(1).says("while it is running").says("stop it with");
    let (store, list) = (host.trees().join(".hash"), host.scratch("lists").join("none"));
    fs::write(&list, "").unwrap();
    let words = ["--manually", "--destination", store.to_str().unwrap(), pair[1].root.to_str().unwrap()];
    host.tool("vhashify", &[&words[..], &[list.to_str().unwrap()]].concat()).exits(1).says("while it is running");
    assert_ne!(inode(&pair[0], "srv/same"), inode(&pair[1], "srv/same"));
    pair[1].v(&["flatten"]).exits(1).says("while it is running");
    fs::remove_dir_all(pair[0].cfg.join("apps/vunify")).unwrap();
    pair[0].v(&["hashify"]).exits(1).says("Failed to initialize unification for vserver");
}

fn after_a_crash_the_changes_are_there() {
    let host = Fixture::new();
    let pair = pair(&host);
    share(&host, &pair);
    pair[0].start().sh(CHANGE).ok();
    // As after a power failure: the layers are there, and nobody knows of a run. What a guest has written there is taken
    // by its stop, so it is put back.
    let layers = pair[0].root.with_file_name(format!(".{}.layers", pair[0].name));
    let kept = host.scratch("kept").join("layers");
    assert!(std::process::Command::new("cp").arg("-a").args([&layers, &kept]).status().unwrap().success());
    let tree = host.scratch("kept").join("tree");
    assert!(std::process::Command::new("cp").arg("-al").args([&pair[0].root, &tree]).status().unwrap().success());
    pair[0].stop();
    fs::remove_dir_all(&pair[0].root).unwrap();
    fs::rename(&tree, &pair[0].root).unwrap();
    fs::rename(&kept, &layers).unwrap();
    pair[0].start().sh("cat /srv/append; [ ! -e /srv/delete ]").ok().says("more");
    pair[0].stop();
    see_changes(&pair[0], &pair[1]);
}

fn flatten_ends_it() {
    let host = Fixture::new();
    let pair = pair(&host);
    share(&host, &pair);
    pair[0].v(&["flatten"]).ok().says("are the guest's own now");
    for name in ["srv/append", "srv/same", "bin/busybox"] {
        assert_ne!(inode(&pair[0], name), inode(&pair[1], name), "{name}");
        assert_eq!(pair[0].root.join(name).metadata().unwrap().nlink(), 1);
    }
    pair[0].start().sh("echo more >> /srv/append").ok();
    // Without anything shared it needs no layers.
    assert_eq!(read(&pair[0], "srv/append"), "what srv/append had at the beginning\nmore\n");
    assert_eq!(read(&pair[1], "srv/append"), "what srv/append had at the beginning\n");
    pair[0].v(&["flatten"]).exits(1);
    pair[0].stop();
    pair[0].v(&["flatten"]).ok().says("0 files");
}

fn the_configuration_decides() {
    let host = Fixture::new();
    let pair = pair(&host);
    let store = host.trees().join("store");
    for guest in &pair {
        fs::remove_file(guest.cfg.join("apps/vunify/pkgmgmt-ignore")).unwrap();
        fs::remove_file(guest.cfg.join("apps/vunify/exclude")).unwrap();
        fs::create_dir_all(guest.cfg.join("apps/vunify/hash")).unwrap();
        symlink("/dev/shm", guest.cfg.join("apps/vunify/hash/00")).unwrap();
        symlink(&store, guest.cfg.join("apps/vunify/hash/01")).unwrap();
    }
    let names = [pair[0].name.as_str(), pair[1].name.as_str(), "--ignore-mtime"];
    host.tool("vhashify", &names).exits(1).says("failed to determine configfiles").says("pkgmgmt-ignore");
    for guest in &pair {
        guest.set("apps/pkgmgmt/style", "debian\n").set("apps/pkgmgmt/internal", "");
        fs::create_dir_all(guest.root.join("var/lib/dpkg/info")).unwrap();
        fs::write(guest.root.join("var/lib/dpkg/info/x.conffiles"), "/srv/mode\n").unwrap();
    }
    let defaults = host.confdir().join(".defaults/apps/vunify");
    fs::create_dir_all(&defaults).unwrap();
    fs::write(defaults.join("exclude"), "/srv/append\n/dev\n").unwrap();
    pair[1].set("apps/vunify/exclude", "/srv/owner\n/dev\n");
    host.tool("vhashify", &[&names[..], &["--dry-run"]].concat()).ok().says("would share").says("of page cache");
    host.tool("vhashify", &names).ok();
    for (name, shared) in [("srv/same", true), ("srv/mode", false), ("srv/append", false), ("srv/owner", false)] {
        assert_eq!(inode(&pair[0], name) == inode(&pair[1], name), shared, "{name}");
    }
    assert_eq!(fs::read_to_string(store.join("method")).unwrap(), "pieces-48\n");
    let again = host.tool("vhashify", &[&names[..], &["-vvv"]].concat());
    again.ok().says("  skipping '/srv/same' (already unified)").says("  skipping '/srv/mode' (excluded)");
    // A guest of its own list that ignores packages.
    pair[0].set("apps/vunify/pkgmgmt-ignore", "");
    pair[1].set("apps/vunify/pkgmgmt-ignore", "");
    host.tool("vhashify", &names).ok();
    assert_eq!(inode(&pair[0], "srv/mode"), inode(&pair[1], "srv/mode"));
}

fn rename_copy_and_delete_after_a_crash() {
    let host = Fixture::new();
    let pair = pair(&host);
    share(&host, &pair);
    let leave = |root: &std::path::Path| {
        let layers = root.with_file_name(format!(".{}.layers", root.file_name().unwrap().to_str().unwrap()));
        fs::create_dir_all(layers.join("upper/srv")).unwrap();
        fs::create_dir_all(layers.join("work")).unwrap();
        fs::write(layers.join("upper/srv/same"), "what was written last\n").unwrap();
        layers
    };
    let (copy, _) = host.fresh();
    leave(&pair[0].root);
    pair[0].v(&["copy", &copy]).ok();
    let root = host.trees().join(&copy);
    assert_eq!(fs::read_to_string(root.join("srv/same")).unwrap(), "what was written last\n");
    assert_eq!(root.join("srv/append").metadata().unwrap().nlink(), 1);
    host.v(&[&copy, "flatten"]).ok().says("0 files");
    let (name, _) = host.fresh();
    let layers = leave(&pair[1].root);
    pair[1].v(&["rename", &name]).ok();
    assert!(!layers.exists());
    let root = host.trees().join(&name);
    assert_eq!(fs::read_to_string(root.join("srv/same")).unwrap(), "what was written last\n");
    let layers = leave(&root);
    host.v(&["--silent", &name, "delete"]).ok();
    assert!(!layers.exists() && !root.exists());
    assert_eq!(read(&pair[0], "srv/append"), "what srv/append had at the beginning\n");
}

fn a_clone_has_an_identity_and_files_of_its_own() {
    let host = Fixture::new();
    let [source, _] = pair(&host);
    fs::create_dir_all(source.root.join("etc/ssh")).unwrap();
    fs::write(source.root.join("etc/machine-id"), "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::write(source.root.join("etc/hostname"), "source.test\n").unwrap();
    fs::write(source.root.join("etc/ssh/ssh_host_ed25519_key"), "old").unwrap();
    fs::set_permissions(source.root.join("srv/old"), PermissionsExt::from_mode(0o2750)).unwrap();
    let list = host.scratch("lists").join("exclude");
    fs::write(&list, "/srv/delete\n").unwrap();
    let (name, xid) = host.fresh();
    let build =
        ["build", "-m", "clone", "--context", &xid.to_string(), "--hostname", "clone.test", "--initstyle", "plain"];
    let from = ["--", "--source", &source.name, "-X", list.to_str().unwrap()];
    let words = [&[name.as_str()], &build[..], &from[..]].concat();
    source.start();
    host.v(&words).exits(1).says("cannot be cloned").says("stop it with");
    source.stop();
    host.v(&words).ok();
    let root = host.trees().join(&name);
    let clone = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    assert_eq!((clone("etc/hostname"), clone("etc/machine-id")), ("clone.test\n".to_owned(), String::new()));
    assert_ne!(fs::read_to_string(root.join("etc/ssh/ssh_host_ed25519_key")).unwrap_or_default(), "old");
    assert_eq!(read(&source, "etc/hostname"), "source.test\n");
    assert_eq!(read(&source, "etc/ssh/ssh_host_ed25519_key"), "old");
    assert_eq!(root.join("srv/append").metadata().unwrap().ino(), inode(&source, "srv/append"));
    assert_eq!(root.join("srv/old").metadata().unwrap().permissions().mode() & 0o7777, 0o2750);
    assert!(!root.join("srv/delete").exists());
    host.v(&[&name, "start"]).ok();
    host.v(&[&name, "exec", "/bin/sh", "-c", "echo clone >> /srv/append; chmod 600 /srv/mode"]).ok();
    source.start().sh("echo source >> /srv/append").ok();
    source.stop();
    host.v(&[&name, "stop"]).ok();
    assert_eq!(clone("srv/append"), "what srv/append had at the beginning\nclone\n");
    assert_eq!(read(&source, "srv/append"), "what srv/append had at the beginning\nsource\n");
    assert_eq!(source.root.join("srv/mode").metadata().unwrap().permissions().mode() & 0o7777, 0o644);
    host.v(&["--silent", &name, "delete"]).ok();
    assert_eq!(read(&source, "srv/same"), "what srv/same had at the beginning\n");
    host.v(&["nobody", "build", "-m", "clone", "--", "-s", "no-such-guest"])
        .exits(1)
        .says("there is nothing to clone");
}

fn reference_guests() {
    let host = Fixture::new();
    let pair = pair(&host);
    fs::write(pair[0].root.join("srv/owner"), "what srv/owner had at the BEGINNING\n").unwrap();
    fs::remove_file(pair[1].root.join("srv/delete")).unwrap();
    let time = pair[0].root.join("srv/owner").metadata().unwrap().modified().unwrap();
    fs::File::open(pair[1].root.join("srv/owner")).unwrap().set_modified(time).unwrap();
    pair[0].v(&["unify"]).exits(1).says("No reference path(s) given");
    symlink(&pair[1].cfg, pair[0].cfg.join("apps/vunify/refserver.00")).unwrap();
    pair[1].set("apps/vunify/exclude", "/srv/mode\n/dev\n");
    pair[0].v(&["unify", "--dry-run"]).ok().says("unifying   '/srv/same'").says("would share");
    assert_ne!(inode(&pair[0], "srv/same"), inode(&pair[1], "srv/same"));
    pair[1].start();
    pair[0].v(&["unify"]).exits(1).says("while it is running");
    pair[1].stop();
    let said = pair[0].v(&["unify", "-vv"]);
    said.ok()
        .says("  skipping '/srv/delete' (does not exist in refserver(s))")
        .says("  skipping '/srv/owner' (different)");
    for (name, shared) in [("srv/same", true), ("srv/append", true), ("srv/mode", false), ("srv/owner", false)] {
        assert_eq!(inode(&pair[0], name) == inode(&pair[1], name), shared, "{name}");
    }
    pair[0].start().sh("echo more >> /srv/append").ok();
    pair[0].stop();
    assert_eq!(read(&pair[1], "srv/append"), "what srv/append had at the beginning\n");
    host.tool("vunify", &["-R", "-vv", &pair[0].name]).ok().says("deunifying '/srv/same'");
    assert_ne!(inode(&pair[0], "srv/same"), inode(&pair[1], "srv/same"));
    assert_eq!(read(&pair[0], "srv/same"), "what srv/same had at the beginning\n");
}

fn vclone_makes_a_tree() {
    let host = Fixture::new();
    let [source, _] = pair(&host);
    let (to, list) = (host.trees().join("second"), host.scratch("lists").join("exclude"));
    fs::write(&list, "/srv/gone\n").unwrap();
    let words = ["-X", list.to_str().unwrap(), source.root.to_str().unwrap()];
    host.tool("vclone", &[&words[..], &["second"]].concat()).exits(1).says("no absolute path");
    let told = host.tool("vclone", &[&["-vvvvv"], &words[..], &[to.to_str().unwrap()]].concat());
    told.ok().says("Starting to traverse directories...\n").says("  creating directories for '/bin'\n");
    told.says("  linking unified file '/bin/busybox'\n");
    assert_eq!(to.join("srv/same").metadata().unwrap().ino(), inode(&source, "srv/same"));
    assert!(to.join("srv/old/deep/x").exists() && !to.join("srv/gone").exists());
    assert_eq!(fs::read_link(to.join("bin/sh")).unwrap().to_str(), Some("busybox"));
    // From now on the source writes to files of its own.
    source.start().sh("echo more >> /srv/append").ok();
    source.stop();
    assert_eq!(fs::read_to_string(to.join("srv/append")).unwrap(), "what srv/append had at the beginning\n");
}

/// compat/commands.md §8: a configuration like that of a new skeleton.
fn vcopy_makes_what_the_destination_lacks() {
    let host = Fixture::new();
    let [source, _] = pair(&host);
    let (name, _) = host.fresh();
    let cfg = host.confdir().join(&name);
    host.tool("vcopy", &["--strict", &name, &source.name]).exits(1);
    host.tool("vcopy", &["-n", &name, &source.name]).exits(1);
    host.tool("vcopy", &[name.as_str(), "nobody"]).exits(1).says("nobody");
    assert!(!cfg.exists() && !host.trees().join(&name).exists());
    host.tool("vcopy", &[&name, &source.name]).ok();
    assert!(cfg.join("apps/vunify").is_dir() && cfg.join("fstab").exists());
    assert_eq!(fs::read_to_string(cfg.join("name")).unwrap(), format!("{name}\n"));
    let copied = host.trees().join(&name);
    assert_eq!(copied.join("srv/same").metadata().unwrap().ino(), inode(&source, "srv/same"));
    host.v(&[&name, "start"]).ok();
    host.v(&[&name, "exec", "cat", "/srv/same"]).ok();
    host.v(&[&name, "stop"]).ok();
}

fn vcopy_shares_copies_and_leaves() {
    let host = Fixture::new();
    let [source, target] = pair(&host);
    fs::remove_dir_all(target.root.join("srv")).unwrap();
    source.set("apps/vunify/exclude", "/srv/mode\n~/srv/gone\n/dev\n");
    fs::remove_dir_all(target.cfg.join("apps/vunify")).unwrap();
    host.tool("vcopy", &["--strict", &target.name, &source.name]).exits(1).says("Failed to initialize unification");
    fs::create_dir_all(target.cfg.join("apps/vunify")).unwrap();
    target.set("apps/vunify/pkgmgmt-ignore", "").set("apps/vunify/exclude", "/srv/owner\n~/srv/delete\n");
    let said = host.tool("vcopy", &["-n", &target.name, &source.name]);
    said.ok()
        .says("linking  '/srv/same'")
        .says("copying  '/srv/mode'")
        .says("skipping '/srv/gone'")
        .says("creating '/srv'");
    assert!(!target.root.join("srv").exists());
    host.tool("vcopy", &[&target.name, &source.name]).ok();
    for (name, shared) in [("srv/same", true), ("srv/old/deep/x", true), ("srv/mode", false), ("srv/owner", false)] {
        assert_eq!(inode(&target, name) == inode(&source, name), shared, "{name}");
        assert_eq!(read(&target, name), read(&source, name));
    }
    assert!(!target.root.join("srv/gone").exists() && !target.root.join("srv/delete").exists());
    target.start().sh("echo more >> /srv/append").ok();
    target.stop();
    assert_eq!(read(&source, "srv/append"), "what srv/append had at the beginning\n");
    host.tool("vcopy", &[&target.name]).exits(1).says("two guests");
}
