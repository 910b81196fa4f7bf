//! Names that nothing reads: a slip of the finger, or a thing in the wrong place.

use std::collections::BTreeSet;
use std::path::Path;

use super::pattern::{Row, is_free, rows};
use super::setting::{Kind, Tree};
use crate::error::Diagnostic;
use crate::nearest::nearest;
use crate::reader::{Reader, is_backup};

/// What other programs call a thing, and its name in this directory: these differ by more than a slip.
const SYNONYMS: [(&str, &str); 16] = [
    ("hostname", "nodename"),
    ("netmask", "mask"),
    ("address", "ip"),
    ("device", "dev"),
    ("label", "name"),
    ("broadcast", "bcast"),
    ("space", "space_total"),
    ("inodes", "inodes_total"),
    ("mem", "rss"),
    ("memory", "rss"),
    ("procs", "nproc"),
    ("files", "nofile"),
    ("xid", "context"),
    ("init", "style"),
    ("env", "environment"),
    ("burst", "tokens-max"),
];

/// The same where the name is elsewhere in the tree.
const ELSEWHERE: [(&str, &str); 9] = [
    ("onboot", "apps/init/mark"),
    ("autostart", "apps/init/mark"),
    ("boot", "apps/init/mark"),
    ("hostname", "uts/nodename"),
    ("ip", "interfaces/0/ip"),
    ("root", "vdir"),
    ("memory", "rlimits/rss"),
    ("ulimit", "ulimits/"),
    ("limits", "rlimits/"),
];

/// Most names that are listed where none is near.
const LISTED: usize = 24;

/// Warns of what is in a guest's directory and not in the table.
pub(crate) fn of_guest(reader: &mut Reader, dir: &Path) {
    level(reader, dir, Tree::Guest, &whole(Tree::Guest), 0);
}

/// What is in `.defaults/`, `.distributions/` and the configuration root itself and not in the table, as warnings.
pub fn of_host(confdir: &Path) -> Vec<Diagnostic> {
    let mut reader = Reader::default();
    level(&mut reader, confdir, Tree::Top, &whole(Tree::Top), 0);
    level(&mut reader, &confdir.join(".defaults"), Tree::Defaults, &whole(Tree::Defaults), 0);
    let distributions = confdir.join(".distributions");
    for name in reader.names(&distributions) {
        level(&mut reader, &distributions.join(name), Tree::Distribution, &whole(Tree::Distribution), 0);
    }
    // What else is wrong with these files is told by those who read them.
    reader.findings
}

fn whole(tree: Tree) -> Vec<&'static Row> {
    rows(tree).iter().collect()
}

/// One directory, so deep below the root of the tree; `known` is what the table has below it.
fn level(reader: &mut Reader, dir: &Path, tree: Tree, known: &[&Row], depth: usize) {
    for name in reader.names(dir).into_iter().filter(|name| !is_backup(name)) {
        let path = dir.join(&name);
        let (mut ends, mut goes_on) = (Vec::new(), Vec::new());
        for row in known {
            match row.leads_to(depth, &name) {
                Some(true) => ends.push(*row),
                Some(false) => goes_on.push(*row),
                None => {}
            }
        }
        let free = |row: &Row| row.segment(depth).is_some_and(|(segment, _)| is_free(segment));
        if path.is_dir() {
            if !goes_on.is_empty() {
                level(reader, &path, tree, &goes_on, depth + 1);
            } else if ends.iter().all(|row| free(row) && !may_be_directory(row.setting.kind)) {
                stray(reader, &path, &name, tree, known, depth);
            } else if !ends.iter().any(|row| may_be_directory(row.setting.kind)) {
                reader.warn(&path, None, "nothing reads this", "it is known as a file only");
            }
        } else if ends.is_empty() && !goes_on.iter().any(|row| !free(row)) {
            stray(reader, &path, &name, tree, known, depth);
        } else if ends.iter().all(|row| matches!(row.setting.kind, Kind::Directory | Kind::Group)) && path.is_file() {
            reader.warn(&path, None, "nothing reads this", "it is known as a directory only");
        } else if ends.iter().any(|row| is_read(row.setting.kind)) && !path.is_file() {
            let what = if path.exists() { "it is no regular file" } else { "it is a link that leads nowhere" };
            reader.warn(&path, None, format!("{what}, and so is not read"), "make it a file, or remove it");
        }
    }
}

/// What is said in such a file is lost if it is none.
fn is_read(kind: Kind) -> bool {
    !may_be_directory(kind)
}

/// Links may lead to directories, and of a flag only the existence counts.
fn may_be_directory(kind: Kind) -> bool {
    matches!(kind, Kind::Directory | Kind::Group | Kind::Link | Kind::Flag)
}

fn stray(reader: &mut Reader, path: &Path, name: &str, tree: Tree, known: &[&Row], depth: usize) {
    // What is in its way was told with more reason.
    if reader.findings.iter().any(|finding| finding.path == path) {
        return;
    }
    let fixed = known.iter().filter_map(|row| Some(row.segment(depth)?.0)).filter(|segment| !is_free(segment));
    let fixed: BTreeSet<&str> = fixed.collect();
    let meant = meant(name, &fixed).map(str::to_owned).or_else(|| elsewhere(name, tree, depth));
    let hint = match meant {
        Some(meant) => format!("did you mean '{meant}'?"),
        None if depth > 0 && (1..=LISTED).contains(&stems(&fixed).len()) => {
            format!("the names here are: {}", stems(&fixed).join(" "))
        }
        None => "docs/config.md lists what is read; remove it, or let its name end in '~'".to_owned(),
    };
    reader.warn(path, None, "nothing reads this", &hint);
}

/// Another name of this directory. A wrong ending of a right name is not corrected: it might be any of the others.
fn meant<'a>(name: &str, fixed: &BTreeSet<&'a str>) -> Option<&'a str> {
    let other = SYNONYMS.iter().find(|(word, _)| *word == name);
    if let Some(other) = other.and_then(|(_, here)| fixed.get(here)) {
        return Some(other);
    }
    let ended = name.split_once('.').filter(|(stem, _)| endings(fixed, stem).count() > 1);
    if ended.is_some_and(|(stem, end)| nearest(end, endings(fixed, stem)).is_none()) {
        return None;
    }
    nearest(name, fixed.iter().copied())
}

/// What stands behind the dot of a name's variants.
fn endings<'a>(fixed: &BTreeSet<&'a str>, stem: &str) -> impl Iterator<Item = &'a str> {
    fixed.iter().filter_map(move |known| known.strip_prefix(stem)?.strip_prefix('.'))
}

/// A path of the tree that ends so, or the place of what other programs call so.
fn elsewhere(name: &str, tree: Tree, depth: usize) -> Option<String> {
    let mut same = rows(tree).iter().filter(|row| row.segments().last() == Some(name));
    let place = ELSEWHERE.iter().filter(|_| tree == Tree::Guest && depth == 0).find(|(word, _)| *word == name);
    same.next().map(|row| row.path.to_string()).or_else(|| place.map(|(_, place)| (*place).to_owned()))
}

/// The names, those with several endings once with all of these.
fn stems(fixed: &BTreeSet<&str>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in fixed {
        let stem = name.split_once('.').map_or(*name, |(stem, _)| stem);
        if stem != *name && fixed.contains(stem) {
            continue;
        }
        let ends: Vec<&str> = endings(fixed, name).collect();
        all.push(if ends.is_empty() { (*name).to_owned() } else { format!("{name}[.{}]", ends.join("|.")) });
    }
    all
}
