//! Disks of guests' own: made with the guest, as large as was said, growing under it, copied, renamed and removed with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::fixture::{Fixture, Ran, eventually};
use crate::needs::Need;
use crate::trial::Trial;
use crate::{leak, tree};

/// All of them.
pub fn tests() -> Vec<Trial> {
    let (xfs, ext4) = (|| Need::Tool("mkfs.xfs"), || Need::Tool("mkfs.ext4"));
    vec![
        Trial::new("disk::build_gives_a_disk_of_its_own", build_gives_a_disk_of_its_own).needs(ext4()),
        Trial::new("disk::a_disk_grows_under_its_guest", a_disk_grows_under_its_guest).needs(xfs()),
        Trial::new("disk::a_disk_that_is_too_small_is_said_to_be", a_disk_that_is_too_small_is_said_to_be)
            .needs(ext4()),
        Trial::new("disk::an_interrupted_build_leaves_no_disk", an_interrupted_build_leaves_no_disk)
            .needs(ext4())
            .within(900),
        Trial::new("disk::a_full_host_is_told", a_full_host_is_told).needs(ext4()),
        Trial::new("disk::a_limit_that_cannot_hold_offers_a_disk", a_limit_that_cannot_hold_offers_a_disk),
        Trial::new("disk::a_copy_has_a_disk_of_its_own", a_copy_has_a_disk_of_its_own).needs(ext4()),
        Trial::new("disk::a_disk_is_renamed_with_its_guest", a_disk_is_renamed_with_its_guest).needs(ext4()),
        Trial::new("disk::debian_on_a_disk_of_its_own", debian_on_a_disk_of_its_own)
            .needs(ext4())
            .needs(Need::Tool("debootstrap"))
            .within(1200)
            .on_host_network(),
        Trial::new("disk::a_disk_of_another_name_stays", a_disk_of_another_name_stays).needs(ext4()),
    ]
}

/// A template of busybox and some MiB of files.
fn tarball(host: &Fixture) -> PathBuf {
    let dir = host.scratch("template");
    let root = dir.join("root");
    tree::busybox(&root);
    for n in 0..100 {
        tree::write(&root, &format!("usr/share/many/{n}"), &"text ".repeat(8000), 0o644);
    }
    let file = dir.join("template.tar");
    let packed = Command::new("tar").arg("-cf").arg(&file).arg("-C").arg(&root).arg(".").status().unwrap();
    assert!(packed.success());
    file
}

fn words(name: &str, xid: u32, options: &[&str], tarball: &Path) -> Vec<String> {
    let xid = xid.to_string();
    let first = [name, "build", "-m", "template", "--context", &xid, "--initstyle", "plain"];
    let last = ["--", "-t", tarball.to_str().unwrap(), "--nodevsanity"];
    [&first[..], options, &last].concat().into_iter().map(str::to_owned).collect()
}

fn image_of(host: &Fixture, name: &str) -> PathBuf {
    host.trees().join(format!("{name}.img"))
}

/// Whether a loop device stands over an image.
fn in_use(image: &Path) -> bool {
    let found = Command::new("losetup").arg("-j").arg(image).output().unwrap();
    !found.stdout.is_empty()
}

/// KiB of the guest's root, as it sees them; and its inodes.
fn df(host: &Fixture, name: &str) -> (u64, u64) {
    let number = |flag: &str| {
        let ran = host.v(&[name, "exec", "/bin/sh", "-c", &format!("df {flag} / | tail -n 1")]);
        ran.ok().out.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (number("-k"), number("-i"))
}

fn sh(host: &Fixture, name: &str, script: &str) -> Ran {
    host.v(&[name, "exec", "/bin/sh", "-c", script])
}

#[track_caller]
fn nothing_is_left(host: &Fixture, name: &str) {
    for dir in [host.confdir(), host.trees()] {
        for entry in fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap().file_name().into_string().unwrap();
            assert!(!entry.contains(name), "{entry} is left in {}", dir.display());
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(name), "{mounts}");
}

fn build_gives_a_disk_of_its_own() {
    let host = Fixture::new();
    let tarball = tarball(&host);
    for (method, inodes) in [("template", 1500), ("skeleton", 1500)] {
        let (name, xid) = host.fresh();
        let (size, count) = ("--disk=48M", format!("--inodes={inodes}"));
        match method {
            "template" => host.v(&words(&name, xid, &[size, &count], &tarball)).ok(),
            _ => host.v(&[&name, "build", "-m", "skeleton", "--context", &xid.to_string(), size, &count]).ok(),
        };
        let (image, root) = (image_of(&host, &name), host.trees().join(&name));
        assert_eq!(image.metadata().unwrap().len(), 48 << 20);
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "nothing of it is seen on the host");
        let told = fs::read_to_string(host.confdir().join(&name).join("disk/image")).unwrap();
        assert_eq!(told, format!("{}\n", image.display()));
        host.v(&[&name, "check"]).ok();
        if method == "template" {
            host.v(&[&name, "start"]).ok();
            let (kib, inodes) = df(&host, &name);
            assert!((40_000..=49_152).contains(&kib), "{kib}");
            assert!((1500..1700).contains(&inodes), "{inodes}");
            sh(&host, &name, "dd if=/dev/zero of=/full bs=1M count=64").exits(1).says("No space left on device");
            sh(
                &host,
                &name,
                "rm /full; mkdir /many; i=0; while [ $i -lt 1700 ]; do : >/many/$i || exit 3; i=$((i+1)); done",
            )
            .says("No space left on device");
            sh(&host, &name, "cat /usr/share/many/99 | head -c 9").ok().says("text text");
            host.v(&[&name, "stop"]).ok();
        }
        host.v(&["--silent", &name, "delete"]).ok();
        nothing_is_left(&host, &name);
    }
}

/// debootstrap makes device nodes, mounts things and runs programs in the tree: also on a disk.
fn debian_on_a_disk_of_its_own() {
    let host = Fixture::new();
    let (name, xid) = host.fresh();
    let tarball = std::env::var("VSERVER_TEST_DEBIAN").unwrap_or_default();
    let method: &[&str] = match tarball.as_str() {
        "" => &["-m", "debootstrap", "--", "-d", "bookworm", "--", "--variant=minbase"],
        // The VM has no network.
        tarball => &["-m", "template", "--", "-t", tarball],
    };
    let context = xid.to_string();
    let first = [&name, "build", "--context", &context, "--disk", "1G", "--initstyle", "plain"];
    host.v(&[&first[..], method].concat()).ok();
    assert_eq!(fs::read_dir(host.trees().join(&name)).unwrap().count(), 0);
    fs::write(host.confdir().join(&name).join("apps/init/cmd.start"), "/bin/sleep\n86400\n").unwrap();
    host.v(&[&name, "start"]).ok();
    sh(&host, &name, "grep ^12 /etc/debian_version && dpkg --audit && test -c /dev/null && dpkg-query -W dpkg").ok();
    assert!((900 << 10..=1 << 20).contains(&df(&host, &name).0));
    host.v(&[&name, "stop"]).ok();
    host.v(&["--silent", &name, "delete"]).ok();
    nothing_is_left(&host, &name);
}

/// An ext4 grows under a guest where root may let it, an xfs everywhere; the one that can is chosen.
fn a_disk_grows_under_its_guest() {
    let host = Fixture::new();
    let tarball = tarball(&host);
    let (name, xid) = host.fresh();
    host.v(&words(&name, xid, &["--disk", "320M"], &tarball)).ok();
    let root = host.trees().join(&name);
    let grow = |kib: u64| {
        let set = format!("space_total={kib}");
        host.tool("vdlimit", &["--xid", &name, "--set", &set, root.to_str().unwrap()])
    };
    host.v(&[&name, "start"]).ok();
    let before = df(&host, &name).0;
    assert!((200 << 10..=320 << 10).contains(&before), "{before}");
    sh(&host, &name, "dd if=/dev/zero of=/full bs=1M count=400").exits(1).says("No space left on device");
    grow(512 << 10).ok();
    let after = df(&host, &name).0;
    assert!(after >= before + (180 << 10), "{before} and then {after}");
    assert_eq!(image_of(&host, &name).metadata().unwrap().len(), 512 << 20);
    sh(&host, &name, "dd if=/dev/zero of=/full bs=1M count=400").ok();
    let shown = host.tool("vdlimit", &["--xid", &name, root.to_str().unwrap()]).ok().out.clone();
    assert!(shown.contains(&format!("\nspace_total={after}\n")), "{shown}");
    grow(400 << 10).exits(1).says("only grows");
    host.v(&[&name, "stop"]).ok();
    // At rest, too.
    grow(600 << 10).ok();
    host.v(&[&name, "start"]).ok();
    assert!(df(&host, &name).0 > after);
    sh(&host, &name, "ls -l /full").ok().says("419430400");
    host.v(&[&name, "stop"]).ok();
}

fn a_disk_that_is_too_small_is_said_to_be() {
    let host = Fixture::new();
    let tarball = tarball(&host);
    let (name, xid) = host.fresh();
    for (options, text) in [
        (&["--disk", "1M"][..], "16777216 (16 MiB) are the least for ext4"),
        (&["--disk", "x"], "--disk: 'x' is not a valid size"),
        (&["--disk", "16M", "--inodes", "64"], "the guest does not fit its disk of 16 MiB"),
        (&["--disk", "16M", "--i-know-its-there"], "cannot be put on a disk of its own"),
    ] {
        host.v(&words(&name, xid, options, &tarball)).exits(1).says(text);
        nothing_is_left(&host, &name);
    }
    fs::write(image_of(&host, &name), "mine").unwrap();
    host.v(&words(&name, xid, &["--disk", "32M"], &tarball)).exits(1).says(&format!("{name}.img"));
    assert_eq!(fs::read_to_string(image_of(&host, &name)).unwrap(), "mine");
    assert!(!host.confdir().join(&name).exists() && !host.trees().join(&name).exists());
    // With --force it is moved aside.
    host.v(&words(&name, xid, &["--disk", "32M", "--force"], &tarball)).ok();
    host.v(&["--silent", &name, "delete"]).ok();
}

/// At moments spread over a build, by Ctrl-C and by SIGKILL; after the latter the next build clears away.
fn an_interrupted_build_leaves_no_disk() {
    let host = Fixture::new();
    let tarball = tarball(&host);
    let (name, xid) = host.fresh();
    let build = || {
        use std::os::unix::process::CommandExt;
        let mut command = host.command("vserver");
        command.args(words(&name, xid, &["--disk", "64M"], &tarball)).process_group(0);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let begun = Instant::now();
    assert!(build().status().unwrap().success());
    let usual = begun.elapsed();
    host.v(&["--silent", &name, "delete"]).ok();
    for moment in 0..16 {
        let mut child = build().spawn().unwrap();
        std::thread::sleep(usual * moment / 13);
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let hard = moment % 4 == 3;
        if child.try_wait().unwrap().is_none() {
            let done = if hard { kill(pid, Signal::SIGKILL) } else { killpg(pid, Signal::SIGINT) };
            done.unwrap();
        }
        child.wait().unwrap();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&name), "{mounts}");
        if hard && !host.confdir().join(&name).exists() {
            eventually("mkfs has ended", Duration::from_secs(10), || leak::descendants().is_empty());
            host.v(&words(&name, xid, &["--disk", "64M", "--force"], &tarball)).ok();
        }
        if host.confdir().join(&name).exists() {
            host.v(&["--silent", &name, "delete"]).ok();
        }
        for entry in fs::read_dir(host.trees()).unwrap().flatten() {
            let path = entry.path();
            // What stood at a place of its own, before the configuration was written and after a SIGKILL, was set aside.
            assert!(hard && path.to_string_lossy().ends_with('~'), "moment {moment} left {}", path.display());
            if path.is_dir() { fs::remove_dir(&path) } else { fs::remove_file(&path) }.unwrap();
        }
    }
}

/// What the image had no room for on the host shows late; the build must notice.
fn a_full_host_is_told() {
    let host = Fixture::new();
    let tarball = tarball(&host);
    let (name, xid) = host.fresh();
    let place = host.scratch("small");
    nix::mount::mount(Some("none"), &place, Some("tmpfs"), nix::mount::MsFlags::empty(), Some("size=4m")).unwrap();
    let options = ["--disk", "64M", "--rootdir", place.to_str().unwrap()];
    host.v(&words(&name, xid, &options, &tarball)).exits(1).says("is full").says(place.to_str().unwrap());
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    assert!(!host.confdir().join(&name).exists());
    eventually("the loop device goes", Duration::from_secs(5), || nix::mount::umount(&place).is_ok());
}

fn a_limit_that_cannot_hold_offers_a_disk() {
    let host = Fixture::new();
    let tarball = tarball(&host);
    let (name, xid) = host.fresh();
    let place = host.scratch("shared");
    nix::mount::mount(Some("none"), &place, Some("tmpfs"), nix::mount::MsFlags::empty(), Some("size=64m")).unwrap();
    for options in [&["--space", "1G"][..], &["--inodes", "5000"]] {
        let options = [options, &["--rootdir", place.to_str().unwrap()]].concat();
        let ran = host.v(&words(&name, xid, &options, &tarball));
        ran.exits(1).says("has neither tags nor limits").says("--disk SIZE");
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        nothing_is_left(&host, &name);
    }
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    nix::mount::umount(&place).unwrap();
}

fn a_copy_has_a_disk_of_its_own() {
    let host = Fixture::new();
    let tarball = tarball(&host);
    let ((name, xid), (new, other)) = (host.fresh(), host.fresh());
    host.v(&words(&name, xid, &["--disk", "48M", "--inodes", "2000"], &tarball)).ok();
    host.v(&[&name, "start"]).ok();
    sh(&host, &name, "echo first >/mark; ln /mark /other; chown 33:34 /mark").ok();
    let sizes = df(&host, &name);
    host.v(&[&name, "stop"]).ok();
    host.v(&[&name, "copy", &new, "--context", &other.to_string(), "--hostname", "second.test"]).ok();
    let images = [image_of(&host, &name), image_of(&host, &new)];
    assert_eq!(images[1].metadata().unwrap().len(), 48 << 20);
    let told = fs::read_to_string(host.confdir().join(&new).join("disk/image")).unwrap();
    assert_eq!(told, format!("{}\n", images[1].display()));
    // Both at once, each with what is its own.
    for guest in [&name, &new] {
        host.v(&[guest, "start"]).ok();
    }
    assert_eq!(df(&host, &new), sizes);
    sh(&host, &new, "cat /other; stat -c %u:%g:%h /mark").ok().says("first\n33:34:2\n");
    sh(&host, &new, "echo second >/mark").ok();
    sh(&host, &name, "cat /mark").ok().says("first");
    for guest in [&name, &new] {
        host.v(&[guest, "stop"]).ok();
    }
    host.v(&["--silent", &new, "delete"]).ok();
    assert!(images[0].exists() && !images[1].exists());
    // A failure leaves nothing: the name of the new disk is taken.
    fs::write(&images[1], "mine").unwrap();
    host.v(&[&name, "copy", &new]).exits(1).says(&format!("{new}.img"));
    assert_eq!(fs::read_to_string(&images[1]).unwrap(), "mine");
    assert!(!host.confdir().join(&new).exists() && !host.trees().join(&new).exists());
}

fn a_disk_is_renamed_with_its_guest() {
    let host = Fixture::new();
    let tarball = tarball(&host);
    let ((name, xid), (new, _)) = (host.fresh(), host.fresh());
    host.v(&words(&name, xid, &["--disk", "32M"], &tarball)).ok();
    host.v(&[&name, "rename", &new]).ok();
    let image = image_of(&host, &new);
    assert!(image.exists() && !image_of(&host, &name).exists());
    let told = fs::read_to_string(host.confdir().join(&new).join("disk/image")).unwrap();
    assert_eq!(told, format!("{}\n", image.display()));
    host.v(&[&new, "start"]).ok();
    sh(&host, &new, "ls /usr/share/many/99").ok();
    host.v(&[&new, "stop"]).ok();
    host.v(&["--silent", &new, "delete"]).ok();
    nothing_is_left(&host, &new);
}

fn a_disk_of_another_name_stays() {
    let host = Fixture::new();
    let tarball = tarball(&host);
    let (name, xid) = host.fresh();
    host.v(&words(&name, xid, &["--disk", "32M"], &tarball)).ok();
    let mine = host.scratch("mine").join("disk.img");
    fs::rename(image_of(&host, &name), &mine).unwrap();
    host.v(&[&name, "config", "--set", &format!("disk/image={}", mine.display())]).ok();
    host.v(&[&name, "start"]).ok();
    host.v(&[&name, "stop"]).ok();
    let mut delete = host.command("vserver");
    let mut child = delete.args([&name, "delete"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"y\n").unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success());
    assert!(String::from_utf8_lossy(&done.stderr).contains("stays, because it is not called"));
    assert!(mine.exists() && !host.confdir().join(&name).exists());
    eventually("the loop device goes", Duration::from_secs(5), || !in_use(&mine));
}
