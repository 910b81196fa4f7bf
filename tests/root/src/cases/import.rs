//! import and export: a machine becomes a guest, and what cannot leaves nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::Fixture;
use crate::needs::Need;
use crate::tree;
use crate::trial::Trial;

#[path = "../../../../crates/vserver-archive/tests/corpus/mod.rs"]
mod corpus;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("import::a_machine_from_a_stream_starts", a_machine_from_a_stream_starts).smoke(),
        Trial::new("import::a_dry_run_only_tells", a_dry_run_only_tells),
        Trial::new("import::a_mounted_tree", a_mounted_tree),
        Trial::new("import::from_a_machine_and_again", from_a_machine_and_again).needs(Need::Tool("rsync")),
        Trial::new("import::export_and_back_is_exact", export_and_back_is_exact).needs(Need::Tool("zstd")),
        Trial::new("import::every_hostile_trick_leaves_nothing", every_hostile_trick_leaves_nothing),
        Trial::new("import::what_cannot_be_imported", what_cannot_be_imported),
        Trial::new("import::systemd_upstart_and_openrc_are_tamed", systemd_upstart_and_openrc_are_tamed),
        Trial::new("import::a_password_and_a_key_let_in", a_password_and_a_key_let_in),
    ]
}

/// A machine with disks, terminals, hardware services and a network, over a busybox that can really start.
fn machine(root: &Path) {
    tree::busybox(root);
    let files = [
        ("etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 7 (wheezy)\"\n"),
        ("etc/hostname", "old.example.org\n"),
        ("etc/hosts", "127.0.0.1 localhost\n10.0.0.5 old.example.org old\n10.0.0.6 db\n"),
        ("etc/network/interfaces", "auto eth0\niface eth0 inet dhcp\n"),
        ("etc/fstab", "/dev/sda1 / ext4 defaults 0 1\n/srv/swap.file none swap sw 0 0\nnas:/x /mnt/x nfs rw 0 0\n"),
        ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
        ("etc/ssh/sshd_config", "Port 2222\n"),
        ("etc/ssh/ssh_host_ed25519_key", "old key"),
        ("etc/ssh/ssh_host_ed25519_key.pub", "old pub"),
        ("etc/modules", "loop\n"),
        ("srv/swap.file", "swap"),
        ("swapfile", "swap"),
        ("boot/vmlinuz-3.2", "kernel"),
        ("lib/modules/3.2/kernel/loop.ko", "module"),
        ("run/old.pid", "1"),
        ("tmp/junk", "x"),
        ("mnt/disk/file", "x"),
        ("srv/data", "precious"),
    ];
    for (name, content) in files {
        tree::write(root, name, content, 0o644);
    }
    let inittab = fs::read_to_string(root.join("etc/inittab")).unwrap();
    tree::write(root, "etc/inittab", &format!("{inittab}tty1::respawn:/bin/getty 38400 tty1\n"), 0o644);
    fs::create_dir_all(root.join("etc/rc2.d")).unwrap();
    for link in ["S01ssh", "S02hwclock.sh", "S03nfs-kernel-server", "K01udev"] {
        symlink("../init.d/x", root.join("etc/rc2.d").join(link)).unwrap();
    }
    chown(root.join("srv/data"), Some(2_100_000), Some(7)).unwrap();
    fs::set_permissions(root.join("srv/data"), PermissionsExt::from_mode(0o4750)).unwrap();
    nix::sys::stat::mknod(
        &root.join("dev/sda"),
        nix::sys::stat::SFlag::S_IFBLK,
        nix::sys::stat::Mode::from_bits_truncate(0o660),
        nix::sys::stat::makedev(8, 0),
    )
    .unwrap();
}

fn made(host: &Fixture) -> PathBuf {
    let root = host.scratch("machine").join("root");
    machine(&root);
    root
}

fn packed(root: &Path) -> Vec<u8> {
    let output = Command::new("tar").arg("-C").arg(root).args(["--numeric-owner", "-c", "."]).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Neither tree nor configuration nor a stage is left.
fn nothing_of(host: &Fixture, name: &str) {
    assert!(!host.confdir().join(name).exists(), "a configuration is left");
    let left: Vec<_> = fs::read_dir(host.trees()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|entry| !entry.to_string_lossy().contains(name)), "{left:?}");
}

fn check_guest(root: &Path) {
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    for gone in
        ["swapfile", "srv/swap.file", "boot/vmlinuz-3.2", "lib/modules/3.2", "tmp/junk", "mnt/disk", "dev/sda"]
    {
        assert!(!root.join(gone).exists(), "{gone}");
    }
    for kept in ["boot", "mnt", "tmp", "run", "dev/null", "proc", "sys"] {
        assert!(root.join(kept).exists(), "{kept}");
    }
    assert!(read("etc/inittab").contains("\n#tty1::respawn"));
    assert!(read("etc/fstab").contains("#imported# /dev/sda1") && read("etc/fstab").contains("#imported# nas:/x"));
    assert!(
        !read("etc/network/interfaces").contains("eth0") && read("etc/network/interfaces.imported").contains("eth0")
    );
    assert!(read("etc/hosts").contains("10.0.0.6 db") && !read("etc/hosts").contains("10.0.0.5"));
    assert!(root.join("etc/rc2.d/S01ssh").symlink_metadata().is_ok());
    assert!(root.join("etc/rc2.d/S02hwclock.sh").symlink_metadata().is_err());
    let data = root.join("srv/data").metadata().unwrap();
    assert_eq!((data.mode() & 0o7777, data.uid(), data.gid()), (0o4750, 2_100_000, 7));
}

fn a_machine_from_a_stream_starts() {
    let host = Fixture::new();
    let (name, xid) = host.fresh();
    let context = xid.to_string();
    let words = [name.as_str(), "import", "--context", &context, "--interface", "nodev:127.0.9.3/8", "-"];
    let ran = host.tool_with_input("vserver", &words, &packed(&made(&host)));
    ran.ok();
    for told in [
        "Debian GNU/Linux 7 (wheezy), init: busybox",
        "host name  old.example.org",
        "/boot/ (1 names, 6 B)",
        "/etc/fstab: file systems are mounted from outside",
        "/etc/rc2.d/S02hwclock.sh is removed: the clock is the host's",
        "nfs-kernel-server: serving NFS",
        "nfs nas:/x on /mnt/x",
        "/etc/modules loads loop",
        "2222/tcp ssh",
        "owners above 65535 (up to 2100000)",
        "./srv/data",
    ] {
        assert!(ran.out.contains(told), "{told}\n{}", ran.out);
    }
    let root = host.trees().join(&name);
    check_guest(&root);
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    assert!(read("etc/hosts").contains("127.0.9.3\told.example.org old"));
    assert_eq!(read("etc/machine-id"), "", "it is made at the first boot");
    assert_ne!(fs::read(root.join("etc/ssh/ssh_host_ed25519_key")).unwrap_or_default(), b"old key");
    host.v(&[&name, "start"]).ok();
    let inside = host.v(&[&name, "exec", "hostname"]);
    inside.ok();
    assert_eq!(inside.out.trim(), "old.example.org");
    host.v(&[&name, "stop"]).ok();
    host.v(&["--silent", &name, "delete"]).ok();
}

fn a_dry_run_only_tells() {
    let host = Fixture::new();
    let root = made(&host);
    let file = host.scratch("tar").join("machine.tar");
    fs::write(&file, packed(&root)).unwrap();
    let (name, _) = host.fresh();
    for source in [file.to_str().unwrap(), root.to_str().unwrap()] {
        let ran = host.v(&[&name, "import", "--dry-run", source]);
        ran.ok();
        assert!(ran.out.contains("2222/tcp ssh") && ran.out.contains("cannot work"), "{}", ran.out);
        nothing_of(&host, &name);
        let ran = host.v(&[&name, "import", "--dry-run", "--json", source]);
        ran.ok();
        let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((&json["id"], &json["init"]), (&"debian".into(), &"busybox".into()));
        assert_eq!(json["ports"][0]["number"], 2222);
        nothing_of(&host, &name);
    }
    let read = host.tool_with_input("vserver", &[&name, "import", "-n", "-"], &packed(&root));
    read.ok();
    assert!(read.out.contains("2222/tcp ssh"));
    nothing_of(&host, &name);
}

/// What is mounted below the tree is part of the machine.
fn a_mounted_tree() {
    let host = Fixture::new();
    let root = made(&host);
    let var = root.join("var/lib");
    fs::create_dir_all(&var).unwrap();
    let none: Option<&str> = None;
    nix::mount::mount(Some("none"), &var, Some("tmpfs"), nix::mount::MsFlags::empty(), none).unwrap();
    fs::write(var.join("mounted"), "too").unwrap();
    let (name, xid) = host.fresh();
    let ran = host.v(&[&name, "import", "--context", &xid.to_string(), root.to_str().unwrap()]);
    nix::mount::umount(&var).unwrap();
    ran.ok();
    let tree = host.trees().join(&name);
    check_guest(&tree);
    assert_eq!(fs::read_to_string(tree.join("var/lib/mounted")).unwrap(), "too");
    host.v(&["--silent", &name, "delete"]).ok();
}

/// `ssh` here runs the command on this machine.
fn with_ssh(host: &Fixture, words: &[&str]) -> (i32, String) {
    let bin = host.scratch("ssh-bin");
    let script = "#!/bin/sh\nwhile :; do case $1 in -o|-p|-l) shift 2;; --) shift;; -*) shift;; *) break;; esac; done\n\
                  shift\nexec sh -c \"$*\"\n";
    tree::write(&bin, "ssh", script, 0o755);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = host.command("vserver").args(words).env("PATH", path).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

fn from_a_machine_and_again() {
    let host = Fixture::new();
    let root = made(&host);
    let (name, xid) = host.fresh();
    let source = format!("ssh://root@old.example.org:2022{}", root.display());
    let (code, text) = with_ssh(&host, &[&name, "import", "-n", &source]);
    assert!(code == 0 && text.contains("2222/tcp ssh") && text.contains("nfs nas:/x"), "{text}");
    nothing_of(&host, &name);
    let context = xid.to_string();
    let (code, text) = with_ssh(&host, &[&name, "import", "--context", &context, &source]);
    assert!(code == 0, "{text}");
    let tree = host.trees().join(&name);
    check_guest(&tree);
    fs::write(root.join("srv/new"), "later").unwrap();
    fs::remove_file(root.join("etc/group")).unwrap();
    fs::write(tree.join("etc/machine-id"), "fedcba9876543210fedcba9876543210\n").unwrap();
    let (code, text) = with_ssh(&host, &[&name, "import", "--again", &source]);
    assert!(code == 0, "{text}");
    check_guest(&tree);
    assert_eq!(fs::read_to_string(tree.join("srv/new")).unwrap(), "later");
    assert!(!tree.join("etc/group").exists(), "what is gone there is gone here");
    assert!(fs::read_to_string(tree.join("etc/machine-id")).unwrap().starts_with("fedcba"), "the guest's own stays");
    host.v(&[&name, "start"]).ok();
    let (code, text) = with_ssh(&host, &[&name, "import", "--again", &source]);
    assert!(code != 0 && text.contains("stop it with"), "{text}");
    host.v(&[&name, "stop"]).ok();
    let (code, text) = with_ssh(&host, &["other", "import", "ssh://localhost/"]);
    assert!(code != 0 && text.contains("this host itself"), "{text}");
    nothing_of(&host, "other");
    host.v(&["--silent", &name, "delete"]).ok();
}

fn export_and_back_is_exact() {
    let host = Fixture::new();
    let guest = host.guest();
    tree::write(&guest.root, "srv/su", "#!", 0o6755);
    chown(guest.root.join("srv/su"), Some(3_000_000), Some(3_000_001)).unwrap();
    fs::set_permissions(guest.root.join("srv/su"), PermissionsExt::from_mode(0o6755)).unwrap();
    fs::hard_link(guest.root.join("srv/su"), guest.root.join("srv/same")).unwrap();
    tree::write(&guest.root, &format!("srv/{}/{}", "a".repeat(200), "b".repeat(200)), "long", 0o600);
    fs::File::create(guest.root.join("srv/hole")).unwrap().set_len(1 << 30).unwrap();
    let dir = host.scratch("export");
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    for end in ["", ".gz", ".zst", ".xz", ".bz2"] {
        let (name, xid) = host.fresh();
        let (one, two) = (file(&format!("one.tar{end}")), file(&format!("two.tar{end}")));
        host.v(&[&guest.name, "export", &one]).ok();
        host.v(&[&name, "import", "--as-is", "--context", &xid.to_string(), &one]).ok();
        host.v(&[&name, "export", &two]).ok();
        assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap(), "{end}: the second archive differs");
        host.v(&["--silent", &name, "delete"]).ok();
    }
    let missing = host.v(&[&guest.name, "export", "/no/such/dir/x.tar"]);
    missing.exits(1).says("/no/such/dir");
    assert!(fs::read_dir(&dir).unwrap().all(|entry| !entry.unwrap().file_name().to_string_lossy().starts_with('.')));
}

fn every_hostile_trick_leaves_nothing() {
    let host = Fixture::new();
    let canary = host.scratch("canary");
    fs::write(canary.join("file"), "host").unwrap();
    let tricks = corpus::tricks::tricks(canary.to_str().unwrap());
    assert!(tricks.len() >= 40, "{}", tricks.len());
    let (name, xid) = host.fresh();
    let context = xid.to_string();
    for trick in tricks {
        let words = [name.as_str(), "import", "--as-is", "--context", &context, "-"];
        let ran = host.tool_with_input("vserver", &words, &trick.bytes);
        if trick.fate == corpus::tricks::Fate::Refused {
            assert!(ran.code == 1, "{}: {}", trick.name, ran.err);
            nothing_of(&host, &name);
        } else {
            assert!(ran.code == 0, "{}: {}", trick.name, ran.err);
            host.v(&["--silent", &name, "delete"]).ok();
        }
        assert_eq!(fs::read(canary.join("file")).unwrap(), b"host", "{}", trick.name);
        assert_eq!(fs::read_dir(&canary).unwrap().count(), 1, "{}", trick.name);
        assert_eq!(canary.metadata().unwrap().mode() & 0o7777, 0o755, "{}", trick.name);
    }
}

fn what_cannot_be_imported() {
    let host = Fixture::new();
    let (name, _) = host.fresh();
    let root = made(&host);
    let refused = |words: &[&str], says: &str| {
        let ran = host.v(&[&[name.as_str(), "import"], words].concat());
        ran.exits(1).says(says);
        assert_eq!(ran.err.trim_end().lines().count(), 1, "{}", ran.err);
        nothing_of(&host, &name);
    };
    refused(&["/"], "this host itself");
    refused(&["/no/such.tar"], "/no/such.tar");
    refused(&["--below", "../x", root.to_str().unwrap()], "--below");
    refused(&["ssh://-oProxyCommand=x/"], "ssh://[USER@]HOST");
    let there = host.guest();
    there.v(&["import", "--again", root.to_str().unwrap()]).exits(1).says("only one from ssh://");
    there.v(&["import", root.to_str().unwrap()]).exits(1).says("exist already");
    let two = host.scratch("two");
    machine(&two.join("web"));
    refused(&[two.to_str().unwrap()], "its root is in the directory 'web'; say so with --below web");
    machine(&two.join("db"));
    refused(&[two.to_str().unwrap()], "it has 2 roots, 'db', 'web'");
    let empty = host.scratch("empty");
    refused(&[empty.to_str().unwrap()], "there is no root of a system in it");
    let own = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    if own.trim().len() == 32 {
        tree::write(&root, "etc/machine-id", &own, 0o444);
        refused(&[root.to_str().unwrap()], "--this-host");
    }
    let key = host.scratch("keys").join("key");
    fs::write(&key, "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
    refused(&["--ssh-key", key.to_str().unwrap(), root.to_str().unwrap()], ".pub");
    let (other, xid) = host.fresh();
    host.v(&[&other, "import", "--context", &xid.to_string(), "--below", "web", two.to_str().unwrap()]).ok();
    check_guest(&host.trees().join(&other));
    host.v(&["--silent", &other, "delete"]).ok();
}

/// The files of each init, not the inits themselves: those are started by the tests of distributions.
fn systemd_upstart_and_openrc_are_tamed() {
    let host = Fixture::new();
    let base = host.scratch("inits");
    tamed(&host, &base.join("systemd"), systemd, "Rocky Linux 9.4, init: systemd", |tree, told| {
        assert!(told.contains("8081/tcp nginx") && told.contains("9090/tcp cockpit.socket"), "{told}");
        let masked = |unit: &str| fs::read_link(tree.join("etc/systemd/system").join(unit)).unwrap_or_default();
        assert_eq!(masked("NetworkManager.service"), Path::new("/dev/null"));
        assert_eq!(masked("systemd-udevd.service"), Path::new("/dev/null"));
        assert!(masked("getty.target.wants/getty@tty1.service").as_os_str().is_empty());
        let ifcfg = fs::read_to_string(tree.join("etc/sysconfig/network-scripts/ifcfg-eth0")).unwrap();
        assert!(ifcfg.contains("ONBOOT=no"));
    });
    tamed(&host, &base.join("upstart"), upstart, "init: upstart", |tree, told| {
        assert!(told.contains("22/tcp ssh"), "{told}");
        for job in ["tty1", "hwclock", "network-interface"] {
            assert_eq!(fs::read_to_string(tree.join(format!("etc/init/{job}.override"))).unwrap(), "manual\n");
        }
        assert!(!tree.join("etc/init/ssh.override").exists());
    });
    tamed(&host, &base.join("openrc"), openrc, "init: OpenRC", |tree, told| {
        assert!(told.contains("22/tcp sshd"), "{told}");
        let is_there = |link: &str| tree.join("etc/runlevels").join(link).symlink_metadata().is_ok();
        assert!(!is_there("sysinit/hwdrivers") && !is_there("boot/hwclock"));
        assert!(is_there("boot/hostname") && is_there("default/sshd"));
    });
}

/// Makes the tree of a machine, imports it, and hands over what became of it and what was told.
fn tamed(host: &Fixture, root: &Path, make: fn(&Path), says: &str, check: impl Fn(&Path, &str)) {
    make(root);
    let (name, xid) = host.fresh();
    let ran = host.v(&[&name, "import", "--context", &xid.to_string(), root.to_str().unwrap()]);
    ran.ok().says(says);
    check(&host.trees().join(&name), &ran.out);
    host.v(&["--silent", &name, "delete"]).ok();
}

fn systemd(root: &Path) {
    let nginx = "server {\n listen 8081;\n}\n";
    let files = [
        ("usr/lib/systemd/systemd", "#!"),
        ("usr/lib/systemd/system/NetworkManager.service", "[Unit]\n"),
        ("usr/lib/systemd/system/cockpit.socket", "[Socket]\nListenStream=9090\n"),
        ("etc/os-release", "ID=rocky\nPRETTY_NAME=\"Rocky Linux 9.4\"\n"),
        ("etc/sysconfig/network-scripts/ifcfg-eth0", "DEVICE=eth0\nONBOOT=yes\n"),
        ("etc/nginx/conf.d/a.conf", nginx),
        ("etc/hostname", "rocky\n"),
    ];
    for (name, content) in files {
        tree::write(root, name, content, 0o755);
    }
    let wanted = ["multi-user.target.wants/nginx.service", "sockets.target.wants/cockpit.socket"];
    for link in wanted.iter().chain(&["getty.target.wants/getty@tty1.service"]) {
        let link = root.join("etc/systemd/system").join(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink("/usr/lib/systemd/system/x", link).unwrap();
    }
    fs::create_dir_all(root.join("usr/sbin")).unwrap();
    symlink("usr/sbin", root.join("sbin")).unwrap();
    symlink("../lib/systemd/systemd", root.join("usr/sbin/init")).unwrap();
}

fn upstart(root: &Path) {
    tree::busybox(root);
    fs::remove_file(root.join("sbin/init")).unwrap();
    fs::copy(root.join("bin/busybox"), root.join("sbin/init")).unwrap();
    for job in ["rc-sysinit", "tty1", "hwclock", "ssh", "network-interface"] {
        tree::write(root, &format!("etc/init/{job}.conf"), "exec x\n", 0o644);
    }
}

fn openrc(root: &Path) {
    tree::busybox(root);
    tree::write(root, "sbin/openrc", "#!", 0o755);
    tree::write(root, "etc/alpine-release", "3.20.0\n", 0o644);
    for (level, service) in [("sysinit", "hwdrivers"), ("boot", "hwclock"), ("boot", "hostname"), ("default", "sshd")]
    {
        fs::create_dir_all(root.join("etc/runlevels").join(level)).unwrap();
        symlink("/etc/init.d/x", root.join("etc/runlevels").join(level).join(service)).unwrap();
    }
}

fn a_password_and_a_key_let_in() {
    let host = Fixture::new();
    let root = made(&host);
    tree::write(&root, "etc/shadow", "root:*:1:0:99999:7:::\nada:!:1:0:99999:7:::\n", 0o640);
    let dir = host.scratch("keys");
    fs::write(dir.join("password"), "correct horse\n").unwrap();
    fs::write(dir.join("key.pub"), "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ admin@host\n").unwrap();
    let (password, key) = (dir.join("password"), dir.join("key.pub"));
    let (name, xid) = host.fresh();
    let options = ["--root-password-file", password.to_str().unwrap(), "--ssh-key", key.to_str().unwrap()];
    let context = xid.to_string();
    let words = [&[name.as_str(), "import", "--context", &context], &options[..], &[root.to_str().unwrap()]].concat();
    host.v(&words).ok();
    let tree = host.trees().join(&name);
    let shadow = fs::read_to_string(tree.join("etc/shadow")).unwrap();
    assert!(shadow.starts_with("root:$6$") && shadow.contains("\nada:!:1:"), "{shadow}");
    assert_eq!(tree.join("etc/shadow").metadata().unwrap().mode() & 0o7777, 0o640);
    let keys = tree.join("root/.ssh/authorized_keys");
    assert!(fs::read_to_string(&keys).unwrap().starts_with("ssh-ed25519 AAAA"));
    assert_eq!(keys.metadata().unwrap().mode() & 0o7777, 0o600);
    assert_eq!(keys.parent().unwrap().metadata().unwrap().mode() & 0o7777, 0o700);
    host.v(&["--silent", &name, "delete"]).ok();
    let (other, xid) = host.fresh();
    let context = xid.to_string();
    let built = [&[other.as_str(), "build", "-m", "skeleton", "--context", &context], &options[2..]].concat();
    host.v(&built).ok();
    assert!(host.trees().join(&other).join("root/.ssh/authorized_keys").exists());
    host.v(&["--silent", &other, "delete"]).ok();
}
