//! Every reader of bytes that guests, administrators or other programs have written. A reader must come to an end, soon,
//! with bounded memory and without a panic, whatever the bytes are; what else must hold stands in each.
//!
//! `cargo xtask fuzz` runs them under libFuzzer for as long as wanted; `cargo test` runs the corpus and some thousand
//! inputs that come from it by chance (always the same ones).
// A reader that breaks a promise says so by a panic: that is what a fuzzer looks for.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod chance;
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

pub use chance::Chance;
pub use targets::{TARGETS, Target};

/// The reader of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(own, _)| *own == name).map(|(_, target)| *target)
}

/// Where the first inputs of a reader lie.
pub fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

/// The first inputs of a reader, by the names of their files.
pub fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(corpus(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}
