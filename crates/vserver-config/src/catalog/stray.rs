//! Names that nothing reads: a slip of the finger, or a thing in the wrong place.

use std::path::Path;

use super::pattern::{Row, fits, is_free, rows};
use super::setting::{Kind, Tree};
use crate::error::Diagnostic;
use crate::nearest::nearest;
use crate::reader::{Reader, is_backup};

/// What other programs call a thing, and its name in this directory: these differ by more than a slip.
const SYNONYMS: [(&str, &str); 6] = [
    ("hostname", "nodename"),
    ("netmask", "mask"),
    ("address", "ip"),
    ("device", "dev"),
    ("space", "space_total"),
    ("inodes", "inodes_total"),
];

/// Warns of what is in a guest's directory and not in the table.
pub(crate) fn of_guest(reader: &mut Reader, dir: &Path) {
    level(reader, dir, Tree::Guest, &[]);
}

/// What is in `.defaults/`, `.distributions/` and the configuration root itself and not in the table, as warnings.
pub fn of_host(confdir: &Path) -> Vec<Diagnostic> {
    let mut reader = Reader::default();
    level(&mut reader, confdir, Tree::Top, &[]);
    level(&mut reader, &confdir.join(".defaults"), Tree::Defaults, &[]);
    let distributions = confdir.join(".distributions");
    for name in reader.names(&distributions) {
        level(&mut reader, &distributions.join(name), Tree::Distribution, &[]);
    }
    // What else is wrong with these files is told by those who read them.
    reader.findings
}

/// One directory, whose names below the root of the tree are `at`.
fn level(reader: &mut Reader, dir: &Path, tree: Tree, at: &[&str]) {
    let depth = at.len();
    let known: Vec<&Row> = rows(tree).iter().filter(|row| row.is_below(at)).collect();
    for name in reader.names(dir).into_iter().filter(|name| !is_backup(name)) {
        let path = dir.join(&name);
        let here = |row: &Row| row.segment(depth).filter(|(segment, _)| fits(segment, &name)).map(|(_, last)| last);
        let ends: Vec<&&Row> = known.iter().filter(|row| here(row) == Some(true)).collect();
        let goes_on: Vec<&&Row> = known.iter().filter(|row| here(row) == Some(false)).collect();
        let free = |row: &Row| row.segment(depth).is_some_and(|(segment, _)| is_free(segment));
        if path.is_dir() {
            if !goes_on.is_empty() {
                let below: Vec<&str> = at.iter().copied().chain([name.as_str()]).collect();
                level(reader, &path, tree, &below);
            } else if ends.iter().all(|row| free(row) && !may_be_directory(row.setting.kind)) {
                stray(reader, &path, &name, tree, &known, depth);
            } else if !ends.iter().any(|row| may_be_directory(row.setting.kind)) {
                reader.warn(&path, None, "nothing reads this", "it is known as a file only");
            }
        } else if ends.is_empty() && !goes_on.iter().any(|row| !free(row)) {
            stray(reader, &path, &name, tree, &known, depth);
        } else if ends.iter().all(|row| matches!(row.setting.kind, Kind::Directory | Kind::Group)) && path.is_file() {
            reader.warn(&path, None, "nothing reads this", "it is known as a directory only");
        } else if ends.iter().any(|row| holds_text(row.setting.kind)) && !path.is_file() {
            let what = if path.exists() { "it is no regular file" } else { "it is a link that leads nowhere" };
            reader.warn(&path, None, format!("{what}, and so is not read"), "make it a file, or remove it");
        }
    }
}

/// What is said in such a file is lost if it is none.
fn holds_text(kind: Kind) -> bool {
    !may_be_directory(kind) && kind != Kind::Program
}

/// Links may lead to directories, and of a flag only the existence counts.
fn may_be_directory(kind: Kind) -> bool {
    matches!(kind, Kind::Directory | Kind::Group | Kind::Link | Kind::Flag)
}

fn stray(reader: &mut Reader, path: &Path, name: &str, tree: Tree, known: &[&Row], depth: usize) {
    let fixed = known.iter().filter_map(|row| Some(row.segment(depth)?.0)).filter(|segment| !is_free(segment));
    let elsewhere = || {
        let mut all = rows(tree).iter().filter(|row| row.segments().last() == Some(name));
        all.next().map(|row| row.path.to_string())
    };
    let other = SYNONYMS.iter().find(|(word, _)| *word == name).map(|(_, here)| *here);
    let other = other.filter(|here| fixed.clone().any(|segment| segment == *here));
    let hint = other.or_else(|| nearest(name, fixed)).map(str::to_owned).or_else(elsewhere);
    let hint = hint.map(|near| format!("did you mean '{near}'?")).unwrap_or_default();
    reader.warn(path, None, "nothing reads this", &hint);
}
