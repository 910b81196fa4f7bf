//! A policy namespace: a directory of AppArmor's own file system. Making and removing one asks for CAP_MAC_ADMIN and for
//! a caller that no profile confines.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::kernel::NAMESPACES;

/// Makes it, empty: a program in it is confined by nothing. One that is there already is left of an accident, and may hold
/// anything.
pub fn make(name: &str) -> io::Result<()> {
    let path = Path::new(NAMESPACES).join(name);
    match fs::create_dir(&path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            fs::remove_dir(&path)?;
            fs::create_dir(&path)
        }
        made => made,
    }
}

/// Removes it with all that was loaded into it.
pub fn remove(name: &str) -> io::Result<()> {
    match fs::remove_dir(Path::new(NAMESPACES).join(name)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
