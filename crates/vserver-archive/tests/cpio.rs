//! cpio archives: what cpio(1) writes arrives, and what no cpio would write is refused.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use proptest::prelude::*;
use vserver_archive::{Error, Options, Report, unpack};
use vserver_fs::GuestRoot;

/// Writes archives.
#[derive(Default)]
struct Cpio {
    bytes: Vec<u8>,
}

/// An object to be written: its name, mode, inode, number of names and data.
type Object<'a> = (&'a str, u32, u32, u32, &'a [u8]);

impl Cpio {
    /// `magic` 070701 or 070702.
    fn hex(mut self, magic: &str, object: Object<'_>) -> Self {
        let (name, mode, inode, links, data) = object;
        let sum: u32 = data.iter().map(|byte| u32::from(*byte)).sum();
        let sum = if magic == "070702" && mode & 0o170_000 == 0o100_000 { sum } else { 0 };
        let length = u32::try_from(data.len()).unwrap();
        let fields =
            [inode, mode, 0, 0, links, 1_000_000, length, 8, 1, 1, 3, u32::try_from(name.len()).unwrap() + 1, sum];
        self.bytes.extend(magic.bytes());
        fields.iter().for_each(|field| write!(self.bytes, "{field:08X}").unwrap());
        self.filled(name.as_bytes(), 1);
        self.filled(data, 0);
        self
    }

    fn old(mut self, (name, mode, inode, links, data): Object<'_>) -> Self {
        write!(self.bytes, "070707{:06o}{inode:06o}{mode:06o}{:06o}{:06o}{links:06o}{:06o}", 1, 0, 0, 0x103).unwrap();
        write!(self.bytes, "{:011o}{:06o}{:011o}{name}\0", 1_000_000, name.len() + 1, data.len()).unwrap();
        self.bytes.extend(data);
        self
    }

    fn filled(&mut self, data: &[u8], zeros: usize) {
        self.bytes.extend(data);
        self.bytes.resize((self.bytes.len() + zeros).next_multiple_of(4), 0);
    }

    fn end(self) -> Vec<u8> {
        self.hex("070701", ("TRAILER!!!", 0, 0, 1, b"")).bytes
    }

    fn old_end(self) -> Vec<u8> {
        self.old(("TRAILER!!!", 0, 0, 1, b"")).bytes
    }
}

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("build-cpio-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("root")).unwrap();
        Self { dir }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join("root").join(name)
    }

    fn unpack(&self, bytes: &[u8]) -> Result<Report, Error> {
        let root = GuestRoot::open(&self.at("")).unwrap();
        let result = unpack(bytes, &root, &Options::default(), &mut |_| ControlFlow::Continue(()));
        assert_eq!(std::fs::read_dir(self.dir.path()).unwrap().count(), 1, "something is beside the root");
        result
    }

    fn refused(bytes: &[u8]) -> String {
        Self::new().unpack(bytes).unwrap_err().to_string()
    }
}

const FILE: u32 = 0o100_644;
const DIR: u32 = 0o040_755;

/// The tree that every form carries: a file of four names whose data comes with the last, an empty one of two.
fn tree(add: impl Fn(Cpio, Object<'_>) -> Cpio) -> Cpio {
    let objects: [Object<'_>; 10] = [
        (".", DIR, 1, 2, b""),
        ("etc", 0o040_700, 2, 2, b""),
        ("./etc/a", FILE, 3, 3, b""),
        ("etc/b", FILE, 3, 3, b""),
        ("etc/c", 0o104_755, 3, 3, b"hello"),
        ("etc/d", FILE, 3, 4, b""),
        ("e1", FILE, 4, 2, b""),
        ("e2", FILE, 4, 2, b""),
        ("link", 0o120_777, 5, 1, b"etc/c"),
        ("socket", 0o140_755, 6, 1, b""),
    ];
    let cpio = objects.into_iter().fold(Cpio::default(), &add);
    add(add(cpio, ("fifo", 0o010_600, 7, 1, b"")), ("null", 0o020_666, 8, 1, b""))
}

fn whole(bytes: &[u8]) {
    let bench = Bench::new();
    let report = bench.unpack(bytes).unwrap();
    assert_eq!((report.skipped_total, report.entries), (0, 11), "{report:?}");
    for name in ["etc/a", "etc/b", "etc/c", "etc/d", "link"] {
        assert_eq!(std::fs::read(bench.at(name)).unwrap(), b"hello", "{name}");
    }
    let found = bench.at("etc/a").metadata().unwrap();
    assert_eq!((found.nlink(), found.mtime(), found.mode() & 0o7777), (4, 1_000_000, 0o4755));
    assert_eq!((bench.at("e2").metadata().unwrap().nlink(), bench.at("e1").metadata().unwrap().len()), (2, 0));
    assert_eq!(bench.at("etc").metadata().unwrap().mode() & 0o7777, 0o700);
    assert_eq!(bench.at("null").metadata().unwrap().rdev(), 0x103);
    assert!(!bench.at("socket").exists() && bench.at("fifo").exists());
}

#[test]
fn every_form_arrives() {
    whole(&tree(|cpio, object| cpio.hex("070701", object)).end());
    whole(&tree(|cpio, object| cpio.hex("070702", object)).end());
    whole(&tree(Cpio::old).old_end());
    // Blocks are filled up, and compression is taken off.
    let mut bytes = tree(|cpio, object| cpio.hex("070701", object)).end();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&bytes).unwrap();
    whole(&encoder.finish().unwrap());
}

#[test]
fn what_no_cpio_writes_is_refused() {
    let one = |object| Cpio::default().hex("070701", object);
    let damaged = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = one(("a", FILE, 1, 1, b"data")).end();
        change(&mut bytes);
        Bench::refused(&bytes)
    };
    let cases = [
        (Bench::refused(&one(("../a", FILE, 1, 1, b"x")).end()), ".."),
        (Bench::refused(&one(("a\0b", FILE, 1, 1, b"x")).end()), "does not end where its length says"),
        (Bench::refused(&one(("a", 0o170_000, 1, 1, b"")).end()), "unknown type"),
        (Bench::refused(&one(("a", DIR, 1, 1, b"x")).end()), "it has data and is not a file"),
        (Bench::refused(&one(("a", 0o120_777, 1, 1, &[b'x'; 5000])).end()), "too long a target"),
        (Bench::refused(&one(("a", FILE, 1, 1, b"x")).bytes), "truncated"),
        (
            Bench::refused(&one(("a", FILE, 1, 2, b"x")).hex("070701", ("b", FILE, 1, 2, b"xy")).end()),
            "other data than its file",
        ),
        (damaged(&|bytes| bytes.extend(b"more")), "behind the end mark"),
        (damaged(&|bytes| bytes[14] = b'x'), "not a number"),
        (damaged(&|bytes| bytes[94..102].copy_from_slice(b"00000000")), "no usable name"),
        (damaged(&|bytes| bytes[116] = b'9'), "no header after it"),
    ];
    for (said, part) in cases {
        assert!(said.contains(part), "{part}: {said}");
    }
    let mut summed = Cpio::default().hex("070702", ("a", FILE, 1, 1, b"data")).end();
    let at = summed.windows(4).position(|four| four == b"data").unwrap();
    summed[at] = b'D';
    assert!(Bench::refused(&summed).contains("does not have the sum"));
    // Through a link out of the root.
    let through = one(("out", 0o120_777, 1, 1, b"..")).hex("070701", ("out/file", FILE, 2, 1, b"x")).end();
    assert!(Bench::new().unpack(&through).is_err());
}

#[test]
fn every_cut_is_an_error() {
    let bytes = tree(|cpio, object| cpio.hex("070701", object)).end();
    let whole = bytes.len();
    for length in (0..whole).step_by(7) {
        assert!(Bench::new().unpack(&bytes[..length]).is_err(), "{length} of {whole}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_byte_makes_a_panic(at in 0usize..1500, byte in any::<u8>()) {
        let mut bytes = tree(|cpio, object| cpio.hex("070701", object)).end();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = Bench::new().unpack(&bytes);
    }
}
