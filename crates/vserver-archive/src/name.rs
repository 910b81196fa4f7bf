//! Names in an archive, checked before anything is done with them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::Error;
use crate::error::shown;
use crate::options::Limits;

/// Longest component, in bytes (`NAME_MAX`).
const COMPONENT: usize = 255;

/// A name as a path below the root; the empty path is the root itself.
pub(crate) fn below_root(name: &[u8], what: &str, entry: &[u8], limits: &Limits) -> Result<PathBuf, Error> {
    let refused = |why: &str| Error::Refused { entry: shown(entry), reason: format!("has {what} that {why}") };
    if name.len() > limits.path {
        return Err(refused("is too long"));
    }
    if name.contains(&0) {
        return Err(refused("has a NUL byte in it"));
    }
    if name.first() == Some(&b'/') {
        return Err(refused("is absolute"));
    }
    let mut path = PathBuf::new();
    for part in name.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err(refused("leads out of its directory ('..')")),
            part if part.len() > COMPONENT => return Err(refused("has a component longer than 255 bytes")),
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    if path.components().count() > limits.depth {
        return Err(refused("is too many directories deep"));
    }
    Ok(path)
}
