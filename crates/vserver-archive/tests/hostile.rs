//! R06–R10: archives that want to be somewhere else, somebody else, or without end.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod corpus;

use std::ops::ControlFlow;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use corpus::tricks::Fate;
use corpus::{Head, Tar};
use proptest::prelude::*;
use vserver_archive::{Error, Limits, Options, Report, unpack};
use vserver_fs::GuestRoot;

/// A root, and beside it a directory that nothing may touch.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("build-hostile-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("root")).unwrap();
        std::fs::create_dir(dir.path().join("canary")).unwrap();
        std::fs::write(dir.path().join("canary/file"), "host").unwrap();
        Self { dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join("root").join(name)
    }

    fn canary(&self) -> String {
        self.dir.path().join("canary").to_str().unwrap().to_owned()
    }

    fn unpack_with(&self, bytes: &[u8], options: &Options) -> Result<Report, Error> {
        let root = GuestRoot::open(&self.dir.path().join("root")).unwrap();
        let result = unpack(bytes, &root, options, &mut |_| ControlFlow::Continue(()));
        let canary = std::fs::metadata(self.canary()).unwrap();
        assert_eq!((canary.mode() & 0o7777, canary.uid()), (0o755, 0), "the canary was changed");
        assert_eq!(std::fs::read(self.dir.path().join("canary/file")).unwrap(), b"host");
        assert_eq!(std::fs::metadata(self.dir.path().join("canary/file")).unwrap().nlink(), 1);
        assert_eq!(std::fs::read_dir(self.canary()).unwrap().count(), 1);
        assert_eq!(std::fs::read_dir(self.dir.path()).unwrap().count(), 2);
        result
    }

    fn unpack(&self, bytes: &[u8]) -> Result<Report, Error> {
        self.unpack_with(bytes, &Options::default())
    }
}

/// R06 to R10, each trick by its name: refused, or without any effect outside of the root.
#[test]
fn every_trick_is_refused_or_contained() {
    let all = corpus::tricks::tricks(&Bench::new().canary());
    assert!(all.len() >= 80, "{}", all.len());
    for at in 0..all.len() {
        let bench = Bench::new();
        let trick = corpus::tricks::tricks(&bench.canary()).swap_remove(at);
        let result = bench.unpack_with(&trick.bytes, &Options { ids: u64::from(u32::MAX), ..Options::default() });
        let fate = if result.is_ok() { Fate::Contained } else { Fate::Refused };
        assert_eq!(fate, trick.fate, "{}: {result:?}", trick.name);
        for entry in std::fs::read_dir(bench.at("")).unwrap() {
            let kind = entry.unwrap().metadata().unwrap().file_type();
            assert!(!kind.is_block_device() && !kind.is_char_device(), "{}", trick.name);
        }
    }
}

/// Each is refused, with the name of the entry in the message.
#[test]
fn every_way_out_is_refused_by_the_entrys_name() {
    let bench = Bench::new();
    let canary = bench.canary();
    let linked = |target: &str| Tar::default().symlink("d", target);
    let corpus: Vec<(&str, Vec<u8>)> = vec![
        ("../x", Tar::default().file("../x", b"1").end()),
        ("a/../../x", Tar::default().file("a/../../x", b"1").end()),
        ("/tmp/build-hostile-abs", Tar::default().file("/tmp/build-hostile-abs", b"1").end()),
        ("d/x", linked(&canary).file("d/x", b"1").end()),
        ("d/x", linked("../canary").file("d/x", b"1").end()),
        ("d/x", linked("/proc/self/cwd").file("d/x", b"1").end()),
        ("d/e", linked(&canary).dir("d/e").end()),
        ("d/l", linked(&canary).symlink("d/l", "x").end()),
        ("d", linked(&canary).add(Head::new(b'5', "d").mode(0o777).owner(12345)).end()),
        ("h", Tar::default().hard_link("h", "../canary/file").end()),
        ("h", Tar::default().hard_link("h", &format!("{canary}/file")).end()),
        ("h", linked(&canary).hard_link("h", "d/file").end()),
        ("h", Tar::default().hard_link("h", "h").end()),
        ("e/f/x", Tar::default().dir("e").symlink("e/f", "../../canary").file("e/f/x", b"1").end()),
        ("../p", Tar::default().pax(&[("path", b"../p")]).file("harmless", b"1").end()),
        ("h", Tar::default().pax(&[("linkpath", b"../canary/file")]).hard_link("h", "harmless").end()),
        ("./", Tar::default().symlink("./", "x").end()),
        ("d/f/x", linked("e").dir("e").file("d/f/x", b"1").end()),
    ];
    for (entry, bytes) in corpus {
        let bench = Bench::new();
        let error = bench.unpack(&bytes).unwrap_err();
        assert!(error.to_string().contains(&format!("'{entry}'")), "{entry}: {error}");
    }
    assert!(!PathBuf::from("/tmp/build-hostile-abs").exists());
}

#[test]
fn a_file_replaces_a_link_and_does_not_write_through_it() {
    let bench = Bench::new();
    let target = format!("{}/file", bench.canary());
    bench.unpack(&Tar::default().symlink("l", &target).file("l", b"guest").end()).unwrap();
    assert_eq!(std::fs::read(bench.at("l")).unwrap(), b"guest");
    assert!(bench.at("l").symlink_metadata().unwrap().is_file());
    // Again, into a tree that has the link already.
    std::fs::remove_file(bench.at("l")).unwrap();
    std::os::unix::fs::symlink(&target, bench.at("l")).unwrap();
    bench.unpack(&Tar::default().file("l", b"guest").end()).unwrap();
    assert!(bench.at("l").symlink_metadata().unwrap().is_file());
}

#[test]
fn fields_with_two_meanings_are_refused() {
    let file = || Tar::default().add(Head::new(b'0', "f"));
    let corpus: Vec<(&str, Vec<u8>)> = vec![
        ("negative size", file().patch(124, b"-0000000001\0").end()),
        ("binary size beyond 64 bits", file().patch(124, &[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).end()),
        ("negative binary size", file().patch(124, &[0xff; 12]).end()),
        ("letters in the owner", file().patch(108, b"abcdefg\0").end()),
        ("directory with data", Tar::default().raw(&Head::new(b'5', "f"), 512, &[0; 512]).end()),
        ("hard link with data", Tar::default().raw(&Head::new(b'1', "f").link("g"), 3, b"abc").end()),
        ("unknown type", Tar::default().add(Head::new(b'Q', "f")).end()),
        ("two sizes", Tar::default().pax(&[("size", b"1"), ("size", b"2")]).file("f", b"ab").end()),
        ("two extended headers", Tar::default().pax(&[("path", b"a")]).pax(&[("path", b"b")]).file("f", b"").end()),
        ("global path", Tar::default().extended(b'g', &[("path", b"x")]).file("f", b"").end()),
        ("description of nothing", Tar::default().pax(&[("path", b"a")]).end()),
        ("sparse of an unknown kind", Tar::default().pax(&[("GNU.sparse.major", b"1")]).file("f", b"").end()),
        ("data behind the end", [Tar::default().file("f", b"").end(), Tar::default().file("g", b"").end()].concat()),
    ];
    for (what, bytes) in corpus {
        let error = Bench::new().unpack(&bytes).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{what}: {error}");
    }
    let mut broken = file().end();
    broken[0] = b'g';
    assert!(matches!(Bench::new().unpack(&broken).unwrap_err(), Error::NotTar { .. }));
}

#[test]
fn the_extended_headers_size_wins() {
    // To a reader that trusts the header, "inner" would be an entry of its own (CVE-2025-62518).
    let inner = Tar::default().file("inner", b"x").bytes;
    let size = inner.len().to_string();
    let tar = Tar::default().pax(&[("size", size.as_bytes())]).raw(&Head::new(b'0', "outer"), 0, &inner).end();
    let bench = Bench::new();
    bench.unpack(&tar).unwrap();
    assert_eq!(std::fs::read(bench.at("outer")).unwrap(), inner);
    assert!(!bench.at("inner").exists());
}

#[test]
fn truncated_archives_say_where() {
    let whole = Tar::default().file("first", &[7; 1000]).file("second", &[8; 1000]).end();
    for cut in [1600, 2000, 2048, 3000, 3072] {
        let error = Bench::new().unpack(&whole[..cut]).unwrap_err();
        assert!(matches!(error, Error::Truncated { .. }), "{cut}: {error}");
        let name = if cut < 2048 { "first" } else { "second" };
        assert!(error.to_string().contains(name), "{cut}: {error}");
    }
}

#[test]
fn there_are_limits() {
    let limits = |change: fn(&mut Limits)| {
        let mut options = Options::default();
        change(&mut options.limits);
        options
    };
    let many = (0..11).fold(Tar::default(), |tar, n| tar.file(&format!("f{n}"), b"")).end();
    let error = Bench::new().unpack_with(&many, &limits(|l| l.entries = 10)).unwrap_err();
    assert!(matches!(error, Error::TooMuch { limit: 10, unit: "entries", .. }), "{error}");
    let large = Tar::default().file("a", &[0; 600]).file("b", &[0; 600]).end();
    let error = Bench::new().unpack_with(&large, &limits(|l| l.total = Some(1000))).unwrap_err();
    assert!(matches!(error, Error::TooMuch { limit: 1000, unit: "bytes", .. }), "{error}");
    // A size that no data follows must not be believed and reserved.
    let huge = Tar::default().pax(&[("size", b"9223372036854775807")]).add(Head::new(b'0', "huge")).end();
    assert!(matches!(Bench::new().unpack(&huge).unwrap_err(), Error::TooMuch { unit: "bytes", .. }));
}

#[test]
fn names_owners_and_headers_have_limits() {
    let long = vec![b'a'; 5000];
    let error = Bench::new().unpack(&Tar::default().pax(&[("path", &long)]).file("x", b"").end()).unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
    let deep = "d/".repeat(300);
    let error = Bench::new().unpack(&Tar::default().pax(&[("path", deep.as_bytes())]).dir("x").end()).unwrap_err();
    assert!(error.to_string().contains("too many directories"), "{error}");
    let bomb = Tar::default().raw(&Head::new(b'x', "pax"), 1 << 30, b"").end();
    assert!(matches!(Bench::new().unpack(&bomb).unwrap_err(), Error::Malformed { .. }));
    let error = Bench::new().unpack(&Tar::default().add(Head::new(b'0', "f").owner(65_536)).end()).unwrap_err();
    assert!(error.to_string().contains("65535"), "{error}");
}

/// R10, E13.
#[test]
fn only_harmless_devices_are_made_and_the_rest_is_reported() {
    let tar = Tar::default()
        .add(Head::new(b'3', "dev/null").device(1, 3).mode(0o666))
        .add(Head::new(b'3', "dev/mem").device(1, 1))
        .add(Head::new(b'4', "dev/sda").device(8, 0))
        .add(Head::new(b'4', "dev/notnull").device(1, 3))
        .add(Head::new(b'6', "fifo").mode(0o622))
        .end();
    let bench = Bench::new();
    let report = bench.unpack(&tar).unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|s| s.entry.as_str()).collect();
    assert_eq!(skipped, ["dev/mem", "dev/sda", "dev/notnull"]);
    assert_eq!((report.entries, report.skipped_total), (2, 3));
    let null = bench.at("dev/null").metadata().unwrap();
    assert!(null.file_type().is_char_device());
    assert_eq!((null.mode() & 0o7777, null.rdev()), (0o666, nix::sys::stat::makedev(1, 3)));
    assert!(bench.at("fifo").metadata().unwrap().file_type().is_fifo());
    assert!(!bench.at("dev/mem").exists() && !bench.at("dev/sda").exists() && !bench.at("dev/notnull").exists());
}

#[test]
fn what_makes_a_file_arrives() {
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let tar = Tar::default()
        .add(Head::new(b'5', "./").mode(0o751))
        .raw(&Head::new(b'0', "usr/bin/su").mode(0o4755).owner(0), 2, b"su")
        .pax(&[("SCHILY.xattr.security.capability", &capability), ("SCHILY.xattr.trusted.x", b"1")])
        .raw(&Head::new(b'0', "usr/bin/ping").mode(0o755).owner(7), 4, b"ping")
        .pax(&[("mtime", b"1.25")])
        .raw(&Head::new(b'0', "old"), 0, b"")
        .hard_link("usr/bin/su2", "usr/bin/su")
        .symlink("sbin", "usr/bin")
        .dir("usr")
        .end();
    let bench = Bench::new();
    let report = bench.unpack(&tar).unwrap();
    assert_eq!(report.entries, 7);
    assert_eq!(report.skipped[0].reason, "attributes not kept: trusted.x");
    let su = bench.at("usr/bin/su").metadata().unwrap();
    assert_eq!((su.mode() & 0o7777, su.nlink(), su.mtime()), (0o4755, 2, 1_000_000_000));
    assert_eq!(bench.at("usr").metadata().unwrap().mtime(), 1_000_000_000);
    assert_eq!(bench.at("").metadata().unwrap().mode() & 0o7777, 0o751);
    let ping = bench.at("usr/bin/ping").metadata().unwrap();
    assert_eq!((ping.uid(), ping.gid()), (7, 7));
    let old = bench.at("old").metadata().unwrap();
    assert_eq!((old.mtime(), old.mtime_nsec()), (1, 250_000_000));
    assert_eq!(std::fs::read_link(bench.at("sbin")).unwrap(), PathBuf::from("usr/bin"));
    let found = std::process::Command::new("getcap").arg(bench.at("usr/bin/ping")).output();
    if let Ok(found) = found {
        assert!(String::from_utf8_lossy(&found.stdout).contains("cap_"), "{found:?}");
    }
}

#[test]
fn every_compression_is_found_by_its_bytes_and_truncation_in_it_too() {
    let tar = Tar::default().file("f", &b"content".repeat(1000)).end();
    let pack = |program: &str, bytes: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), bytes).unwrap();
        let out = std::process::Command::new(program).arg("-c").arg(dir.path().join("f")).output();
        out.unwrap_or_else(|e| panic!("{program}: {e}")).stdout
    };
    let zstd = zstd::encode_all(tar.as_slice(), 3).unwrap();
    let nested = pack("xz", &pack("gzip", &tar));
    for bytes in [tar.clone(), pack("gzip", &tar), pack("xz", &tar), pack("bzip2", &tar), zstd, nested] {
        let bench = Bench::new();
        assert_eq!(bench.unpack(&bytes).unwrap().bytes, 7000);
        let error = Bench::new().unpack(&bytes[..bytes.len() - 20 - 512 * usize::from(bytes.len() > 5000)]);
        if bytes.len() < 5000 {
            assert!(matches!(error.unwrap_err(), Error::Truncated { .. } | Error::Read { .. }));
        }
    }
}

#[test]
fn the_caller_can_stop_it() {
    let bench = Bench::new();
    let tar = Tar::default().file("f", &[0; 200_000]).end();
    let root = GuestRoot::open(&bench.at("")).unwrap();
    let mut calls = 0;
    let result = unpack(tar.as_slice(), &root, &Options::default(), &mut |_| {
        calls += 1;
        if calls == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(result.unwrap_err(), Error::Interrupted));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn random_archives_stay_below_the_root(
        entries in proptest::collection::vec((0..6u8, names(), names()), 0..15),
    ) {
        let bench = Bench::new();
        let mut tar = Tar::default();
        for (kind, name, target) in &entries {
            tar = match kind {
                0 => tar.file(name, b"guest"),
                1 => tar.dir(name),
                2 => tar.symlink(name, target),
                3 => tar.symlink(name, &format!("../{target}")),
                4 => tar.hard_link(name, target),
                _ => tar.symlink(name, "../canary"),
            };
        }
        // Whether it succeeds is one thing; `unpack` looks at the canary in any case.
        let _ = bench.unpack(&tar.end());
    }

    #[test]
    fn damaged_archives_never_panic(at in 0..4096usize, value in any::<u8>(), cut in 0..4096usize) {
        let mut bytes = Tar::default()
            .pax(&[("path", b"a/b"), ("mtime", b"1.5")])
            .file("f", b"data")
            .symlink("s", "a")
            .end();
        let at = at % bytes.len();
        bytes[at] = value;
        bytes.truncate(bytes.len() - cut % bytes.len());
        let _ = Bench::new().unpack(&bytes);
    }
}

fn names() -> impl Strategy<Value = String> {
    let part = proptest::sample::select(vec!["a", "b", "..", ".", "canary", "file"]);
    proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"))
}
