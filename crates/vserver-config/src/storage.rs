//! How trees are kept: `apps/snapshot/` and `apps/build/`. Ours: the original had neither.

use std::path::Path;

use vserver_types::GuestName;

use crate::Error;
use crate::reader::Reader;

const KEEP: &str = "apps/snapshot/keep";
const SUBVOLUME: &str = "apps/build/subvolume";
/// Undoes what all guests have.
const ALL: &str = "all";

/// How many snapshots a guest has at most once a further one is made, at least 1: its own setting, else that of all guests.
/// `None` keeps all.
///
/// # Errors
/// [`Error::Invalid`]: the file says something else than a number from 1 on or `all`.
pub fn snapshots_kept(confdir: &Path, name: &GuestName) -> Result<Option<u32>, Error> {
    let mut reader = Reader::default();
    let places = [confdir.join(name.as_str()).join(KEEP), confdir.join(".defaults").join(KEEP)];
    let Some(path) = places.into_iter().find(|path| reader.has_file(path)) else { return Ok(None) };
    let text = reader.scalar(&path).unwrap_or_default();
    match text.parse::<u32>() {
        Ok(count @ 1..) => return Ok(Some(count)),
        _ if text == ALL => return Ok(None),
        _ => {}
    }
    reader.error(
        &path,
        Some(1),
        format!("'{}' is not a number of snapshots", text.escape_debug()),
        "write a number from 1 on, or 'all' to delete none",
    );
    Err(Error::Invalid { diagnostics: reader.findings })
}

/// Whether each new tree on btrfs is a subvolume.
pub fn subvolumes(confdir: &Path) -> bool {
    Reader::exists(&confdir.join(".defaults").join(SUBVOLUME))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_guest_has_what_it_says_else_what_all_have() {
        let dir = tempfile::tempdir().unwrap();
        let put = |file: &str, text: &str| {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let name: GuestName = "web1".parse().unwrap();
        let kept = || snapshots_kept(dir.path(), &name);
        assert_eq!(kept().unwrap(), None);
        put(".defaults/apps/snapshot/keep", "7\n");
        assert_eq!(kept().unwrap(), Some(7));
        put("web1/apps/snapshot/keep", "3\n");
        assert_eq!(kept().unwrap(), Some(3));
        put("web1/apps/snapshot/keep", "all\n");
        assert_eq!(kept().unwrap(), None);
        for wrong in ["0\n", "-1\n", "seven\n", "\n", "4294967296\n"] {
            put("web1/apps/snapshot/keep", wrong);
            assert!(kept().unwrap_err().to_string().contains("write a number from 1 on"), "{wrong:?}");
        }
        assert!(!subvolumes(dir.path()));
        put(".defaults/apps/build/subvolume", "");
        assert!(subvolumes(dir.path()));
    }
}
