//! What is packed is unpacked as it was: whatever a file has, to the nanosecond and to the hole.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use rustix::fs::{XattrFlags, setxattr};
use vserver_archive::{All, Options, pack, unpack};
use vserver_fs::GuestRoot;

const OPTIONS: Options = Options { limits: LIMITS, ids: u32::MAX as u64 };
const LIMITS: vserver_archive::Limits =
    vserver_archive::Limits { entries: 1000, path: 4096, depth: 256, total: None, file: 1 << 40 };

/// A tree with one of everything.
fn tree(root: &Path) {
    let at = |name: &str| root.join(name);
    fs::create_dir_all(at("d/e")).unwrap();
    fs::write(at("d/file"), "text").unwrap();
    fs::hard_link(at("d/file"), at("d/e/same")).unwrap();
    symlink("file", at("d/link")).unwrap();
    symlink(format!("/{}", "x".repeat(300)), at("d/long-link")).unwrap();
    fs::hard_link(at("d/link"), at("d/same-link")).unwrap();
    let long = format!("d/{}/{}", "l".repeat(200), "m".repeat(255));
    fs::create_dir(at(&long).parent().unwrap()).unwrap();
    fs::write(at(&long), "long").unwrap();
    fs::write(at("su"), "#!").unwrap();
    chown(at("su"), Some(3_000_000), Some(2_500_000)).unwrap();
    fs::set_permissions(at("su"), PermissionsExt::from_mode(0o6711)).unwrap();
    lchown(at("d/link"), Some(7), Some(8)).unwrap();
    fs::write(at("ping"), "x").unwrap();
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    setxattr(at("ping"), "security.capability", capability, XattrFlags::empty()).unwrap();
    setxattr(at("d"), "user.colour", b"r\0d\n=", XattrFlags::empty()).unwrap();
    let mut acl = vec![2, 0, 0, 0];
    for (tag, rights, id) in
        [(1u16, 6u16, u32::MAX), (2, 4, 1000), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)]
    {
        acl.extend(tag.to_le_bytes());
        acl.extend(rights.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    setxattr(at("d/file"), "system.posix_acl_access", &acl, XattrFlags::empty()).unwrap();
    setxattr(at("d/e"), "system.posix_acl_default", &acl, XattrFlags::empty()).unwrap();
    let hole = File::create(at("hole")).unwrap();
    hole.write_at(b"one", 1 << 20).unwrap();
    hole.write_at(b"two", 64 << 20).unwrap();
    hole.set_len((200 << 20) + 77).unwrap();
    File::create(at("empty-hole")).unwrap().set_len(1 << 20).unwrap();
    mknod(&at("fifo"), SFlag::S_IFIFO, Mode::from_bits_truncate(0o620), 0).unwrap();
    mknod(&at("null"), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3)).unwrap();
    let nanos = |name: &str, seconds: i64, nanos: u32| {
        let moment = if seconds < 0 {
            SystemTime::UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs()) + Duration::new(0, nanos)
        } else {
            SystemTime::UNIX_EPOCH + Duration::new(seconds.unsigned_abs(), nanos)
        };
        File::open(at(name)).unwrap().set_modified(moment).unwrap();
    };
    nanos("hole", -5, 250_000_000);
    nanos("su", 5_000_000_000, 1);
    nanos("d/e", 1_000_000_000, 0);
    nanos("d", 1_000_000_000, 123_456_789);
    nanos("", 1_100_000_000, 999_999_999);
}

fn packed(root: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let root = GuestRoot::open(root).unwrap();
    let report = pack(&root, &mut bytes, false, &mut All, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(report.skipped, []);
    bytes
}

fn dirs() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
    let base = tempfile::Builder::new().prefix("build-roundtrip-").tempdir().unwrap();
    let (a, b) = (base.path().join("a"), base.path().join("b"));
    fs::create_dir(&a).unwrap();
    fs::create_dir(&b).unwrap();
    tree(&a);
    (base, a, b)
}

fn check(a: &Path, b: &Path) {
    for name in ["d/e/same", "su", "d", "d/e", "hole", "null", ""] {
        let (one, two) = (a.join(name).metadata().unwrap(), b.join(name).metadata().unwrap());
        let facts = |m: &fs::Metadata| (m.mode(), m.uid(), m.gid(), m.mtime(), m.mtime_nsec(), m.rdev());
        assert_eq!(facts(&one), facts(&two), "{name}");
        assert!(one.is_dir() || one.nlink() == two.nlink(), "{name}");
    }
    let hole = b.join("hole").metadata().unwrap();
    assert!(hole.len() == (200 << 20) + 77 && hole.blocks() * 512 < 1 << 20, "{} blocks", hole.blocks());
    assert_eq!(packed(a), packed(b), "what is packed again is the same to the byte");
}

#[test]
fn our_own_archive() {
    let (_base, a, b) = dirs();
    let bytes = packed(&a);
    let root = GuestRoot::open(&b).unwrap();
    let report = unpack(bytes.as_slice(), &root, &OPTIONS, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((report.setid.as_slice(), report.highest_id), (&["./su".to_owned()][..], 3_000_000));
    check(&a, &b);
}

/// GNU tar reads what we pack, and we read what it packs, in each of its formats with holes.
#[test]
fn gnu_tar_both_ways() {
    let (base, a, b) = dirs();
    let file = base.path().join("a.tar");
    fs::write(&file, packed(&a)).unwrap();
    let include = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "-p"];
    let read = Command::new("tar").args(include).arg("-xf").arg(&file).arg("-C").arg(&b).status().unwrap();
    assert!(read.success());
    check(&a, &b);
    for format in ["--sparse-version=1.0", "--sparse-version=0.1", "--format=gnu"] {
        let c = base.path().join(format);
        fs::create_dir(&c).unwrap();
        let mut tar = Command::new("tar");
        tar.args(["--sparse", "--numeric-owner", format]);
        if format != "--format=gnu" {
            tar.args(["--format=pax", "--xattrs", "--acls"]);
        }
        let output = tar.args(["-cf", "-", "-C"]).arg(&a).arg(".").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let root = GuestRoot::open(&c).unwrap();
        unpack(output.stdout.as_slice(), &root, &OPTIONS, &mut |_| ControlFlow::Continue(())).unwrap();
        let hole = c.join("hole").metadata().unwrap();
        assert!(
            hole.len() == (200 << 20) + 77 && hole.blocks() * 512 < 1 << 20,
            "{format}: {} blocks",
            hole.blocks()
        );
        assert!(fs::read(a.join("hole")).unwrap() == fs::read(c.join("hole")).unwrap(), "{format}");
        if format == "--sparse-version=1.0" {
            check(&a, &c);
        }
    }
}
