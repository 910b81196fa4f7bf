//! Reading and writing control files.
//!
//! They are addressed by path. Below `guest/` a hostile guest may have made directories, but a cgroup file system knows
//! neither symbolic links nor renaming across directories, and `cgroup.max.depth` keeps paths short.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::Error;

/// What the kernel gives of a control file in one go.
const PAGE: usize = 4096;

/// The content without its final newline.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    // They do not know their own size, and a buffer that grows from 32 bytes asks again and again.
    let mut text = String::with_capacity(PAGE);
    let read = File::open(path).and_then(|mut file| file.read_to_string(&mut text));
    read.map_err(|source| Error::Read { path: path.to_owned(), source })?;
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// As [`read`]; `None` if there is no such file, or the kernel has it but not here (`EOPNOTSUPP`).
pub(crate) fn read_optional(path: &Path) -> Result<Option<String>, Error> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(Error::Read { source, .. }) if is_missing(&source) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes `value` in one call: a control file takes each write(2) as a command of its own. Truncation does nothing on
/// the kernel's files and makes directories of plain files behave alike.
pub(crate) fn write(path: &Path, value: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    file.write(value.as_bytes()).map(drop)
}

/// As [`write()`], for what must succeed.
pub(crate) fn must_write(path: &Path, value: &str) -> Result<(), Error> {
    write(path, value).map_err(|source| Error::Write { path: path.to_owned(), value: value.to_owned(), source })
}

/// Makes one directory; true if it was not there.
pub(crate) fn make_dir(path: &Path) -> Result<bool, Error> {
    match fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(Error::Create { path: path.to_owned(), source }),
    }
}

/// Makes `base` and one directory below it; true for each that was not there. The removal of the last guest takes `base`
/// away when it is empty, perhaps between the two steps: then again. With something in it, it stays.
pub(crate) fn make_dir_below(base: &Path, dir: &Path) -> Result<[bool; 2], Error> {
    again(|| Ok([make_dir(base)?, make_dir(dir)?]))
}

/// Does what fails while somebody else has just removed a directory, some times more.
pub(crate) fn again<T>(step: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    const TRIES: usize = 20;
    (1..TRIES).map(|_| step()).find(|done| !done.as_ref().is_err_and(Error::is_gone)).unwrap_or_else(step)
}

/// Opens a file for writing, without making it.
pub(crate) fn open_to_write(path: &Path) -> Result<OwnedFd, Error> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .map(OwnedFd::from)
        .map_err(|source| Error::Open { path: path.to_owned(), source })
}

/// Opens a directory.
pub(crate) fn open_dir(path: &Path) -> Result<OwnedFd, Error> {
    File::open(path).map(OwnedFd::from).map_err(|source| Error::Open { path: path.to_owned(), source })
}

/// Directories directly below `path`; none if it is gone.
pub(crate) fn children(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let fault = |source| Error::Read { path: path.to_owned(), source };
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_missing(&error) => return Ok(Vec::new()),
        Err(error) => return Err(fault(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(fault)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// `path` and every directory below it, each after what it contains.
pub(crate) fn deepest_first(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = vec![path.to_owned()];
    let mut next = 0;
    while let Some(dir) = found.get(next).cloned() {
        found.extend(children(&dir)?);
        next += 1;
    }
    found.reverse();
    Ok(found)
}

/// The value of `key` in lines of `key value`.
pub(crate) fn flat_key(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(name, _)| *name == key).and_then(|(_, value)| value.trim().parse().ok())
}

/// No such file or directory, or a cgroup that is being removed (`ENODEV`), or a file that does not work here.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    const ENODEV: i32 = 19;
    const EOPNOTSUPP: i32 = 95;
    error.kind() == ErrorKind::NotFound || matches!(error.raw_os_error(), Some(ENODEV | EOPNOTSUPP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_come_before_their_parents() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
        fs::create_dir_all(dir.path().join("a/d")).unwrap();
        let order = deepest_first(&dir.path().join("a")).unwrap();
        assert_eq!(order.len(), 4);
        for (i, path) in order.iter().enumerate() {
            assert!(order[i + 1..].iter().all(|later| !later.starts_with(path)), "{order:?}");
        }
    }

    #[test]
    fn keys_are_whole_words() {
        assert_eq!(flat_key("oom 1\noom_kill 3\n", "oom_kill"), Some(3));
        assert_eq!(flat_key("oom_kill_disable 0", "oom_kill"), None);
    }
}
