//! `fuzz`: every reader under libFuzzer for a bounded time. Instrumented with what a stable compiler has; no sanitizer, as
//! only one small crate holds unsafe code and no reader is in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::build::{cargo, target_dir};
use crate::shell::{self, repository, say};

/// Seconds for each reader unless told otherwise.
const SECONDS: u32 = 60;
/// Coverage for libFuzzer. Source: cargo-fuzz, `project.rs`.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                        -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Runs the verb: `[READER] [--seconds N]`.
pub fn run(words: &[&str]) -> Outcome {
    let (mut reader, mut seconds) = (None, SECONDS);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--seconds" => {
                let number = words.next().and_then(|number| number.parse().ok()).filter(|number| *number > 0);
                seconds = number.ok_or("--seconds wants a number of seconds")?;
            }
            word if !word.starts_with('-') && reader.is_none() => reader = Some(word),
            word => return Err(format!("`cargo xtask fuzz` knows no '{word}'")),
        }
    }
    let all = readers()?;
    if let Some(unknown) = reader.filter(|reader| !all.iter().any(|own| own == reader)) {
        return Err(format!("there is no reader '{unknown}': {}", all.join(", ")));
    }
    let engine = build()?;
    let chosen: Vec<&String> = all.iter().filter(|own| reader.is_none_or(|reader| reader == *own)).collect();
    let failed: Vec<&str> =
        chosen.iter().filter(|name| fuzz(&engine, name, seconds).is_err()).map(|name| name.as_str()).collect();
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(format!("an input was found for: {}; it lies in target/fuzz/found/", failed.join(", "))),
    }
}

/// Each has a directory of first inputs.
fn readers() -> Result<Vec<String>, String> {
    let dir = repository().join("tests/fuzz/corpus");
    let entries = std::fs::read_dir(&dir).map_err(|error| format!("cannot list {}: {error}", dir.display()))?;
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

fn build() -> Result<PathBuf, String> {
    say("building the readers with libFuzzer");
    let target = target_dir()?.join("fuzz");
    // The versions of this workspace; the engine's own two come on top.
    let lock = repository().join("tests/fuzz/engine/Cargo.lock");
    std::fs::copy(repository().join("Cargo.lock"), &lock)
        .map_err(|error| format!("cannot write {}: {error}", lock.display()))?;
    let mut build = cargo();
    build.args(["build", "--release", "--manifest-path", "tests/fuzz/engine/Cargo.toml"]);
    build.arg("--target-dir").arg(&target).env("RUSTFLAGS", COVERAGE);
    shell::run(&mut build)?;
    Ok(target.join(crate::build::host_triple()?).join("release/vserver-fuzz-engine"))
}

/// New inputs are kept beside the engine and come first the next time; the corpus in the tree is only read.
fn fuzz(engine: &Path, reader: &str, seconds: u32) -> Outcome {
    say(&format!("{reader}, {seconds} s"));
    let base = target_dir()?.join("fuzz");
    let (kept, found) = (base.join("corpus").join(reader), base.join("found"));
    for dir in [&kept, &found] {
        std::fs::create_dir_all(dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    }
    let mut fuzz = Command::new(engine);
    fuzz.env("VSERVER_FUZZ", reader).current_dir(&base);
    fuzz.args([format!("-max_total_time={seconds}"), format!("-artifact_prefix={}/{reader}-", found.display())]);
    fuzz.args([
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-malloc_limit_mb=256",
        "-max_len=65536",
        "-print_final_stats=1",
    ]);
    fuzz.args(["-verbosity=0"]);
    fuzz.arg(&kept).arg(repository().join("tests/fuzz/corpus").join(reader));
    shell::run(&mut fuzz)
}
