//! The digest of a store, over what must be equal: mode, owner, size, time and content. Whatever it says, files are
//! compared byte for byte before they are exchanged, so a digest that can be forged costs time at most.

use std::io;
use std::path::Path;

use sha1::{Digest, Sha1};
use vserver_fs::atomic;

use super::names;
use crate::Error;
use crate::same::{Key, Model, Room};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// Stores that util-vserver has begun: two levels of directories.
    Sha1,
    /// One level of directories.
    Blake3,
    /// None: 256 directories cost a mebibyte, and long names as much again as short ones. Whoever makes two files of one
    /// short digest has two files that are not equal, and gets two entries.
    Short,
    /// The same with names of eight letters, mostly of a few pieces of a file. Since files are compared anyway, nothing else of
    /// them need be read for a name; only where another file has it, a second name is of all that is in the file.
    Pieces,
}

/// Digits of a short digest, of five bits each.
const SHORT: usize = 16;
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Letters of a name of [`Method::Pieces`], of six bits each: more would cost 4 bytes of a directory for each file.
const LETTERS: usize = 8;
const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+";

/// How much of a file a digest is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Pieces,
    All,
}

impl Method {
    /// That of the store, which is chosen at its first use.
    pub fn of(store: &Path) -> Result<Self, Error> {
        let file = store.join("method");
        match std::fs::read_to_string(&file) {
            Ok(text) => match text.trim() {
                "sha1" | "" => Ok(Self::Sha1),
                "blake3" => Ok(Self::Blake3),
                "blake3-80" => Ok(Self::Short),
                "pieces-48" => Ok(Self::Pieces),
                other => Err(Error::Method { store: store.to_owned(), method: other.escape_debug().to_string() }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::choose(store, &file),
            Err(error) => Err(Error::io("read", &file)(error)),
        }
    }

    /// One with directories of entries but without that file was begun with the original's default.
    fn choose(store: &Path, file: &Path) -> Result<Self, Error> {
        let old = names(store).map_err(Error::io("list", store))?.iter().any(|name| name.len() == 2);
        let (method, text) = if old { (Self::Sha1, "sha1\n") } else { (Self::Pieces, "pieces-48\n") };
        atomic::write(file, text.as_bytes(), 0o644)?;
        Ok(method)
    }

    /// Whether entries lie in the store itself: then listing that says which inodes they are.
    pub fn is_flat(self) -> bool {
        matches!(self, Self::Short | Self::Pieces)
    }

    /// The digests under which a file may lie, in this order. Under the last of them may be several that are not equal.
    pub fn extents(self) -> &'static [Extent] {
        if self == Self::Pieces { &[Extent::Pieces, Extent::All] } else { &[Extent::All] }
    }

    /// As it is written in names. The record before the content is packed and in little endian.
    pub fn digest(self, file: &mut Model, key: &Key, extent: Extent, room: &mut Room) -> io::Result<String> {
        let mut record = Vec::with_capacity(36);
        record.extend(key.mode.to_le_bytes());
        record.extend(key.uid.to_le_bytes());
        record.extend(key.gid.to_le_bytes());
        record.extend(0u64.to_le_bytes());
        record.extend(key.size.to_le_bytes());
        record.extend(key.mtime.to_le_bytes());
        match self {
            Self::Sha1 => {
                let mut hash = Sha1::new_with_prefix(&record);
                file.read(room, |bytes| hash.update(bytes))?;
                Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
            }
            Self::Blake3 | Self::Short => {
                let mut hash = blake3::Hasher::new();
                hash.update(&record);
                file.read(room, |bytes| {
                    hash.update(bytes);
                })?;
                let hash = hash.finalize();
                Ok(if self == Self::Short { short(hash.as_bytes()) } else { hash.to_hex().to_string() })
            }
            Self::Pieces => {
                let mut hash = blake3::Hasher::new();
                hash.update(&record);
                let take = |bytes: &[u8]| {
                    hash.update(bytes);
                };
                match extent {
                    Extent::Pieces => file.sample(room, take)?,
                    Extent::All => file.read(room, take)?,
                }
                // One of all is another one even where the pieces are all.
                hash.update(&[u8::from(extent == Extent::All)]);
                Ok(letters(hash.finalize().as_bytes()))
            }
        }
    }

    /// The directories on the way to an entry, and the rest of its name.
    pub fn place(self, digest: &str) -> (Vec<String>, String) {
        let levels = match self {
            Self::Sha1 => 2,
            Self::Blake3 => 1,
            Self::Short | Self::Pieces => 0,
        };
        let directories = (0..levels).map(|level| digest[level * 2..level * 2 + 2].to_owned()).collect();
        (directories, digest[levels * 2..].to_owned())
    }
}

/// The first bits of a digest.
fn short(hash: &[u8; 32]) -> String {
    let bits = hash.first_chunk().map_or(0, |first| u128::from_be_bytes(*first));
    let digit = |at: usize| DIGITS[(bits >> (123 - 5 * at)) as usize % DIGITS.len()];
    (0..SHORT).map(|at| char::from(digit(at))).collect()
}

fn letters(hash: &[u8; 32]) -> String {
    let bits = hash.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    let letter = |at: usize| ALPHABET[(bits >> (58 - 6 * at)) as usize % ALPHABET.len()];
    (0..LETTERS).map(|at| char::from(letter(at))).collect()
}

/// Whether a name in a flat store is that of an entry, and not of what else is in there.
pub(super) fn is_entry(name: &[u8]) -> bool {
    let (digest, number) = name.split_at(name.iter().position(|byte| *byte == b'-').unwrap_or(name.len()));
    let of =
        |length: usize, digits: &[u8]| digest.len() == length && digest.iter().all(|digit| digits.contains(digit));
    (of(SHORT, DIGITS) || of(LETTERS, ALPHABET)) && number.len() != 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_record_and_layout() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello").unwrap();
        let key = Key { size: 5, mode: 0o100_644, uid: 0, gid: 0, mtime: 1_700_000_000 };
        let stat = nix::sys::stat::fstat(&file).unwrap();
        let mut model = Model::new(file.reopen().unwrap(), stat);
        let digest = Method::Sha1.digest(&mut model, &key, Extent::All, &mut Room::new()).unwrap();
        let mut record = Vec::new();
        record.extend([0xa4, 0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        record.extend([0; 8]);
        record.extend([5, 0, 0, 0, 0, 0, 0, 0]);
        record.extend([0x00, 0xf1, 0x53, 0x65, 0, 0, 0, 0]);
        record.extend(b"hello");
        let wanted: String = Sha1::digest(&record).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, wanted);
        let (directories, rest) = Method::Sha1.place(&digest);
        assert_eq!((directories.len(), rest.len()), (2, 36));
        assert_eq!(Method::Blake3.place(&"a".repeat(64)).0.len(), 1);
    }

    #[test]
    fn a_short_digest_is_the_beginning_of_the_whole_one() {
        let mut hash = [0xff; 32];
        hash[..10].copy_from_slice(&[0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf]);
        assert_eq!(short(&hash), "abcdefghijklmnop");
        assert_eq!(Method::Short.place("abcdefghijklmnop"), (Vec::new(), "abcdefghijklmnop".to_owned()));
        assert_eq!(letters(&hash), "aeqYfmDc");
        let entries = ["abcdefghijklmnop", "abcdefghijklmnop-00000001", "aB3_+xyz", "aB3_+xyz-00000001"];
        assert!(entries.iter().all(|name| is_entry(name.as_bytes())));
        assert!(
            !["method", ".lock", ".index", "abcdefghijklmno.", "abcdefghijklmnopq", "aB3_+xy.", "aB3_+xyz1"]
                .iter()
                .any(|n| is_entry(n.as_bytes()))
        );
    }

    #[test]
    fn an_old_store_keeps_its_digest_and_a_new_one_gets_the_faster() {
        let base = tempfile::tempdir().unwrap();
        assert_eq!(Method::of(base.path()).unwrap(), Method::Pieces);
        assert_eq!(Method::of(base.path()).unwrap(), Method::Pieces);
        std::fs::write(base.path().join("method"), "blake3-80\n").unwrap();
        assert_eq!(Method::of(base.path()).unwrap(), Method::Short);
        std::fs::write(base.path().join("method"), "blake3\n").unwrap();
        assert_eq!(Method::of(base.path()).unwrap(), Method::Blake3);
        let old = tempfile::tempdir().unwrap();
        std::fs::create_dir(old.path().join("ab")).unwrap();
        assert_eq!(Method::of(old.path()).unwrap(), Method::Sha1);
        std::fs::write(old.path().join("method"), "md5\n").unwrap();
        assert!(matches!(Method::of(old.path()).unwrap_err(), Error::Method { .. }));
    }
}
