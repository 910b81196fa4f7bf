//! The settings that a guest really has: its own, and those of `.defaults/` that reach it.

use std::path::Path;

use vserver_types::{Unenforced, Verdict};

use super::pattern::{Row, rows};
use super::setting::{Kind, Reach, Setting, Told, Tree};
use crate::reader::{Reader, is_backup};

/// One of them.
#[derive(Clone, Debug)]
pub struct Found {
    /// Below the guest's directory, or with `.defaults/` before it.
    pub path: String,
    /// Its entry.
    pub setting: &'static Setting,
}

/// Those of the guest in `dir`, in alphabetical order, its own first.
pub fn found(confdir: &Path, dir: &Path) -> Vec<Found> {
    found_by(&mut Reader::default(), confdir, dir)
}

/// The same for one who has looked into these directories already.
pub(crate) fn found_by(reader: &mut Reader, confdir: &Path, dir: &Path) -> Vec<Found> {
    let mut all = Vec::new();
    walk(reader, dir, &every(Tree::Guest), &mut Vec::new(), &mut all);
    let mut shared = Vec::new();
    walk(reader, &confdir.join(".defaults"), &every(Tree::Defaults), &mut Vec::new(), &mut shared);
    shared.retain(|one| reaches(one, dir));
    all.extend(shared.into_iter().map(|one| Found { path: format!(".defaults/{}", one.path), ..one }));
    all
}

/// Those that nothing applies, whatever is in them: said at start. What is in a directory of that kind is not said again.
pub(crate) fn unapplied(found: &[Found]) -> Vec<Unenforced> {
    let mut all: Vec<Unenforced> = Vec::new();
    for one in found {
        if one.setting.verdict != Verdict::Cannot || one.setting.told != Told::ByBeingThere {
            continue;
        }
        let told = |above: &Unenforced| {
            one.path.strip_prefix(&above.setting).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !all.iter().any(told) {
            all.push(Unenforced::none(&one.path, one.setting.how));
        }
    }
    all
}

fn reaches(one: &Found, guest: &Path) -> bool {
    match one.setting.reach {
        Reach::Host => false,
        Reach::Guests(hidden_by) => {
            let has = |path: &str| guest.join(path).symlink_metadata().is_ok();
            // One program is run for an event or a method, the guest's own first.
            let replaced = one.setting.kind == Kind::Program && has(&one.path);
            !replaced && !hidden_by.iter().any(|path| has(path))
        }
    }
}

fn every(tree: Tree) -> Vec<&'static Row> {
    rows(tree).iter().collect()
}

/// One directory; `known` is what the table has below it. Of several entries for a path the one with the most words of
/// its own counts.
fn walk(reader: &mut Reader, dir: &Path, known: &[&'static Row], at: &mut Vec<String>, all: &mut Vec<Found>) {
    let mut names = reader.names(dir);
    names.retain(|name| !is_backup(name));
    for name in names {
        let path = dir.join(&name);
        let leads = |row: &&Row| row.leads_to(at.len(), &name);
        let here = known.iter().filter(|row| leads(row) == Some(true)).max_by_key(|row| row.exactness());
        let below: Vec<&Row> = known.iter().copied().filter(|row| leads(row) == Some(false)).collect();
        at.push(name);
        if let Some(setting) = here.map(|row| row.setting).filter(|setting| counts(reader, &path, setting.kind)) {
            all.push(Found { path: at.join("/"), setting });
        }
        if !below.is_empty() && path.is_dir() {
            walk(reader, &path, &below, at, all);
        }
        at.pop();
    }
}

fn counts(reader: &mut Reader, path: &Path, kind: Kind) -> bool {
    match kind {
        Kind::Directory => path.is_dir(),
        Kind::Group => reader.names(path).iter().any(|name| !is_backup(name)),
        Kind::Link => path.symlink_metadata().is_ok(),
        Kind::Flag => Reader::exists(path),
        _ => path.is_file(),
    }
}
