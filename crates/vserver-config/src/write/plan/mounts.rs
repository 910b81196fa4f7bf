//! `fstab`, `fstab.local`, `fstab.remote`: lines that a start leaves out are not among the entries, and stay.

use std::path::Path;

use super::super::editor::Editor;
use super::super::text::{Piece, merge};
use crate::model::GuestConfig;
use crate::mounts::{FstabEntry, entry_of};

const FILES: [&str; 3] = ["fstab", "fstab.local", "fstab.remote"];

pub(super) fn plan(editor: &mut Editor<'_>, now: &GuestConfig, wanted: &GuestConfig) {
    for file in FILES {
        let of = |config: &GuestConfig| {
            let own = config.fstab.iter().filter(|entry| entry.file.file_name() == Some(file.as_ref()));
            own.cloned().collect::<Vec<_>>()
        };
        let (is, shall) = (of(now), of(wanted));
        if !same(&is, &shall) {
            let old = editor.text(file).unwrap_or_default();
            let lines: Vec<String> = shall.iter().map(line).collect();
            editor.put(file, merge(&pieces(&old, file), &lines, str::to_owned));
        }
    }
}

/// Whether they mount the same; where they stand does not matter.
pub(super) fn same(one: &[FstabEntry], other: &[FstabEntry]) -> bool {
    let placeless = |entry: &FstabEntry| FstabEntry { line: 0, ..entry.clone() };
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| placeless(one) == placeless(other))
}

fn pieces<'t>(text: &'t str, file: &str) -> Vec<Piece<'t>> {
    let piece = |raw: &'t str| {
        let entry = entry_of(raw.trim_end_matches(['\n', '\r']), Path::new(file), 0, false).ok().flatten();
        let item = entry.filter(FstabEntry::is_mounted).map(|entry| line(&entry));
        Piece { raw, closed: (!raw.ends_with('\n')).then(|| format!("{raw}\n")), item }
    };
    text.split_inclusive('\n').map(piece).collect()
}

/// The fields that are read, in the usual layout; the fifth, for dump, is not.
fn line(entry: &FstabEntry) -> String {
    let FstabEntry { source, target, fstype, options, pass, file: _, line: _, remote: _ } = entry;
    format!("{source} {target} {} {} 0 {pass}", fstype.as_deref().unwrap_or("none"), options.join(","))
}
