//! A guest's directory with changes that are only planned: they can be tried on a copy first.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::text;
use crate::error::Error;
use crate::reader::{Reader, shell_read};

/// What becomes of one entry, by its path below the guest's directory.
pub(super) type Changes = BTreeMap<PathBuf, Change>;

/// What becomes of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A file with this text; owner and mode stay.
    Text(String),
    /// A symbolic link to there.
    Link(PathBuf),
    /// A directory.
    Directory,
    /// It is removed.
    Gone,
    /// It gets a name that nothing reads, with all that is in it.
    Aside,
}

/// Plans changes, and only those that change something.
pub(super) struct Editor<'a> {
    dir: &'a Path,
    changes: Changes,
    /// A file that would have to be read to be changed, and cannot.
    unreadable: Option<PathBuf>,
}

impl<'a> Editor<'a> {
    pub fn new(dir: &'a Path) -> Self {
        Self { dir, changes: Changes::new(), unreadable: None }
    }

    /// # Errors
    /// [`Error::Io`]: what is in a file that is no text would be lost.
    pub fn changes(self) -> Result<Changes, Error> {
        match self.unreadable {
            None => Ok(self.changes),
            Some(path) => {
                let reason = "it is no readable text; correct or remove it";
                Err(Error::io("change", &path)(io::Error::new(io::ErrorKind::InvalidData, reason)))
            }
        }
    }

    /// The names below a directory, of what is there now.
    pub fn names(&self, dir: &str) -> Vec<String> {
        Reader::default().names(&self.dir.join(dir))
    }

    /// Whether there is such an entry; a dangling link is none.
    pub fn exists(&self, file: &str) -> bool {
        Reader::exists(&self.dir.join(file))
    }

    pub fn is_dir(&self, file: &str) -> bool {
        self.dir.join(file).is_dir()
    }

    /// A file's text as it is now.
    pub fn text(&self, file: &str) -> Option<String> {
        Reader::default().text(&self.dir.join(file))
    }

    /// A file's value (R1) as it is now.
    pub fn value(&self, file: &str) -> Option<String> {
        self.text(file).map(|text| shell_read(&text).0)
    }

    pub fn put(&mut self, file: &str, text: String) {
        let old = self.text(file);
        if old.is_none() && fs::symlink_metadata(self.dir.join(file)).is_ok() {
            self.unreadable = Some(self.dir.join(file));
        } else if old.as_ref() != Some(&text) {
            self.changes.insert(file.into(), Change::Text(text));
        }
    }

    /// R1; without a value there is no file.
    pub fn scalar(&mut self, file: &str, value: Option<&str>) {
        match value {
            Some(value) => self.put(file, text::scalar(&self.text(file).unwrap_or_default(), value)),
            None => self.remove(file),
        }
    }

    /// R2; a file that is not there is not made for nothing.
    pub fn list(&mut self, file: &str, items: &[String]) {
        let old = self.text(file);
        if old.is_some() || !items.is_empty() {
            self.put(file, text::list(&old.unwrap_or_default(), items));
        }
    }

    /// R3; no arguments are something else than no file.
    pub fn arguments(&mut self, file: &str, items: Option<&[String]>) {
        match items {
            Some(items) => self.put(file, text::arguments(&self.text(file).unwrap_or_default(), items)),
            None => self.remove(file),
        }
    }

    /// Existence is what counts.
    pub fn flag(&mut self, file: &str, set: bool) {
        match set {
            true if !self.exists(file) => drop(self.changes.insert(file.into(), Change::Text(String::new()))),
            true => {}
            false => self.remove(file),
        }
    }

    pub fn link(&mut self, file: &str, target: &Path) {
        if fs::read_link(self.dir.join(file)).ok().as_deref() != Some(target) {
            self.changes.insert(file.into(), Change::Link(target.to_owned()));
        }
    }

    pub fn directory(&mut self, file: &str) {
        if !self.is_dir(file) {
            self.changes.insert(file.into(), Change::Directory);
        }
    }

    pub fn remove(&mut self, file: &str) {
        if fs::symlink_metadata(self.dir.join(file)).is_ok() {
            self.changes.insert(file.into(), Change::Gone);
        }
    }

    /// For directories: what nothing reads in them is not ours to remove.
    pub fn set_aside(&mut self, dir: &str) {
        if fs::symlink_metadata(self.dir.join(dir)).is_ok() {
            self.changes.insert(dir.into(), Change::Aside);
        }
    }
}
