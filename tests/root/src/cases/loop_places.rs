//! `mount FILE DIR` inside, and the files in the places of loop devices that it asks for one (ccapability `admin_cloop`).

use std::time::Duration;

use super::block_mounts::carry;
use super::image_mounts::{devices_of, nothing_is_left, with_image};
use crate::fixture::{Fixture, eventually};
use crate::needs::Need;
use crate::trial::Trial;

/// All of them.
pub fn tests() -> Vec<Trial> {
    let with = |name, body: fn()| Trial::new(name, body).needs(Need::Tool("mkfs.ext4")).needs(Need::Loop);
    vec![
        with("loop_places::busyboxs_mount", busyboxs_mount),
        with("loop_places::it_finds_the_type", it_finds_the_type).needs(Need::Tool("mkfs.xfs")),
        with("loop_places::debians_mount", debians_mount).needs(Need::Tool("ldd")),
        with("loop_places::debians_losetup", debians_losetup).needs(Need::Tool("ldd")),
        with("loop_places::places_are_the_guests_own", places_are_the_guests_own).needs(Need::Tool("ldd")),
        with("loop_places::killed_in_the_middle", killed_in_the_middle),
        with("loop_places::one_file_each", one_file_each).needs(Need::Tool("ldd")),
    ]
}

/// No place of a loop device has a file.
const ALL_FREE: &str = "for file in /dev/loop*; do [ -f $file ] && [ ! -s $file ] || exit 1; done";

/// It looks for a loop device and gives it the file.
fn busyboxs_mount() {
    let host = Fixture::new();
    let guest = with_image(&host, "ext4", 24);
    guest.start();
    for words in ["", "-o loop", "-t ext4"] {
        guest.sh(&format!("mount {words} /data.img /disk && echo text >/disk/x && {ALL_FREE}")).ok();
        let line = guest.sh("grep ' /disk ' /proc/self/mounts").ok().out.clone();
        assert!(line.starts_with("/data.img /disk ext4 rw,nosuid,nodev,"), "{line}");
        guest.sh("umount /disk && ! grep ' /disk ' /proc/self/mounts").ok();
        nothing_is_left(&guest);
    }
    guest.sh("mount -o ro /data.img /disk && cat /disk/x && ! echo x >/disk/x").ok().says("text");
    guest.sh("umount /disk && mkdir /tmpfs && mount -t tmpfs none /tmpfs && cp /data.img /tmpfs").ok();
    guest.sh("cd /tmpfs && mount -t ext4 data.img /disk && grep '^/tmpfs/data.img /disk ' /proc/self/mounts").ok();
    guest.sh("umount /disk").ok();
    assert_ne!(guest.sh("mount -t xfs /data.img /disk").code, 0);
    assert_ne!(guest.sh("mount -o offset=512 /data.img /disk").code, 0);
    guest.sh(ALL_FREE).ok();
    guest.stop();
    nothing_is_left(&guest);
}

/// The mount of util-linux, which finds out the type by itself.
fn debians_mount() {
    let host = Fixture::new();
    let guest = with_image(&host, "ext4", 24);
    carry(&guest, &["/usr/bin/mount", "/usr/bin/umount", "/usr/sbin/losetup"]);
    guest.start();
    for words in ["", "-o loop", "-t ext4", "-o noexec,errors=continue"] {
        guest.sh(&format!("/usr/bin/mount {words} /data.img /disk && echo text >/disk/x && {ALL_FREE}")).ok();
        guest.sh("/usr/bin/mount -t ext4").ok().says("/data.img on /disk type ext4 (rw,nosuid,nodev,");
        guest.sh("/usr/bin/umount /disk && ! grep ' /disk ' /proc/self/mounts").ok();
        nothing_is_left(&guest);
    }
    guest.sh("/usr/bin/mount -o ro /data.img /disk && cat /disk/x && ! echo x >/disk/x").ok().says("text");
    guest.sh("/usr/bin/umount /disk").ok();
    guest
        .sh("echo '/data.img /disk ext4 loop,noatime 0 0' >/etc/fstab && /usr/bin/mount -a && cat /disk/x")
        .ok()
        .says("text");
    guest.sh("/usr/bin/mount -a && /usr/bin/umount /data.img").ok();
    nothing_is_left(&guest);
    assert_ne!(guest.sh("/usr/bin/mount -o loop,offset=512 /data.img /disk").code, 0);
    assert_ne!(guest.sh("/usr/bin/mount -t xfs /data.img /disk").code, 0);
    guest.sh(&format!("/usr/bin/mount /data.img /disk && {ALL_FREE}")).ok();
    guest.stop();
    nothing_is_left(&guest);
}

/// What has a file in such a place has no more than that.
fn places_are_the_guests_own() {
    let host = Fixture::new();
    let guest = with_image(&host, "ext4", 24);
    carry(&guest, &["/usr/sbin/losetup"]);
    guest.start();
    guest.sh("chmod 666 /dev/loop* && su ada -c '/usr/sbin/losetup /dev/loop0 /data.img'").exits(1);
    guest.sh(ALL_FREE).ok();
    // Neither a device nor a directory; and a link in its place leads nowhere.
    for file in ["/dev/null", "/etc"] {
        assert_ne!(guest.sh(&format!("/usr/sbin/losetup /dev/loop0 {file}")).code, 0);
    }
    guest.sh("rm /dev/loop1 && ln -s /etc/passwd /dev/loop1").ok();
    assert_ne!(guest.sh("/usr/sbin/losetup /dev/loop1 /data.img").code, 0);
    guest.sh("! grep -e ' /etc/passwd ' -e ' /dev/loop' /proc/self/mounts").ok();
    // All of them have one: nothing is mounted until one is free again.
    guest.sh("for i in 2 3 4 5 6 7 0; do mount --bind /data.img /dev/loop$i || exit 1; done").ok();
    assert_ne!(guest.sh("mount /data.img /disk").code, 0);
    guest.sh("umount /dev/loop4 && mount /data.img /disk && ls -d /disk/lost+found").ok();
    assert_eq!(devices_of(&guest), 1);
    guest.stop();
    nothing_is_left(&guest);
}

/// busybox tries one type after the other, with the same loop device.
fn it_finds_the_type() {
    let host = Fixture::new();
    let guest = with_image(&host, "xfs", 320);
    guest.start();
    guest.sh(&format!("mount /data.img /disk && echo text >/disk/x && {ALL_FREE}")).ok();
    guest.sh("grep '^/data.img /disk xfs ' /proc/self/mounts && umount /disk").ok();
    guest.stop();
    nothing_is_left(&guest);
}

/// What it gives a file keeps it, as the kernel's would, but is no device.
fn debians_losetup() {
    let host = Fixture::new();
    let guest = with_image(&host, "ext4", 24);
    carry(&guest, &["/usr/sbin/losetup", "/usr/bin/umount"]);
    guest.start();
    guest.sh("/usr/sbin/losetup /dev/loop0 /data.img && [ -s /dev/loop0 ]").ok();
    assert_ne!(guest.sh("/usr/sbin/losetup /dev/loop0 /data.img").code, 0);
    for _ in 0..2 {
        guest.sh("/probe mount_of /dev/loop0 /disk ext4 && ls -d /disk/lost+found && umount /disk").ok().says("OK");
        nothing_is_left(&guest);
    }
    guest.sh(&format!("mount /data.img /disk && umount /disk && [ -s /dev/loop0 ] && ! ({ALL_FREE})")).ok();
    guest.sh(&format!("/usr/bin/umount /dev/loop0 && {ALL_FREE}")).ok();
    guest.stop();
}

/// Whoever has given a place a file, and goes before he mounts it: the next one gets the place.
fn killed_in_the_middle() {
    let host = Fixture::new();
    let guest = with_image(&host, "ext4", 24);
    guest.start();
    for _ in 0..3 {
        guest.sh("/probe loop_give /data.img").ok().says("/dev/loop0");
        guest.sh("[ -s /dev/loop0 ] && [ $(grep -c ' /dev/loop' /proc/self/mounts) = 1 ]").ok();
    }
    guest.sh(&format!("mount /data.img /disk && {ALL_FREE} && umount /disk")).ok();
    // Not that of somebody who is there still.
    guest.sh("cp /data.img /two.img && (/probe loop_give /two.img 1000 >/dev/null 2>&1 & echo $! >/pid)").ok();
    eventually("it has the file", Duration::from_secs(20), || guest.sh("[ -s /dev/loop0 ]").code == 0);
    guest.sh("/probe loop_give /data.img").ok().says("/dev/loop1");
    guest.sh("mount /data.img /disk && umount /disk && [ -s /dev/loop0 ] && [ ! -s /dev/loop1 ]").ok();
    guest.sh("kill -KILL $(cat /pid)").ok();
    eventually("it is free", Duration::from_secs(20), || {
        guest.sh(&format!("mount /data.img /disk && umount /disk && {ALL_FREE}")).code == 0
    });
    guest.stop();
    nothing_is_left(&guest);
}

/// However many ask at once. util-linux looks for another place when somebody was quicker; not every busybox does.
fn one_file_each() {
    let host = Fixture::new();
    let guest = with_image(&host, "ext4", 8);
    // That of busybox takes the place for the guest's root where that lies on the host's `/dev/loop0`.
    carry(&guest, &["/usr/bin/mount", "/usr/bin/umount"]);
    guest.start();
    for _ in 0..5 {
        guest
            .sh("/probe loop_race /data.img && /usr/bin/umount /dev/loop0 && ! grep ' /dev/loop' /proc/self/mounts")
            .ok()
            .says("HELD");
    }
    guest.sh("for i in 1 2 3 4; do mkdir /d$i; cp /data.img /data$i.img; done").ok();
    let each =
        "/usr/bin/mount /data$i.img /d$i && grep -q \"^/data$i.img /d$i ext4 \" /proc/self/mounts && echo done $i";
    let all = format!("for i in 1 2 3 4; do ({each}) & done; wait");
    let out = guest.sh(&all).ok().out.clone();
    assert_eq!(out.lines().filter(|line| line.starts_with("done ")).count(), 4, "{out}");
    assert_eq!(devices_of(&guest), 4);
    guest.sh(&format!("umount /d1 /d2 /d3 /d4 && {ALL_FREE}")).ok();
    guest.stop();
    nothing_is_left(&guest);
}
