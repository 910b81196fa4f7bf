//! Extended headers (POSIX pax): `<length> <key>=<value>\n`, the length counting itself. Anything malformed or twice is
//! refused: two readers would see two archives (R08).

use crate::acl;

/// Largest extended header, in bytes.
pub(crate) const MAX: u64 = 1 << 20;
/// Largest sum of attribute values of one entry, in bytes.
const XATTRS: usize = 64 << 10;

/// What an extended header says about the entry after it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub path: Option<Vec<u8>>,
    pub linkpath: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    /// Seconds and nanoseconds.
    pub mtime: Option<(i64, u32)>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Lists of rights that name users of the other machine.
    pub named_acls: Vec<Vec<u8>>,
    pub sparse: Sparse,
}

/// What is said about holes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sparse {
    pub major: Option<u64>,
    pub minor: Option<u64>,
    pub name: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub map: Option<Vec<u8>>,
}

type Fault = &'static str;

impl Pax {
    /// Of the entry that follows.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let mut pax = Self::default();
        for record in Records(bytes) {
            let (key, value) = record?;
            pax.take(key, value)?;
        }
        Ok(pax)
    }

    /// For all that follow: only what changes nothing is let in.
    pub(crate) fn check_global(bytes: &[u8]) -> Result<(), Fault> {
        match Self::parse(bytes)? == Self::default() {
            true => Ok(()),
            false => Err("a global extended header changes names, sizes, owners or attributes"),
        }
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            let known: usize = self.xattrs.iter().map(|(_, v)| v.len()).sum();
            if known + value.len() > XATTRS || self.xattrs.len() > 256 {
                return Err("it has more than 64 KiB of extended attributes");
            }
            if name.is_empty() || name.contains(&0) || self.xattrs.iter().any(|(n, _)| n == name) {
                return Err("an extended attribute has no usable name, or is there twice");
            }
            self.xattrs.push((name.to_vec(), value.to_vec()));
            return Ok(());
        }
        if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
            return self.take_sparse(key, value);
        }
        match key {
            b"path" => once(&mut self.path, value.to_vec()),
            b"linkpath" => once(&mut self.linkpath, value.to_vec()),
            b"size" => once(&mut self.size, decimal(value)?),
            b"uid" => once(&mut self.uid, decimal(value)?),
            b"gid" => once(&mut self.gid, decimal(value)?),
            b"mtime" => once(&mut self.mtime, time(value)?),
            b"SCHILY.acl.access" => self.take_acl(b"system.posix_acl_access", value),
            b"SCHILY.acl.default" => self.take_acl(b"system.posix_acl_default", value),
            // Names of owners, times that are not kept, hints and comments.
            _ => Ok(()),
        }
    }

    fn take_acl(&mut self, name: &[u8], text: &[u8]) -> Result<(), Fault> {
        if self.xattrs.iter().any(|(known, _)| known == name) {
            return Err("an access control list is there twice");
        }
        match acl::of_text(text) {
            Some(value) => self.xattrs.push((name.to_vec(), value)),
            None => self.named_acls.push(name.to_vec()),
        }
        Ok(())
    }

    fn take_sparse(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let sparse = &mut self.sparse;
        match key {
            b"major" => once(&mut sparse.major, decimal(value)?),
            b"minor" => once(&mut sparse.minor, decimal(value)?),
            b"name" => once(&mut sparse.name, value.to_vec()),
            b"realsize" | b"size" => once(&mut sparse.size, decimal(value)?),
            b"map" => once(&mut sparse.map, value.to_vec()),
            // The length of the map, which says so itself.
            b"numblocks" => Ok(()),
            _ => Err("it is stored as a sparse file of an old kind; pack it with --format=pax"),
        }
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Fault> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err("an extended header says something twice"),
    }
}

fn decimal(value: &[u8]) -> Result<u64, Fault> {
    let text = std::str::from_utf8(value).ok().filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
    text.and_then(|t| t.parse().ok()).ok_or("a number of an extended header is not one")
}

/// `[-]seconds[.fraction]`
fn time(value: &[u8]) -> Result<(i64, u32), Fault> {
    const BAD: Fault = "a time of an extended header is not one";
    let text = std::str::from_utf8(value).map_err(|_| BAD)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BAD);
    }
    let seconds: i64 = whole.parse().map_err(|_| BAD)?;
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9).fold(0, |n, d| n * 10 + u32::from(d - b'0'));
    match (whole.starts_with('-'), nanos) {
        (true, 1..) => Ok((seconds.checked_sub(1).ok_or(BAD)?, 1_000_000_000 - nanos)),
        _ => Ok((seconds, nanos)),
    }
}

struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = self.record().ok_or("an extended header is malformed");
        if record.is_err() {
            self.0 = &[];
        }
        Some(record)
    }
}

impl<'a> Records<'a> {
    fn record(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let blank = self.0.iter().take(8).position(|b| *b == b' ')?;
        let length = usize::try_from(decimal(&self.0[..blank]).ok()?).ok()?;
        let record = self.0.get(blank + 1..length)?;
        self.0 = self.0.get(length..)?;
        let (newline, body) = record.split_last()?;
        let equals = body.iter().position(|b| *b == b'=')?;
        (*newline == b'\n' && equals > 0).then(|| (&body[..equals], &body[equals + 1..]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records_may_hold_any_bytes() {
        let pax = Pax::parse(b"12 path=a/b\n27 SCHILY.xattr.user.x=\n=\0\n19 mtime=-1.500000\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a/b"[..]));
        assert_eq!(pax.xattrs, [(b"user.x".to_vec(), b"\n=\0".to_vec())]);
        assert_eq!(pax.mtime, Some((-2, 500_000_000)));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for bad in [
            &b"12 path=a/b"[..],
            b"99 path=a/b\n",
            b"0 \n",
            b"5 =a\n",
            b"x path=a\n",
            b"10 path=a\n10 path=b\n",
            b"11 size=-1\n",
            b"12 size=0x1\n",
            b"+9 size=1\n",
        ] {
            assert!(Pax::parse(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
        assert!(Pax::check_global(b"14 comment=abc\n").is_err(), "a wrong length");
        assert!(Pax::check_global(b"15 comment=abc\n").is_ok());
        assert!(Pax::check_global(b"10 path=a\n").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pax::parse(&bytes);
        }
    }
}
