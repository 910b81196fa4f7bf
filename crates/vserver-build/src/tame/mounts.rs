//! `/etc/fstab` of a machine with disks: a guest has none.

use vserver_fs::GuestRoot;

use super::change::Change;
use super::system::text;
use crate::Error;

const MARK: &str = "#imported# ";
/// Kinds that need no disk, and are not mounted by the host anyway.
const HARMLESS: [&str; 1] = ["tmpfs"];

/// A line of fstab(5): what, where, and of which kind.
pub(crate) struct Line {
    pub source: String,
    pub target: String,
    pub kind: String,
}

/// The lines that mount something.
pub(crate) fn lines(root: &GuestRoot) -> Result<Vec<Line>, Error> {
    let text = text(root, "etc/fstab")?.unwrap_or_default();
    Ok(text.lines().filter_map(line).collect())
}

fn line(text: &str) -> Option<Line> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.as_slice() {
        [source, target, kind, ..] if !source.starts_with('#') => {
            Some(Line { source: (*source).to_owned(), target: (*target).to_owned(), kind: (*kind).to_owned() })
        }
        _ => None,
    }
}

/// Its lines become comments.
pub(crate) fn changes(root: &GuestRoot) -> Result<Vec<Change>, Error> {
    let Some(old) = text(root, "etc/fstab")? else { return Ok(Vec::new()) };
    let new: String = old
        .lines()
        .map(|text| match line(text) {
            Some(line) if !HARMLESS.contains(&line.kind.as_str()) => format!("{MARK}{text}\n"),
            _ => format!("{text}\n"),
        })
        .collect();
    match new == old {
        true => Ok(Vec::new()),
        false => Ok(vec![Change::write(
            "etc/fstab",
            new,
            "file systems are mounted from outside, by the guest's fstab on the host",
        )]),
    }
}
