//! `sysctl/*/setting` and `sysctl/*/value`: R7 of `config-tree.md` §1.3.

use std::path::Path;

use crate::reader::Reader;

/// Longest of either, bytes, as in the original.
const MAX: usize = 127;

/// Names below `/proc/sys` with their values, in alphabetical order of the entries.
pub(super) fn read(reader: &mut Reader, dir: &Path) -> Vec<(String, String)> {
    entries(reader, &dir.join("sysctl"))
}

/// The same of any directory of such entries.
pub(super) fn entries(reader: &mut Reader, dir: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in reader.names(dir) {
        let entry = dir.join(entry);
        if !entry.is_dir() {
            reader.error(&entry, None, "it is not a directory", "make a directory with the files setting and value");
            continue;
        }
        let (setting, value) = (member(reader, &entry, "setting"), member(reader, &entry, "value"));
        let (Some(setting), Some(value)) = (setting, value) else { continue };
        let name = setting.lines().next().unwrap_or_default().trim().replace('.', "/");
        let fine = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':'))
        };
        if name.split('/').all(fine) {
            all.push((name, value));
        } else {
            let message = format!("'{}' is not the name of a setting", setting.trim_end().escape_debug());
            reader.error(&entry.join("setting"), Some(1), message, "a name like kernel.msgmax");
        }
    }
    all
}

fn member(reader: &mut Reader, entry: &Path, file: &str) -> Option<String> {
    let path = entry.join(file);
    if !path.is_file() {
        reader.error(&path, None, "it does not exist", "an entry has the files setting and value");
        return None;
    }
    let text = reader.text(&path)?;
    if text.len() > MAX {
        reader.error(&path, None, format!("it has {} bytes", text.len()), "at most 127 bytes are allowed");
        return None;
    }
    Some(text)
}
