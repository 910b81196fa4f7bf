//! The entries of a tar stream. One reader, one meaning: the extended header's size always wins, and whatever another
//! program could read differently is an error, never skipped (R08).

use std::io::{self, Read};

use tar::{EntryType, Header};

use crate::Error;
use crate::error::shown;
use crate::pax::{self, Pax};

const BLOCK: usize = 512;
/// Longest name that a GNU long-name header may hold, in bytes.
const LONG_NAME: u64 = 64 << 10;

/// What an entry is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    Character,
    Block,
    Directory,
    Fifo,
}

/// One object of the archive. Names and numbers are as written; nobody has checked what they mean.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub name: Vec<u8>,
    pub link: Vec<u8>,
    pub kind: Kind,
    pub size: u64,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: (i64, u32),
    pub device: (u64, u64),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads entry after entry; the data of one is read between two calls of [`next`](Self::next), or skipped by it.
pub(crate) struct Stream<R> {
    input: R,
    /// Data of the present entry that was not read yet, and what fills its last block.
    left: u64,
    padding: u64,
    last: Option<String>,
}

/// What headers before an entry said about it.
#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Option<Pax>,
}

impl<R: Read> Stream<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, left: 0, padding: 0, last: None }
    }

    /// The next entry; `None` at the end mark, behind which nothing but zeros may stand.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Error> {
        self.skip_data()?;
        let mut ahead = Ahead::default();
        loop {
            let Some(header) = self.header()? else {
                let nothing = ahead.name.is_none() && ahead.link.is_none() && ahead.pax.is_none();
                return if nothing { self.finish() } else { Err(self.malformed("a header describes nothing")) };
            };
            match header.entry_type() {
                EntryType::GNULongName => {
                    let name = self.long_name(&header)?;
                    self.once(ahead.name.replace(name).is_none())?;
                }
                EntryType::GNULongLink => {
                    let link = self.long_name(&header)?;
                    self.once(ahead.link.replace(link).is_none())?;
                }
                EntryType::XHeader => {
                    let bytes = self.small(&header, pax::MAX)?;
                    let parsed = Pax::parse(&bytes).map_err(|reason| self.malformed(reason))?;
                    self.once(ahead.pax.replace(parsed).is_none())?;
                }
                EntryType::XGlobalHeader => {
                    let bytes = self.small(&header, pax::MAX)?;
                    Pax::check_global(&bytes).map_err(|reason| self.malformed(reason))?;
                }
                // A volume's label: not an object.
                label if label.as_byte() == b'V' => {}
                _ => return self.entry(&header, ahead).map(Some),
            }
        }
    }

    /// Reads data of the present entry; 0 at its end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        match self.input.read(&mut buffer[..wanted]) {
            Ok(0) => Err(Error::Truncated { entry: self.last.clone() }),
            Ok(count) => {
                self.left -= count as u64;
                Ok(count)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.read(buffer),
            Err(e) => Err(self.failed(e)),
        }
    }

    fn entry(&mut self, header: &Header, ahead: Ahead) -> Result<Entry, Error> {
        let pax = ahead.pax.unwrap_or_default();
        let name = pax.path.or(ahead.name).unwrap_or_else(|| header.path_bytes().into_owned());
        self.last = Some(shown(&name));
        let bad = |reason| move |()| reason;
        let entry = (|| {
            let old = header.as_old();
            let kind = kind(header, &name)?;
            let size = pax.size.map_or_else(|| number(&old.size), Ok).map_err(bad("its size is not a number"))?;
            if size != 0 && kind != Kind::File {
                return Err("it has data and is not a file");
            }
            let link = || header.link_name_bytes().map(|l| l.into_owned()).unwrap_or_default();
            Ok(Entry {
                link: pax.linkpath.or(ahead.link).unwrap_or_else(link),
                kind,
                size,
                mode: number(&old.mode).map_err(bad("its mode is not a number"))? as u32 & 0o7777,
                uid: pax.uid.map_or_else(|| number(&old.uid), Ok).map_err(bad("its owner is not a number"))?,
                gid: pax.gid.map_or_else(|| number(&old.gid), Ok).map_err(bad("its group is not a number"))?,
                mtime: pax.mtime.map_or_else(|| time(&old.mtime), Ok).map_err(bad("its time is not a number"))?,
                device: device(header, kind).map_err(bad("its device is not a number"))?,
                xattrs: pax.xattrs,
                name,
            })
        })();
        let entry: Entry = entry.map_err(|reason| self.malformed(reason))?;
        self.expect(entry.size);
        Ok(entry)
    }

    /// The next header, checked; `None` for a block of zeros.
    fn header(&mut self) -> Result<Option<Header>, Error> {
        let mut block = [0u8; BLOCK];
        if !self.block(&mut block)? {
            return Err(Error::Truncated { entry: self.last.clone() });
        }
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        match header.cksum() {
            Ok(sum) if sum == checksum(&block) => Ok(Some(header)),
            _ => Err(self.malformed("the checksum of the header after it is wrong")),
        }
    }

    /// Fills a block; false at the end of the input.
    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, Error> {
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => {
                    return Err(Error::Truncated { entry: self.last.clone() });
                }
                Ok(count) => filled += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.failed(e)),
            }
        }
        Ok(true)
    }

    /// After the first block of zeros: the second one, and what fills the last record.
    fn finish(&mut self) -> Result<Option<Entry>, Error> {
        let mut block = [0u8; BLOCK];
        while self.block(&mut block)? {
            if block.iter().any(|b| *b != 0) {
                return Err(self.malformed("there is data behind the end mark"));
            }
        }
        Ok(None)
    }

    fn long_name(&mut self, header: &Header) -> Result<Vec<u8>, Error> {
        let mut name = self.small(header, LONG_NAME)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    /// The data of a header that describes another entry.
    fn small(&mut self, header: &Header, max: u64) -> Result<Vec<u8>, Error> {
        let size = number(&header.as_old().size).ok().filter(|size| *size <= max);
        let size = size.ok_or_else(|| self.malformed("an extended header has no usable size"))?;
        self.expect(size);
        let mut bytes = vec![0; size as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            filled += self.read(&mut bytes[filled..])?;
        }
        self.skip_data()?;
        Ok(bytes)
    }

    fn expect(&mut self, size: u64) {
        self.left = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    fn skip_data(&mut self) -> Result<(), Error> {
        // The padding is at most 511, so this cannot wrap for a size that could ever be read to its end.
        self.left = self.left.saturating_add(std::mem::take(&mut self.padding));
        let mut scratch = [0u8; 8192];
        while self.left > 0 {
            self.read(&mut scratch)?;
        }
        Ok(())
    }

    fn once(&self, first: bool) -> Result<(), Error> {
        if first { Ok(()) } else { Err(self.malformed("two headers describe one entry")) }
    }

    fn malformed(&self, reason: &'static str) -> Error {
        Error::Malformed { entry: self.last.clone(), reason }
    }

    fn failed(&self, source: io::Error) -> Error {
        // The decoders' word for a compressed stream that stops too early.
        if source.kind() == io::ErrorKind::UnexpectedEof {
            return Error::Truncated { entry: self.last.clone() };
        }
        Error::Read { entry: self.last.clone(), source }
    }
}

/// The sum of a header's bytes, its own field counting as blanks.
pub(crate) fn checksum(block: &[u8]) -> u32 {
    let byte = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) };
    block.iter().enumerate().map(byte).sum()
}

fn kind(header: &Header, name: &[u8]) -> Result<Kind, &'static str> {
    Ok(match header.entry_type() {
        // Before POSIX, a directory was a file with a slash at its end.
        EntryType::Regular if name.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous => Kind::File,
        EntryType::Link => Kind::HardLink,
        EntryType::Symlink => Kind::Symlink,
        EntryType::Char => Kind::Character,
        EntryType::Block => Kind::Block,
        EntryType::Directory => Kind::Directory,
        EntryType::Fifo => Kind::Fifo,
        EntryType::GNUSparse => return Err("it is stored as a sparse file; pack it without --sparse"),
        _ => return Err("it is of an unknown type"),
    })
}

fn device(header: &Header, kind: Kind) -> Result<(u64, u64), ()> {
    if !matches!(kind, Kind::Character | Kind::Block) {
        return Ok((0, 0));
    }
    // These fields lie in the same place in both formats that have them.
    let block = header.as_bytes();
    Ok((number(&block[329..337])?, number(&block[337..345])?))
}

/// A number: octal digits between blanks or NULs, or big-endian binary after 0x80. Nothing else, no sign, no overflow.
fn number(field: &[u8]) -> Result<u64, ()> {
    if let [0x80, bytes @ ..] = field {
        return bytes.iter().try_fold(0u64, |n, b| n.checked_mul(256)?.checked_add(u64::from(*b))).ok_or(());
    }
    let blank = |b: &u8| *b == b' ' || *b == 0;
    let start = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    if !digits[end..].iter().all(blank) {
        return Err(());
    }
    let digit =
        |n: u64, b: &u8| matches!(b, b'0'..=b'7').then(|| n.checked_mul(8)?.checked_add(u64::from(b - b'0')))?;
    digits[..end].iter().try_fold(0, digit).ok_or(())
}

fn time(field: &[u8]) -> Result<(i64, u32), ()> {
    i64::try_from(number(field)?).map(|seconds| (seconds, 0)).map_err(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_meaning() {
        assert_eq!(number(b"0000644\0"), Ok(0o644));
        assert_eq!(number(b" 644 \0\0\0"), Ok(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Ok(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\x01\0"), Ok(256));
        for bad in [&b"00-1\0\0\0\0"[..], b"0000648\0", b"64 64\0\0\0", b"\xff\xff\xff\xff\xff\xff\xff\xff", b"0x1\0"]
        {
            assert_eq!(number(bad), Err(()), "{bad:?}");
        }
        assert_eq!(number(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Err(()));
    }
}
