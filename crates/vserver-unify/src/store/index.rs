//! The inodes of all entries of a store: from a listing, where they lie in the store itself; else in one file. That is only a hint: an inode that is listed here and means another
//! file by now is not shared, nothing worse. Where it is missing it is made from the entries.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::Path;

use vserver_fs::atomic;

use super::method::is_entry;
use crate::Error;

const NAME: &str = ".index";
const MAGIC: &[u8; 8] = b"vsindex1";

/// The inodes, sorted.
pub(super) fn read(store: &Path) -> Result<Vec<u64>, Error> {
    let path = store.join(NAME);
    match std::fs::read(&path) {
        Ok(bytes) => match parse(&bytes) {
            Some(index) => Ok(index),
            None => gather(store),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => gather(store),
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

/// The inodes of the entries of a flat store, sorted.
pub(super) fn list(store: &Path) -> Result<Vec<u64>, Error> {
    let mut inodes = Vec::new();
    for entry in std::fs::read_dir(store).map_err(Error::io("list", store))? {
        let entry = entry.map_err(Error::io("list", store))?;
        inodes.extend(is_entry(entry.file_name().as_bytes()).then(|| entry.ino()));
    }
    inodes.sort_unstable();
    Ok(inodes)
}

pub(super) fn write(store: &Path, inodes: &[u64]) -> Result<(), Error> {
    let mut bytes = Vec::with_capacity(MAGIC.len() + inodes.len() * 8);
    bytes.extend(MAGIC);
    inodes.iter().for_each(|inode| bytes.extend(inode.to_le_bytes()));
    Ok(atomic::write(&store.join(NAME), &bytes, 0o600)?)
}

/// None if it is damaged.
fn parse(bytes: &[u8]) -> Option<Vec<u64>> {
    let (numbers, []) = bytes.strip_prefix(MAGIC)?.as_chunks::<8>() else { return None };
    let inodes: Vec<u64> = numbers.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    inodes.is_sorted().then_some(inodes)
}

/// From the entries themselves. The store is root's alone, so plain paths will do.
fn gather(store: &Path) -> Result<Vec<u64>, Error> {
    let mut inodes = Vec::new();
    let mut todo: Vec<_> = std::fs::read_dir(store)
        .map_err(Error::io("list", store))?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().len() == 2)
        .map(|entry| entry.path())
        .collect();
    while let Some(directory) = todo.pop() {
        for entry in std::fs::read_dir(&directory).map_err(Error::io("list", &directory))? {
            let entry = entry.map_err(Error::io("list", &directory))?;
            match entry.file_type().map_err(Error::io("list", &directory))?.is_dir() {
                true => todo.push(entry.path()),
                false => inodes.push(entry.ino()),
            }
        }
    }
    inodes.sort_unstable();
    Ok(inodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_store_is_listed() {
        let store = tempfile::tempdir().unwrap();
        for name in ["method", ".lock", "abcdefghijklmnop", "abcdefghijklmnop-00000001"] {
            std::fs::write(store.path().join(name), name).unwrap();
        }
        let inode = |name| std::os::unix::fs::MetadataExt::ino(&store.path().join(name).metadata().unwrap());
        let mut wanted = ["abcdefghijklmnop", "abcdefghijklmnop-00000001"].map(inode);
        wanted.sort_unstable();
        assert_eq!(list(store.path()).unwrap(), wanted);
    }

    #[test]
    fn what_is_damaged_is_made_again() {
        let store = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(store.path().join("ab/cd")).unwrap();
        std::fs::write(store.path().join("ab/one"), "1").unwrap();
        std::fs::write(store.path().join("ab/cd/two"), "2").unwrap();
        let found = read(store.path()).unwrap();
        assert_eq!(found.len(), 2);
        write(store.path(), &[3, 5, 8]).unwrap();
        assert_eq!(read(store.path()).unwrap(), [3, 5, 8]);
        for bad in [&b"vsindex1abc"[..], b"other", b"vsindex1\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0"] {
            std::fs::write(store.path().join(NAME), bad).unwrap();
            assert_eq!(read(store.path()).unwrap(), found);
        }
    }
}
