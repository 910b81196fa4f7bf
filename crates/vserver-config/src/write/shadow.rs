//! A directory that reads like another one, to try changes on: it has links to what is in that one, and real entries
//! only where something is to change.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::editor::{Change, Changes};
use crate::error::Error;

/// Entries that are settings as links.
const LINKS: [&str; 3] = ["vdir", "run", "cache"];

/// Makes `to` read like the guest's directory `from`.
pub(super) fn shadow(from: &Path, to: &Path) -> Result<(), Error> {
    imitate(from, to, &LINKS)
}

/// Those of `links` that are links get the same target, all else one that leads to it.
fn imitate(from: &Path, to: &Path, links: &[&str]) -> Result<(), Error> {
    fs::create_dir(to).map_err(Error::io("create", to))?;
    for entry in fs::read_dir(from).map_err(Error::io("list", from))? {
        let entry = entry.map_err(Error::io("list", from))?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        let own_link = links.iter().any(|link| entry.file_name() == *link);
        // A link must not seem to be one if it is none: a whole tree cannot be replaced by one.
        if own_link && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            fs::create_dir(&copy).map_err(Error::io("create", &copy))?;
            continue;
        }
        let target = if own_link { fs::read_link(&path).unwrap_or(path) } else { path };
        symlink(target, &copy).map_err(Error::io("create", &copy))?;
    }
    Ok(())
}

/// Makes everything real that the changes touch: nothing is written through a link of the shadow.
pub(super) fn detach(shadow_dir: &Path, changes: &Changes) -> Result<(), Error> {
    for (file, change) in changes {
        let mut here = shadow_dir.to_owned();
        for part in file.parent().into_iter().flat_map(Path::components) {
            here.push(part);
            if here.is_symlink() && here.is_dir() {
                let real = fs::canonicalize(&here).map_err(Error::io("find", &here))?;
                fs::remove_file(&here).map_err(Error::io("remove", &here))?;
                imitate(&real, &here, &[])?;
            }
        }
        let last = shadow_dir.join(file);
        if matches!(change, Change::Text(_)) && last.is_symlink() {
            fs::remove_file(&last).map_err(Error::io("remove", &last))?;
        }
    }
    Ok(())
}
