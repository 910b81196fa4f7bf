//! One tree of large files, half of which are there twice. It is written once; what a tool has made one is two again before
//! the next one begins.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::figure::{Figure, Goal};
use super::{Samples, tools};
use crate::Outcome;
use crate::shell::{command, run, say};

/// Contents, each in two files.
const CONTENTS: u64 = 20;
const MIB: u64 = 1 << 20;
/// Bytes of all files, and how often each tool runs on them.
const SMALL: (u64, usize) = (1 << 30, 3);
const FULL: (u64, usize) = (20 << 30, 1);

/// The tree is gone with the directory that it is in.
pub fn measure(bin: &Path, home: &Path, full: bool) -> Result<Vec<Figure>, String> {
    let (bytes, rounds) = if full { FULL } else { SMALL };
    let tree = Tree::write(&home.join("large"), bytes)?;
    let (mut time, mut memory, mut space) = (Samples::new(), Samples::new(), Samples::new());
    for round in 1..=rounds {
        for tool in tools::all(bin, home, &tree.dir, std::slice::from_ref(&tree.root)) {
            say(&format!("large files of {} MiB, round {round} of {rounds}: {}", bytes / MIB, tool.name));
            run(command("sync", &["-f"]).arg(&tree.dir))?;
            let (took, most) = tools::timed(&tool, home)?;
            say(&format!("{}: {took:.0} ms", tool.name));
            time.entry(tool.name).or_default().push(took);
            memory.entry(tool.name).or_default().push(most);
            space.entry(tool.name).or_default().push(tools::space(std::slice::from_ref(&tree.dir))?);
            tree.part()?;
        }
    }
    fs::remove_dir_all(&tree.dir).map_err(|error| format!("could not remove {}: {error}", tree.dir.display()))?;
    let work = if full { "equal files of 20 GiB one" } else { "equal files of 1 GiB one (--full: 20)" };
    Ok(vec![
        Figure::new(work, "ms", Goal::OfBest(1.0 / 3.0), time),
        Figure::new("space of them afterwards", "MiB", Goal::OfBest(1.0), space),
        Figure::new("memory for that", "kB", Goal::AtMost(65_536.0), memory),
    ])
}

struct Tree {
    /// What the tools get; our store is in it.
    dir: PathBuf,
    root: PathBuf,
}

impl Tree {
    /// Nothing in it can be stored in less than it is. Every fourth content is as long as the one before.
    fn write(dir: &Path, bytes: u64) -> Result<Self, String> {
        say(&format!("writing {} MiB of large files", bytes / MIB));
        let tree = Self { dir: dir.to_owned(), root: dir.join("tree") };
        fs::create_dir_all(&tree.root).map_err(|error| format!("could not make {}: {error}", dir.display()))?;
        for content in 0..CONTENTS {
            let size = bytes / CONTENTS / 2 - (content - u64::from(content % 4 == 3)) * 4096;
            for copy in 0..2 {
                let file = tree.file(content, copy);
                let written = noise(&file, size, content + 1);
                written.map_err(|error| format!("could not write {}: {error}", file.display()))?;
            }
        }
        Ok(tree)
    }

    fn file(&self, content: u64, copy: u64) -> PathBuf {
        self.root.join(format!("{content:02}-{copy}"))
    }

    /// Two files again of each content, without a store.
    fn part(&self) -> Outcome {
        let _ = fs::remove_dir_all(self.dir.join(".hash"));
        for content in 0..CONTENTS {
            let (one, two) = (self.file(content, 0), self.file(content, 1));
            let inode = |path: &Path| path.symlink_metadata().map(|found| found.ino());
            let both = inode(&one).and_then(|one| Ok((one, inode(&two)?)));
            let (first, second) = both.map_err(|error| format!("a tool has lost {}: {error}", two.display()))?;
            if first == second {
                let new = self.dir.join("new");
                run(command("cp", &["-p", "--reflink=never"]).arg(&one).arg(&new))?;
                fs::rename(&new, &two).map_err(|error| format!("could not write {}: {error}", two.display()))?;
            }
        }
        Ok(())
    }
}

/// Numbers that look like chance (xorshift64), the same for the same seed.
fn noise(path: &Path, size: u64, seed: u64) -> std::io::Result<()> {
    let (mut file, mut state) = (File::create_new(path)?, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut left = size;
    let mut block = Vec::with_capacity(MIB as usize);
    while left > 0 {
        block.clear();
        while (block.len() as u64) < left.min(MIB) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.extend(state.to_le_bytes());
        }
        block.truncate(left.min(MIB) as usize);
        file.write_all(&block)?;
        left -= block.len() as u64;
    }
    Ok(())
}
