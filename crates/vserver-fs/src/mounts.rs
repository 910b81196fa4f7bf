//! What is mounted below a directory, from `/proc/self/mountinfo`. proc(5).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::Error;

/// The mount points at or below `path` (which must be absolute and free of links) in this mount namespace.
pub fn mounts_below(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let table = "/proc/self/mountinfo";
    let bytes = std::fs::read(table).map_err(|e| Error::call("read", table, e))?;
    Ok(mount_points(&bytes).filter(|point| point.starts_with(path)).collect())
}

/// The mount points of such a table, in its order.
pub fn mount_points(table: &[u8]) -> impl Iterator<Item = PathBuf> {
    table.split(|b| *b == b'\n').filter_map(|line| line.split(|b| *b == b' ').nth(4).map(unescape))
}

/// The kernel writes blank, tab, newline and backslash as three octal digits after a backslash.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal =
            tail.get(..3).and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 8).ok());
        match (first, octal) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        let table = b"22 1 0:5 / /a\\040b rw - tmpfs tmpfs rw\n23 1 0:6 / /a rw - x y z\n";
        let points: Vec<_> = mount_points(table).collect();
        assert_eq!(points, [PathBuf::from("/a b"), PathBuf::from("/a")]);
    }

    #[test]
    fn a_sibling_with_the_same_beginning_is_not_below() {
        assert!(mounts_below(Path::new("/pro")).unwrap().is_empty());
        assert!(mounts_below(Path::new("/proc")).unwrap().contains(&PathBuf::from("/proc")));
    }
}
