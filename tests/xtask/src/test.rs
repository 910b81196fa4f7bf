//! `test`: every test there is, and one closing line.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::build::{PROGRAMS, cargo, release};
use crate::shell::{need_root, say};
use crate::{Outcome, ci, packages};

/// What the root tests use beside our own programs.
const PACKAGES: &[&str] = &[
    "busybox-static",
    "debootstrap",
    "mmdebstrap",
    "fai-client",
    "dpkg-dev",
    "strace",
    "curl",
    "procps",
    "iproute2",
    "nftables",
    "bsdutils",
    "xz-utils",
    "zstd",
    "btrfs-progs",
    "e2fsprogs",
    "xfsprogs",
    "bzip2",
    "rsync",
    "rpm",
    "dnf",
    "createrepo-c",
    "zypper",
    "pacman-package-manager",
    "qemu-utils",
    "dump",
    "fdisk",
    "gnupg",
];

/// How many passed and failed.
#[derive(Default, Clone, Copy)]
pub struct Tally {
    /// Passed.
    pub passed: u64,
    /// Failed; a test program that ended without a verdict counts as one.
    pub failed: u64,
    /// Did not run: the reason stands beside the test's name.
    pub left_out: u64,
}

/// Runs the verb.
pub fn run(words: &[&str]) -> Outcome {
    let (mut unit, mut root, mut filter) = (true, true, None);
    for word in words {
        match *word {
            "--root-only" => unit = false,
            "--no-root" => root = false,
            word if !word.starts_with('-') && filter.is_none() => filter = Some(word),
            word => return Err(format!("`cargo xtask test` knows no '{word}'")),
        }
    }
    if root {
        need_root("test")?;
        packages::ensure(PACKAGES)?;
    }
    let in_ci = std::env::var_os("CI").is_some();
    if in_ci && unit && root && filter.is_none() {
        return ci::run();
    }
    verdict(tests(unit, root, filter)?)
}

/// Prints the closing line and turns it into an outcome.
pub fn verdict(tally: Tally) -> Outcome {
    let left_out = match tally.left_out {
        0 => String::new(),
        count => format!(", {count} left out"),
    };
    println!("{} passed, {} failed{left_out}", tally.passed, tally.failed);
    if tally.failed == 0 { Ok(()) } else { Err("there are failed tests".into()) }
}

/// Runs unit and command-line tests, then root tests.
pub fn tests(unit: bool, root: bool, filter: Option<&str>) -> Result<Tally, String> {
    let mut tally = Tally::default();
    if unit {
        say("unit and command-line tests");
        let mut test = cargo();
        test.args(["test", "--locked", "--workspace", "--exclude", "vserver-root-tests", "--no-fail-fast"]);
        test.args(filter);
        tally += count(test)?;
    }
    if root {
        let programs = [PROGRAMS, &["vserver-probe", "vserver-root-tests"]].concat();
        let bin = release(&programs)?;
        say("root tests");
        // Two at a time: most of a test is waiting, but those that measure CPU time want a quiet machine.
        let mut test = Command::new(bin.join("vserver-root-tests"));
        test.args(["--test-threads", "2"]).args(filter).stdin(Stdio::null());
        tally += count(test)?;
    }
    Ok(tally)
}

/// Runs a test program, shows what it prints, and counts its verdicts.
fn count(mut command: Command) -> Result<Tally, String> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|error| format!("could not run the tests: {error}"))?;
    let mut tally = Tally::default();
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        let line = line.map_err(|error| format!("lost the tests' output: {error}"))?;
        println!("{line}");
        tally += verdicts(&line);
    }
    let status = child.wait().map_err(|error| format!("lost the tests: {error}"))?;
    if !status.success() && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

/// `test result: ok. 3 passed; 0 failed; …`
pub fn verdicts(line: &str) -> Tally {
    let Some(result) = line.strip_prefix("test result: ") else {
        return Tally::default();
    };
    let words: Vec<&str> = result.split([' ', ';', '.']).collect();
    let before = |what: &str| words.windows(2).find(|pair| pair[1] == what).and_then(|pair| pair[0].parse().ok());
    let count = |what| before(what).unwrap_or(0);
    Tally { passed: count("passed"), failed: count("failed"), left_out: count("ignored") }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.left_out += other.left_out;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_counted() {
        let tally = verdicts("test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out");
        assert_eq!((tally.passed, tally.failed, tally.left_out), (12, 3, 1));
        assert_eq!(verdicts("running 3 tests").passed, 0);
    }
}
