//! What is in the directories of a tree. A guest's configuration could have some two hundred files and has a dozen: to
//! list a directory once is cheaper than to look for each.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::file::is_missing;

/// Directories that were looked into. They are taken not to change meanwhile.
#[derive(Debug, Default)]
pub(super) struct Listings(HashMap<PathBuf, Listing>);

#[derive(Debug)]
enum Listing {
    Names(BTreeSet<OsString>),
    /// It is not there, or no directory.
    Missing,
    /// What is in it has to be tried.
    Unknown(String),
}

impl Listings {
    /// Whether `path` surely is not there.
    pub fn lack(&mut self, path: &Path) -> bool {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return false };
        match self.of(dir) {
            Listing::Names(names) => !names.contains(name),
            Listing::Missing => true,
            Listing::Unknown(_) => false,
        }
    }

    /// The names in a directory in the order of their bytes; none if it is not there.
    pub fn names(&mut self, dir: &Path) -> Result<Vec<OsString>, String> {
        match self.of(dir) {
            Listing::Names(names) => Ok(names.iter().cloned().collect()),
            Listing::Missing => Ok(Vec::new()),
            Listing::Unknown(why) => Err(why.clone()),
        }
    }

    fn of(&mut self, dir: &Path) -> &Listing {
        // The directory above was looked into first, as a rule, and knows best what is not there.
        let above = dir.parent().zip(dir.file_name()).and_then(|(above, name)| match self.0.get(above)? {
            Listing::Names(names) => (!names.contains(name)).then_some(Listing::Missing),
            Listing::Missing => Some(Listing::Missing),
            Listing::Unknown(_) => None,
        });
        self.0.entry(dir.to_owned()).or_insert_with(|| above.unwrap_or_else(|| list(dir)))
    }
}

fn list(dir: &Path) -> Listing {
    let names = || -> io::Result<_> { std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect() };
    match names() {
        Ok(names) => Listing::Names(names),
        Err(error) if is_missing(&error) => Listing::Missing,
        Err(error) => Listing::Unknown(error.to_string()),
    }
}
