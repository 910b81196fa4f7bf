//! Archives of unknown origin.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;

use vserver_archive::{Limits, Options, unpack};
use vserver_fs::GuestRoot;

use super::scratch;

/// Nothing outside of the root changes, and no more is written than was allowed.
pub fn archive(bytes: &[u8]) {
    let base = scratch();
    let (root, canary) = (base.path().join("root"), base.path().join("canary"));
    fs::create_dir(&root).unwrap();
    fs::write(&canary, "host").unwrap();
    let before = fs::metadata(&canary).unwrap();
    let limits = Limits { entries: 200, total: Some(1 << 20), ..Limits::default() };
    let tree = GuestRoot::open(&root).unwrap();
    let input = with_checksums(bytes);
    let options = Options { limits, ..Options::default() };
    let result = unpack(input.as_slice(), &tree, &options, &mut |_| ControlFlow::Continue(()));
    if let Ok(report) = result {
        assert!(report.entries <= 200 && report.bytes <= 1 << 20);
    }
    let after = fs::metadata(&canary).unwrap();
    let facts =
        |found: &fs::Metadata| (found.ino(), found.mode(), found.uid(), found.nlink(), found.mtime(), found.ctime());
    assert_eq!(facts(&after), facts(&before));
    assert_eq!(fs::read(&canary).unwrap(), b"host");
    let mut names: Vec<_> = fs::read_dir(base.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["canary", "root"]);
}

/// Chance does not find checksums: each block that looks like a header gets its own.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}
