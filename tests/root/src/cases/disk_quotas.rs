//! Quotas of users inside a guest with a disk of its own (ccapability `quota_ctl`).

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::disk::{Mounted, host_runs, image};
use crate::fixture::{Fixture, Guest};
use crate::needs::Need;
use crate::security::bench::{self, BOTH, Mode};
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    let ext4 = || Need::Tool("mkfs.ext4");
    vec![
        Trial::new("disk::quotas_of_users_inside", quotas_of_users_inside).needs(Need::Quotas).within(600),
        Trial::new("disk::quotas_of_users_inside_an_xfs", quotas_of_users_inside_an_xfs)
            .needs(Need::Quotas)
            .needs(Need::Tool("mkfs.xfs"))
            .within(600),
        Trial::new("disk::quotas_are_for_nobody_else", quotas_are_for_nobody_else).needs(Need::Quotas).within(600),
        Trial::new("disk::debians_tools_for_quotas", debians_tools_for_quotas)
            .needs(Need::Quotas)
            .needs(Need::Tool("repquota"))
            .within(600),
        Trial::new("disk::quotas_need_a_disk_of_its_own", quotas_need_a_disk_of_its_own),
        Trial::new("disk::quotas_that_the_kernel_lacks", quotas_that_the_kernel_lacks)
            .needs(ext4())
            .needs(Need::NoQuotas),
    ]
}

/// Its tree on an image of its own, and the ccapability.
fn with_disk<'h>(host: &'h Fixture, mode: Mode, kind: &str) -> Guest<'h> {
    let guest = bench::guest(host, mode);
    symlink("/proc/self/mounts", guest.root.join("etc/mtab")).unwrap();
    let made = image(host, kind, if kind == "xfs" { 320 } else { 48 }, &[]);
    let image = made.with_file_name(format!("{}.img", guest.name));
    fs::rename(made, &image).unwrap();
    on_disk(host, &guest, &image);
    guest.set("ccapabilities", "quota_ctl\n");
    guest
}

fn on_disk(host: &Fixture, guest: &Guest<'_>, image: &std::path::Path) {
    let place = host.scratch("disk");
    {
        let _mounted = Mounted::new(image, &place);
        host_runs("cp", &["-a", &format!("{}/.", guest.root.display()), place.to_str().unwrap()]);
    }
    fs::remove_dir_all(&guest.root).unwrap();
    fs::create_dir(&guest.root).unwrap();
    guest.set("disk/image", &format!("{}\n", image.display()));
}

/// What the guest's table of mounts names as the device of its root.
fn device(guest: &Guest<'_>) -> String {
    guest.sh("grep ' / ' /proc/self/mounts | tail -n 1 | cut -d ' ' -f 1").ok().out.trim().to_owned()
}

/// What the probe says, as root or as ada (1000).
fn quota(guest: &Guest<'_>, user: &str, words: &str) -> String {
    let script = match user {
        "root" => format!("/probe quota {words}"),
        user => format!("su {user} -c '/probe quota {words}'"),
    };
    guest.sh(&script).ok().out.trim().to_owned()
}

#[track_caller]
fn answers(guest: &Guest<'_>, user: &str, rows: &[(&str, &str)]) {
    for (words, answer) in rows {
        assert_eq!(quota(guest, user, words), *answer, "{user}: {words}");
    }
}

/// A limit that is set inside holds inside; who may ask and set is as on a host.
fn quotas_of_users_inside() {
    let host = Fixture::new();
    for mode in BOTH {
        let guest = with_disk(&host, mode, "ext4");
        users_are_held(&guest, mode);
        guest.start().sh("grep ' / ext4 .*,usrquota,grpquota' /proc/self/mounts").ok();
        // An xfs writes nothing out on demand, and says ENOSYS.
        let own = device(&guest);
        answers(&guest, "root", &[(&format!("sync {own} group 0"), "OK"), ("sync - user 0", "OK")]);
        guest.stop();
    }
}

fn quotas_of_users_inside_an_xfs() {
    let host = Fixture::new();
    users_are_held(&with_disk(&host, Mode::User, "xfs"), Mode::User);
}

fn users_are_held(guest: &Guest<'_>, mode: Mode) {
    let checked = guest.v(&["check"]).ok().out.clone();
    let line = checked.lines().find(|line| line.contains("ccapabilities quota_ctl")).unwrap();
    assert!(line.starts_with("honoured"), "{checked}");
    let started = guest.v(&["start"]).ok().err.clone();
    assert!(!started.contains("quota"), "{started}");
    let own = device(guest);
    guest.sh("mkdir /theirs && chown 1000:1000 /theirs").ok();
    answers(guest, "root", &[(&format!("set {own} user 1000 4096"), "OK")]);
    let fill = "su ada -c 'dd if=/dev/zero of=/theirs/full bs=1M count=8'";
    guest.sh(fill).exits(1).says("Disk quota exceeded");
    let found = quota(guest, "root", &format!("get {own} user 1000"));
    let (used, limit) = found.split_once(" of ").unwrap_or_else(|| panic!("{found}"));
    assert_eq!(limit, "4096");
    assert!((2048..=4096).contains(&used.parse::<u64>().unwrap()), "{found}");
    // Who asks for his own by either call.
    let group = quota(guest, "ada", &format!("get {own} group 1000"));
    assert!(group.ends_with(" of 0") && group != "0 of 0", "{group}");
    answers(
        guest,
        "ada",
        &[
            (&format!("get {own} user 1000"), &found),
            ("get @/theirs user 1000", &found),
            (&format!("get {own} user 0"), "EPERM"),
            (&format!("get {own} group 0"), "EPERM"),
            (&format!("set {own} user 1000 9999"), "EPERM"),
            (&format!("next {own} user 1"), "EPERM"),
            (&format!("off {own} user 0"), "EPERM"),
            (&format!("info {own} user 0"), "OK"),
        ],
    );
    answers(
        guest,
        "root",
        &[
            (&format!("next {own} user 1"), "1000: 4096"),
            ("get @/ user 1000", &found),
            (&format!("get {own} project 1000"), "EPERM"),
            (&format!("set {own} project 1 4096"), "EPERM"),
            (&format!("remove {own} user 0"), "EPERM"),
            (&format!("off {own} user 0"), "OK"),
        ],
    );
    guest.sh("su ada -c 'dd if=/dev/zero of=/theirs/more bs=1M count=6'").ok();
    guest.sh("rm /theirs/more").ok();
    answers(guest, "root", &[(&format!("on {own} user 0"), "OK")]);
    guest.sh(fill).exits(1).says("Disk quota exceeded");
    // The number on the disk is the one inside.
    let root = format!("/proc/{}/root/theirs/full", guest.init());
    let owner = host_runs("stat", &["-c", "%u", &root]);
    let base = if mode == Mode::Classic { 0 } else { guest.id_base() };
    assert_eq!(owner.trim().parse::<i64>().unwrap(), base + 1000);
    guest.stop();
    // It outlives the guest's run, and holds while it is known.
    guest.start();
    let own = device(guest);
    guest.sh(fill).exits(1).says("Disk quota exceeded");
    assert!(quota(guest, "root", &format!("get {own} user 1000")).ends_with(" of 4096"));
    guest.stop();
}

/// Neither a device of another guest's nor what else is mounted inside, and no guest without the word.
fn quotas_are_for_nobody_else() {
    let host = Fixture::new();
    let (one, two) = (with_disk(&host, Mode::User, "ext4"), with_disk(&host, Mode::User, "ext4"));
    let shared = host.scratch("shared");
    one.set("fstab", &format!("{} /shared none bind 0 0\n", shared.display()));
    one.v(&["start"]).ok();
    two.v(&["start"]).ok();
    let (own, other) = (device(&one), device(&two));
    answers(&two, "root", &[(&format!("set {other} user 1000 4096"), "OK")]);
    answers(
        &one,
        "root",
        &[
            (&format!("get {own} user 1000"), "0 of 0"),
            (&format!("get {other} user 1000"), "EPERM"),
            (&format!("set {other} user 1000 1"), "EPERM"),
            (&format!("get {own}0 user 1000"), "EPERM"),
            ("get /dev/loop user 1000", "EPERM"),
            ("get / user 1000", "EPERM"),
            ("get - user 1000", "EPERM"),
            ("get @/shared user 1000", "EPERM"),
            ("set @/shared user 1000 1", "EPERM"),
            ("get @/dev/null user 1000", "EPERM"),
            ("get @/proc user 1000", "EPERM"),
        ],
    );
    // The node is a name and no way in.
    one.sh(&format!("test -b {own} && ! head -c 1 {own}")).ok().says("Operation not permitted");
    assert_eq!(quota(&two, "root", &format!("get {other} user 1000")), "0 of 4096");
    two.stop();
    two.set("ccapabilities", "~quota_ctl\n");
    two.v(&["start"]).ok();
    let other = device(&two);
    let nobodys = format!("get {other} user 1000");
    answers(&two, "root", &[(&nobodys, "EPERM"), ("get @/ user 1000", "EPERM"), ("sync - user 0", "EPERM")]);
    two.sh(&format!("test ! -e {other}")).ok();
    two.stop();
    one.stop();
}

/// What an administrator inside uses: quotaon, setquota, repquota, quota.
fn debians_tools_for_quotas() {
    const TOOLS: [&str; 4] = ["/usr/sbin/setquota", "/usr/sbin/repquota", "/usr/bin/quota", "/sbin/quotaon"];
    let host = Fixture::new();
    let guest = bench::guest(&host, Mode::User);
    symlink("/proc/self/mounts", guest.root.join("etc/mtab")).unwrap();
    let libraries = Command::new("ldd").arg(TOOLS[0]).output().unwrap();
    let libraries = String::from_utf8(libraries.stdout).unwrap();
    for file in libraries.split_whitespace().filter(|word| word.starts_with('/')).chain(TOOLS) {
        let inside = guest.root.join(file.trim_start_matches('/'));
        fs::create_dir_all(inside.parent().unwrap()).unwrap();
        fs::copy(file, inside).unwrap();
    }
    on_disk(&host, &guest, &image(&host, "ext4", 96, &[]));
    guest.set("ccapabilities", "quota_ctl\n");
    guest.v(&["start"]).ok();
    guest.sh("mkdir /theirs && chown 1000:1000 /theirs").ok();
    guest.sh("setquota -u ada 2048 4096 0 0 / && setquota -g ada 0 0 0 500 /").ok();
    guest.sh("su ada -c 'dd if=/dev/zero of=/theirs/full bs=1M count=8'").exits(1).says("Disk quota exceeded");
    let report = guest.sh("repquota -u -a").ok().out.clone();
    let line = report.lines().find(|line| line.starts_with("ada ")).unwrap_or_else(|| panic!("{report}"));
    assert!(line.contains("+-") && line.contains(" 2048 ") && line.contains(" 4096 "), "{report}");
    guest.sh("repquota -g /").ok().says(" 500");
    guest.sh("su ada -c quota; true").says("4096");
    guest.sh("quotaon -p /; true").says(&format!("user quota on / ({}) is on", device(&guest)));
    guest.stop();
}

/// Said at start and by `check`; refused with --strict.
fn quotas_need_a_disk_of_its_own() {
    const REASON: &str = "files of this guest live on a file system with other guests'; build it with --disk";
    let host = Fixture::new();
    let guest = bench::guest(&host, Mode::User);
    guest.set("ccapabilities", "quota_ctl\n");
    let checked = guest.v(&["check"]).ok().out.clone();
    assert!(checked.contains(&format!("ccapabilities quota_ctl: {REASON}\n")), "{checked}");
    guest.v(&["start", "--strict"]).exits(1).says(REASON);
    guest.v(&["start"]).ok().says(REASON);
    assert_eq!(quota(&guest, "root", "get @/ user 0"), "EPERM");
    assert_eq!(quota(&guest, "root", "sync - user 0"), "EPERM");
    guest.stop();
}

/// A disk that never had any is left without; one that has is not started, with a sentence that helps.
fn quotas_that_the_kernel_lacks() {
    const REASON: &str = "this kernel has no quotas for ext4 (CONFIG_QUOTA and CONFIG_QFMT_V2)";
    let host = Fixture::new();
    let guest = with_disk(&host, Mode::User, "ext4");
    guest.v(&["check"]).ok().says(&format!("ccapabilities quota_ctl: {REASON}"));
    guest.v(&["start", "--strict"]).exits(1).says(REASON);
    guest.v(&["start"]).ok().says(REASON);
    assert_eq!(quota(&guest, "root", "get @/ user 0"), "EPERM");
    let own = device(&guest);
    guest.sh(&format!("test ! -e {own} && echo text >/file")).ok();
    guest.stop();
    let image = fs::read_to_string(guest.cfg.join("disk/image")).unwrap();
    let features = host_runs("dumpe2fs", &["-h", image.trim()]);
    assert!(!features.contains("quota"), "{features}");
    host_runs("tune2fs", &["-O", "quota", image.trim()]);
    for capabilities in ["quota_ctl\n", "~quota_ctl\n"] {
        guest.set("ccapabilities", capabilities);
        guest.v(&["start"]).exits(1).says("counts what its users use").says("tune2fs -O ^quota");
        assert!(!guest.is_running());
    }
    host_runs("tune2fs", &["-O", "^quota", image.trim()]);
    guest.start();
    guest.sh("cat /file").ok().says("text");
    guest.stop();
}
