//! Sharing the files of eight guests, against programs that make hard links of equal files: each on fresh copies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::super::figure::{Figure, Goal};
use super::super::ours::NAME;
use super::fresh::Fresh;
use super::tools::{self, Tool};
use super::{ROUNDS, Samples, copy, kinds};
use crate::Outcome;
use crate::shell::{command, run, say};

const GUESTS: usize = 8;
/// A run that takes longer, in milliseconds, is not repeated.
const LONG: f64 = 10_000.0;
/// What the figures are about.
const EQUAL: [&str; 6] = [
    "make equal files of 8 guests one",
    "space of their files afterwards",
    "the same with all that the tool keeps",
    "memory for that",
    "the second run, against find -type f",
    "8 guests",
];
const KINDS: [&str; 6] = [
    "the same of 4 sets of packages, twice each",
    "space of their files afterwards",
    "the same with all that the tool keeps",
    "memory for that",
    "the second run, against find -type f",
    "4 sets of packages",
];

/// Guests that all are one tree.
pub fn equal(bin: &Path, home: &Path, base: &Path) -> Result<Vec<Figure>, String> {
    measure(bin, home, &[base.to_owned()], EQUAL)
}

/// Guests of which two each are one tree.
pub fn kinds(bin: &Path, home: &Path) -> Result<Vec<Figure>, String> {
    let mut trees = Vec::new();
    for tree in kinds::ensure()? {
        let clean = home.join("kinds").join(tree.file_name().unwrap_or_default());
        copy(&tree, &clean)?;
        trees.push(clean);
    }
    measure(bin, home, &trees, KINDS)
}

fn measure(bin: &Path, home: &Path, trees: &[PathBuf], works: [&'static str; 6]) -> Result<Vec<Figure>, String> {
    let mut all = Measured::default();
    let copies = home.join("disk/copies");
    let guests: Vec<PathBuf> = (0..GUESTS).map(|number| copies.join(format!("guest{number}"))).collect();
    let tools = tools::all(bin, home, &copies, &guests);
    let [time, files, space, memory, second, what] = works;
    for round in 1..=ROUNDS {
        for tool in &tools {
            if all.time.get(tool.name).is_some_and(|times| times.iter().any(|time| *time > LONG)) {
                say(&format!("{} has needed over {} s: it is not run again", tool.name, LONG / 1000.0));
                continue;
            }
            say(&format!("{what}, round {round} of {ROUNDS}: {}", tool.name));
            all.one(tool, trees, &guests, home)?;
        }
    }
    Ok(vec![
        Figure::new(time, "ms", Goal::OfBest(1.0 / 3.0), all.time),
        Figure::new(files, "MiB", Goal::OfBest(1.0), all.files),
        Figure::new(space, "MiB", Goal::OfBest(1.0), all.space),
        Figure::new(memory, "kB", Goal::AtMost(65_536.0), all.memory),
        Figure::new(second, "ms", Goal::Of("find", 1.5), all.second),
    ])
}

#[derive(Default)]
struct Measured {
    time: Samples,
    /// Of the guests' trees.
    files: Samples,
    /// Of all that is there, a store too.
    space: Samples,
    memory: Samples,
    second: Samples,
}

impl Measured {
    fn one(&mut self, tool: &Tool, trees: &[PathBuf], guests: &[PathBuf], home: &Path) -> Outcome {
        let disk = Fresh::below(home)?;
        let copies = disk.path().join("copies");
        fs::create_dir_all(&copies).map_err(|error| error.to_string())?;
        for (guest, tree) in guests.iter().zip(trees.iter().cycle()) {
            run(command("cp", &["-a", "--reflink=never"]).arg(tree).arg(guest))?;
        }
        run(command("sync", &["-f"]).arg(&copies).stdout(Stdio::null()))?;
        let (time, memory) = tools::timed(tool, home)?;
        say(&format!("{}: {time:.0} ms", tool.name));
        self.time.entry(tool.name).or_default().push(time);
        self.memory.entry(tool.name).or_default().push(memory);
        self.files.entry(tool.name).or_default().push(tools::space(guests)?);
        self.space.entry(tool.name).or_default().push(tools::space(std::slice::from_ref(&copies))?);
        if tool.name == NAME {
            for _ in 0..ROUNDS {
                let words = ["find", &copies.to_string_lossy(), "-type", "f"].map(str::to_owned);
                let listing = Tool { name: "find", argv: words.to_vec() };
                self.second.entry("find").or_default().push(tools::timed(&listing, home)?.0);
                self.second.entry(NAME).or_default().push(tools::timed(tool, home)?.0);
            }
        }
        Ok(())
    }
}
