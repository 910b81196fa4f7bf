//! vmount and secure-mount: into guests that run, and below a directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::fixture::Fixture;
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    vec![
        Trial::new("vmount::into_running_guests", into_running_guests).smoke(),
        Trial::new("vmount::what_cannot_be_is_told", what_cannot_be_is_told),
        Trial::new("vmount::all_of_the_fstab", all_of_the_fstab),
        Trial::new("vmount::a_disk_by_the_mount_program", a_disk_by_the_mount_program).needs(Need::Tool("mkfs.ext4")),
        Trial::new("vmount::no_link_leads_out", no_link_leads_out),
        Trial::new("secure_mount::below_the_working_directory", below_the_working_directory),
    ]
}

fn into_running_guests() {
    let host = Fixture::new();
    let (guest, other) = (host.guest(), host.guest());
    let pictures = host.scratch("pictures");
    fs::write(pictures.join("one"), "first").unwrap();
    fs::write(host.scratch("files").join("conf"), "setting").unwrap();
    let (pictures_text, conf) =
        (pictures.display().to_string(), host.scratch("files").join("conf").display().to_string());
    fs::write(guest.root.join("etc/mtab"), "").unwrap();
    guest.start();
    other.start();
    let both = [guest.name.as_str(), other.name.as_str(), "--", "--bind", &pictures_text, "/srv/new/pictures"];
    host.tool("vmount", &both).ok();
    for guest in [&guest, &other] {
        guest.sh("cat /srv/new/pictures/one").ok().says("first");
        // Its root owns what root owns on the host.
        guest
            .sh("stat -c %u:%g /srv/new/pictures/one /srv/new && echo second >/srv/new/pictures/two")
            .ok()
            .says("0:0\n0:0\n");
    }
    assert_eq!(fs::read_to_string(pictures.join("two")).unwrap(), "second\n");
    assert_eq!(fs::read_dir(guest.root.join("srv/new/pictures")).unwrap().count(), 0, "the host does not see it");
    guest.sh("cat /etc/mtab").ok().says(&format!("{pictures_text} /srv/new/pictures none bind 0 0"));
    let name = guest.name.as_str();
    // Read-only, a file, and in memory.
    host.tool("vmount", &[name, "--", "-n", "--bind", "-o", "ro,nosuid", &pictures_text, "/mnt/ro"]).ok();
    guest.sh("echo x >/mnt/ro/x").exits(1).says("Read-only file system");
    host.tool("vmount", &[name, "--", "--bind", &conf, "/etc/app/conf"]).ok();
    guest.sh("cat /etc/app/conf").ok().says("setting");
    host.tool("vmount", &[name, "--", "-t", "tmpfs", "-o", "size=1m,mode=1777", "none", "/mnt/memory"]).ok();
    guest.sh("df -k /mnt/memory | tail -n 1; echo mine >/mnt/memory/x; stat -c %u /mnt/memory/x").ok().says(" 1024 ");
    // Device nodes have no effect on anything.
    assert!(Command::new("mknod").arg(pictures.join("null")).args(["c", "1", "3"]).status().unwrap().success());
    guest.sh("echo x >/srv/new/pictures/null").exits(1).says("denied");
    guest.stop();
    other.stop();
}

fn what_cannot_be_is_told() {
    let host = Fixture::new();
    let (guest, stopped) = (host.guest(), host.guest());
    guest.start();
    let name = guest.name.as_str();
    host.tool("vmount", &[name, "--", "--bind", "relative", "/mnt"]).exits(1).says("not an absolute path");
    host.tool("vmount", &[name, "--", "--bind", "/nowhere/at/all", "/mnt"])
        .exits(1)
        .says("No such file or directory");
    host.tool("vmount", &[name, "--", "--bind", "/tmp"]).exits(1).says("a source and a place");
    host.tool("vmount", &[name, "--", "--bind", "/tmp", "/"]).exits(1).says("stays what it is");
    host.tool("vmount", &[name, "--", "--bind", "/tmp", "/proc"]).exits(1).says("its own there already");
    host.tool("vmount", &[name, "--", "-t", "proc", "none", "/mnt"]).exits(1).says("shows the host");
    host.tool("vmount", &["--", "--bind", "/tmp", "/mnt"]).exits(1);
    // The others get it all the same.
    let words = [&stopped.name, "nobody-at-all", name, "--", "-t", "tmpfs", "none", "/mnt/x"];
    let ran = host.tool("vmount", &words);
    ran.exits(1).says(&format!("guest '{}' does not run", stopped.name)).says("nobody-at-all");
    guest.sh("grep ' /mnt/x tmpfs' /proc/mounts").ok();
}

fn all_of_the_fstab() {
    let host = Fixture::new();
    let guest = host.guest();
    let line = |place: &str| format!("none {place} tmpfs size=1m 0 0\n");
    guest.set("fstab", &line("/mnt/one")).start();
    guest.set("fstab", &(line("/mnt/one") + &line("/mnt/two")));
    host.tool("vmount", &[&guest.name, "--", "-a"]).ok();
    let count =
        |place: &str| guest.sh(&format!("grep -c ' {place} tmpfs' /proc/mounts")).out.trim().parse::<u32>().unwrap();
    assert_eq!((count("/mnt/one"), count("/mnt/two")), (1, 1));
}

fn a_disk_by_the_mount_program() {
    let host = Fixture::new();
    let guest = host.guest();
    let image = host.scratch("images").join("data.img");
    fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
    assert!(Command::new("mkfs.ext4").args(["-q"]).arg(&image).status().unwrap().success());
    guest.start();
    let image = image.display().to_string();
    host.tool("vmount", &[&guest.name, "--", "-t", "ext4", "-o", "loop", &image, "/data"]).ok();
    guest.sh("echo mine >/data/x && stat -c %u /data/x && grep ' /data ext4' /proc/mounts").ok().says("0\n");
    guest.stop();
    let gone = || Command::new("losetup").args(["-j", &image]).output().unwrap().stdout.is_empty();
    crate::fixture::eventually("the disk goes with the guest", std::time::Duration::from_secs(5), gone);
}

fn no_link_leads_out() {
    let host = Fixture::new();
    let guest = host.guest();
    let outside = host.scratch("outside");
    symlink("../../../../../../../..", guest.root.join("up")).unwrap();
    symlink("/run", guest.root.join("link")).unwrap();
    guest.start();
    let up = format!("/up{}", outside.display());
    host.tool("vmount", &[&guest.name, "--", "-t", "tmpfs", "none", &up]).exits(1);
    host.tool("vmount", &[&guest.name, "--", "-t", "tmpfs", "none", "/../../x"]).exits(1);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(outside.to_str().unwrap()), "{mounts}");
    // A link inside is followed as inside.
    host.tool("vmount", &[&guest.name, "--", "-t", "tmpfs", "none", "/link/there"]).ok();
    guest.sh("grep ' /run/there tmpfs' /proc/mounts").ok();
}

fn below_the_working_directory() {
    let host = Fixture::new();
    let (root, outside, data) = (host.scratch("root"), host.scratch("outside"), host.scratch("data"));
    fs::create_dir(root.join("etc")).unwrap();
    fs::write(root.join("etc/mtab"), "").unwrap();
    symlink(&outside, root.join("out")).unwrap();
    symlink("/inside", root.join("in")).unwrap();
    fs::create_dir(root.join("inside")).unwrap();
    let script = |line: &str| {
        let tool = host.command("secure-mount");
        let program = tool.get_program().to_str().unwrap().to_owned();
        let line = line.replace("secure-mount", &program).replace("DATA", data.to_str().unwrap());
        let mut command = Command::new("sh");
        // A mount namespace for each, so that nothing stays.
        let done =
            command.args(["-c", &format!("exec unshare -m sh -c '{line}'")]).current_dir(&root).output().unwrap();
        let text = [done.stdout, done.stderr].concat();
        (done.status.code().unwrap(), String::from_utf8(text).unwrap())
    };
    fs::write(data.join("x"), "text").unwrap();
    let (code, text) = script("secure-mount --chroot --bind DATA /in/place && cat inside/place/x && cat etc/mtab");
    assert_eq!((code, text.as_str()), (0, &*format!("text{} /in/place none bind 0 0\n", data.display())));
    let (code, text) = script("secure-mount --chroot -n --bind DATA /out");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("cannot mount on"), "{text}");
    assert_eq!(script("secure-mount one"), (1, "Invalid <src> <dst> pair specified\n".to_owned()));
    fs::write(
        root.join("tab"),
        "none /inside tmpfs size=1m 0 0\nnone /no bogus defaults 0 0\nnone /later tmpfs noauto 0 0\n",
    )
    .unwrap();
    let (code, text) = script("secure-mount -n --chroot --fstab tab -a; echo $?; grep -c inside /proc/mounts; ls");
    assert!(code == 0 && text.contains("tab:2:1: failed to mount fstab-entry") && text.contains("1\n1\n"), "{text}");
    assert!(!text.contains("later"), "{text}");
    // Another program than mount.
    let (_, text) = script("MOUNT=/bin/echo secure-mount --chroot -n -t nfs -o ro server:/x /inside");
    // Its own option is the first word that echo is given.
    assert_eq!(text, "-t nfs -o nodev,ro -- server:/x .");
}
