//! build -m rsync and -m image: trees from here, from elsewhere, and from the image of a disk.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::Fixture;
use crate::needs::Need;
use crate::tree::{self, write};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("methods::copies::by_rsync_from_here_and_elsewhere", by_rsync_from_here_and_elsewhere)
            .needs(Need::Tool("rsync")),
        Trial::new("methods::copies::a_disk_and_its_root_partition", a_disk_and_its_root_partition)
            .needs(Need::Tool("sfdisk"))
            .needs(Need::Tool("qemu-img"))
            .needs(Need::Tool("mkfs.ext4")),
    ]
}

/// A tree that starts, with a terminal and a hard link.
fn source(host: &Fixture) -> PathBuf {
    let root = host.scratch("source").join("root");
    tree::busybox(&root);
    let inittab = fs::read_to_string(root.join("etc/inittab")).unwrap();
    write(&root, "etc/inittab", &format!("{inittab}tty1::respawn:/bin/getty 38400 tty1\n"), 0o644);
    write(&root, "etc/hostname", "old\n", 0o644);
    write(&root, "srv/data", "precious\n", 0o640);
    write(&root, "srv/cache/x", "x\n", 0o644);
    write(&root, "dev/left", "x", 0o644);
    fs::hard_link(root.join("srv/data"), root.join("srv/same")).unwrap();
    symlink("/etc/shadow", root.join("srv/link")).unwrap();
    root
}

fn build(host: &Fixture, method: &[&str]) -> (String, PathBuf) {
    let (name, xid) = host.fresh();
    let context = xid.to_string();
    let own = ["build", "--context", &context, "--hostname", "new.example.org"];
    host.v(&[&[name.as_str()], &own[..], method].concat()).ok();
    let root = host.trees().join(&name);
    (name, root)
}

fn starts(host: &Fixture, name: &str, root: &Path) {
    assert_eq!(fs::read_to_string(root.join("etc/hostname")).unwrap(), "new.example.org\n");
    assert!(fs::read_to_string(root.join("etc/inittab")).unwrap().contains("\n#tty1"));
    assert!(root.join("dev/null").exists() && !root.join("dev/left").exists());
    host.v(&[name, "start"]).ok();
    host.v(&[name, "exec", "cat", "/srv/data"]).ok().says("precious");
    host.v(&[name, "stop"]).ok();
    host.v(&["--silent", name, "delete"]).ok();
}

fn by_rsync_from_here_and_elsewhere() {
    use std::os::unix::fs::MetadataExt;
    let host = Fixture::new();
    let from = source(&host);
    let word = from.to_str().unwrap();
    let (name, root) = build(&host, &["-m", "rsync", "--", "-s", word, "--", "--exclude=/srv/cache"]);
    assert!(!root.join("srv/cache").exists());
    assert_eq!(fs::metadata(root.join("srv/data")).unwrap().nlink(), 2, "the usual options keep hard links");
    assert_eq!(fs::read_link(root.join("srv/link")).unwrap(), Path::new("/etc/shadow"));
    starts(&host, &name, &root);
    let (name, root) = build(&host, &["-m", "rsync", "--", "-s", word, "-o", "-rlpt"]);
    assert_eq!(fs::metadata(root.join("srv/data")).unwrap().nlink(), 1, "other options in place of the usual ones");
    starts(&host, &name, &root);
    // What stands in for ssh drops the host's name.
    let shell = host.scratch("shell").join("ssh");
    write(&host.scratch("shell"), "ssh", "#!/bin/sh\nshift\nexec \"$@\"\n", 0o755);
    let (elsewhere, option) = (format!("old.example.org:{word}"), format!("--rsh={}", shell.display()));
    let (name, root) = build(&host, &["-m", "rsync", "--", "-s", &elsewhere, "--", &option]);
    starts(&host, &name, &root);
    for more in ["--no-such-option", "--files-from=/no/such/file"] {
        let (name, _) = host.fresh();
        host.v(&[&name, "build", "-m", "rsync", "--", "-s", word, "--", more]).exits(1).says("rsync failed");
        assert!(!host.confdir().join(&name).exists());
        assert_eq!(fs::read_dir(host.trees()).unwrap().count(), 0);
    }
}

fn sh(dir: &Path, script: &str) {
    let ran = Command::new("sh").args(["-ec", script]).current_dir(dir).output().unwrap();
    assert!(ran.status.success(), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
}

fn a_disk_and_its_root_partition() {
    let host = Fixture::new();
    source(&host);
    let dir = host.scratch("source");
    write(&dir, "boot/boot/vmlinuz", "kernel", 0o644);
    sh(
        &dir,
        "truncate -s 64M disk.raw; printf 'label: gpt\\nstart=2048, size=16384\\nstart=20480, size=90112\\n' | sfdisk -q disk.raw\n\
         truncate -s 8M one; mkfs.ext4 -q -d boot one; truncate -s 44M two; mkfs.ext4 -q -d root two\n\
         dd if=one of=disk.raw bs=512 seek=2048 conv=notrunc,sparse status=none\n\
         dd if=two of=disk.raw bs=512 seek=20480 conv=notrunc,sparse status=none\n\
         for format in qcow2 vmdk; do qemu-img convert -O $format disk.raw disk.$format; done\n\
         qemu-img convert -O vmdk -o subformat=monolithicFlat disk.raw pair.vmdk\n\
         qemu-img create -q -f qcow2 -F raw -b /etc/shadow lies.qcow2 64M\n\
         qemu-img create -q -f qcow2 -F raw -b \"$PWD/disk.raw\" beside.qcow2",
    );
    for (image, more) in [
        ("disk.raw", &[][..]),
        ("disk.qcow2", &["--partition", "2"]),
        ("disk.vmdk", &[]),
        ("pair.vmdk", &[]),
        ("two", &[]),
    ] {
        let file = dir.join(image);
        let method = [&["-m", "image", "--", "-s", file.to_str().unwrap()], more].concat();
        let (name, root) = build(&host, &method);
        assert_eq!(fs::read_to_string(root.join("srv/data")).unwrap(), "precious\n", "{image}");
        if image == "disk.qcow2" {
            starts(&host, &name, &root);
        } else {
            host.v(&["--silent", &name, "delete"]).ok();
        }
    }
    let refused = |image: &str, more: &[&str], says: &str| {
        let (name, file) = (host.fresh().0, dir.join(image));
        let words = [&[name.as_str(), "build", "-m", "image", "--", "-s", file.to_str().unwrap()], more].concat();
        host.v(&words).exits(1).says(says);
        assert!(!host.confdir().join(&name).exists());
        assert_eq!(fs::read_dir(host.trees()).unwrap().count(), 0);
    };
    refused("disk.raw", &["--partition", "7"], "it has no partition 7");
    refused("disk.raw", &["--partition", "1"], "there is no root of a system in it");
    // Its content would be a file of the host's.
    refused("lies.qcow2", &[], "qemu-img failed");
    // Or another's, that lies beside it.
    refused("beside.qcow2", &[], "qemu-img failed");
    sh(&dir, "head -c 100 disk.qcow2 >torn.qcow2");
    refused("torn.qcow2", &[], "qemu-img failed");
}
