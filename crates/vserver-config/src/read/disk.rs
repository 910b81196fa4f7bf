//! `tag`, `dlimits/` and our own `disk/`: what a guest may fill. Source: util-vserver, `config-tree.md` §5.5.

use std::path::{Path, PathBuf};

use vserver_types::{Xid, c_integer};

use crate::model::DiskLimit;
use crate::reader::Reader;

/// The files of one limit, all of which are needed.
pub(super) const FILES: [&str; 4] = ["directory", "space_total", "inodes_total", "reserved"];

/// R8: the number that marks the guest's files.
pub(super) fn tag(reader: &mut Reader, dir: &Path) -> Option<Xid> {
    let path = dir.join("tag");
    let text = reader.scalar(&path)?;
    let tag = text.parse::<Xid>().ok().filter(|tag| text.len() <= 50 && tag.0 != 0);
    if tag.is_none() {
        let shown: String = text.chars().take(50).collect();
        reader.error(
            &path,
            Some(1),
            format!("'{}' is not a tag", shown.escape_debug()),
            "a tag is a decimal number from 1 to 65534",
        );
    }
    tag
}

/// All that are not switched off, in alphabetical order. One with a fault is left out.
pub(super) fn limits(reader: &mut Reader, dir: &Path) -> Vec<DiskLimit> {
    let base = dir.join("dlimits");
    let mut all = Vec::new();
    for name in reader.names(&base) {
        let dir = base.join(&name);
        if dir.is_dir() && !Reader::exists(&dir.join("disabled")) {
            all.extend(limit(reader, &dir, name));
        }
    }
    all
}

fn limit(reader: &mut Reader, dir: &Path, name: String) -> Option<DiskLimit> {
    let missing: Vec<_> = FILES.into_iter().filter(|file| !dir.join(file).is_file()).collect();
    for file in &missing {
        let hint =
            "a limit has directory, space_total, inodes_total and reserved; an empty file 'disabled' switches it off";
        reader.error(&dir.join(file), None, "it does not exist", hint);
    }
    if !missing.is_empty() {
        return None;
    }
    let directory = directory(reader, &dir.join("directory"));
    let (space, inodes) = (bound(reader, &dir.join("space_total")), bound(reader, &dir.join("inodes_total")));
    let reserved = percent(reader, &dir.join("reserved"));
    Some(DiskLimit { name, directory: directory?, space: space?, inodes: inodes?, reserved: reserved? })
}

fn directory(reader: &mut Reader, path: &Path) -> Option<PathBuf> {
    let text = reader.scalar(path)?;
    if text.starts_with('/') {
        return Some(PathBuf::from(text));
    }
    reader.error(path, Some(1), format!("'{}' is not an absolute path of the host", text.escape_debug()), "");
    None
}

/// An integer in C notation; −1 is "no limit", and so is −2, "keep", since nothing is there before a start. Both also as the
/// original's 32 bits show them. Source: `flags.md` §11.
fn bound(reader: &mut Reader, path: &Path) -> Option<Option<u64>> {
    let text = reader.scalar(path)?;
    let value = match c_integer(&text) {
        Some(-2 | -1 | 0xffff_fffe | 0xffff_ffff) => Some(None),
        Some(number) => u64::try_from(number).ok().map(Some),
        None => None,
    };
    if value.is_none() {
        let message = format!("'{}' is not a limit", text.escape_debug());
        reader.error(
            path,
            Some(1),
            message,
            "a number in C notation without a suffix (space in KiB), or -1 for none",
        );
    }
    value
}

fn percent(reader: &mut Reader, path: &Path) -> Option<u8> {
    let text = reader.scalar(path)?;
    let value = c_integer(&text).and_then(|number| u8::try_from(number).ok()).filter(|number| *number <= 100);
    if value.is_none() {
        reader.error(
            path,
            Some(1),
            format!("'{}' is not a percentage", text.escape_debug()),
            "a number from 0 to 100",
        );
    }
    value
}

/// The image that is mounted as the guest's root.
pub(super) fn image(reader: &mut Reader, dir: &Path) -> Option<PathBuf> {
    if !reader.has_dir(&dir.join("disk")) {
        return None;
    }
    let path = dir.join("disk/image");
    match Reader::exists(&path) {
        true => directory(reader, &path),
        false => None,
    }
}
