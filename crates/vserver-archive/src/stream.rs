//! The entries of a tar or cpio stream. One reader, one meaning: the extended header's size always wins, and whatever another
//! program could read differently is an error, never skipped (R08).

pub(crate) mod cpio;

use std::io::{self, Read};

use tar::{EntryType, Header};

use crate::Error;
use crate::codec::Archive;
use crate::error::shown;
use crate::fields::{checksum, collect, device, kind, number, time};
use crate::pax::{self, Pax};
use crate::sparse::{self, Lines, Map};
use cpio::Cpio;

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
    /// Attributes that cannot be kept.
    pub lost: Vec<Vec<u8>>,
    /// Where the data belongs, if the file has holes; `size` is then what is stored.
    pub sparse: Option<Map>,
}

impl Entry {
    /// Bytes of the file that it becomes.
    pub(crate) fn length(&self) -> u64 {
        self.sparse.as_ref().map_or(self.size, |map| map.size)
    }
}

/// Reads entry after entry; the data of one is read between two calls of [`next`](Self::next), or skipped by it.
pub(crate) struct Stream<R> {
    input: R,
    /// Data of the present entry that was not read yet, and what fills its last block.
    left: u64,
    padding: u64,
    last: Option<String>,
    archive: Archive,
    cpio: Cpio,
}

/// What headers before an entry said about it.
#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Option<Pax>,
}

impl<R: Read> Stream<R> {
    pub(crate) fn new(input: R, archive: Archive) -> Self {
        Self { input, left: 0, padding: 0, last: None, archive, cpio: Cpio::default() }
    }

    /// The next entry; `None` at the end mark, behind which nothing but zeros may stand.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Error> {
        self.skip_data()?;
        if self.archive == Archive::Cpio {
            return self.next_of_cpio();
        }
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
                if let Some((_, sum)) = &mut self.cpio.sum {
                    *sum = buffer[..count].iter().fold(*sum, |sum, byte| sum.wrapping_add(u32::from(*byte)));
                }
                Ok(count)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.read(buffer),
            Err(e) => Err(self.failed(e)),
        }
    }

    fn entry(&mut self, header: &Header, ahead: Ahead) -> Result<Entry, Error> {
        let mut pax = ahead.pax.unwrap_or_default();
        let sparse = std::mem::take(&mut pax.sparse);
        let name =
            sparse.name.clone().or(pax.path).or(ahead.name).unwrap_or_else(|| header.path_bytes().into_owned());
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
                lost: pax.named_acls,
                sparse: None,
                name,
            })
        })();
        let mut entry: Entry = entry.map_err(|reason| self.malformed(reason))?;
        self.expect(entry.size);
        self.holes(header, &sparse, &mut entry)?;
        Ok(entry)
    }

    /// Reads the map of a sparse file; it stands before the data, which is all that is left to be read then.
    fn holes(&mut self, header: &Header, sparse: &pax::Sparse, entry: &mut Entry) -> Result<(), Error> {
        let map = if header.entry_type() == EntryType::GNUSparse {
            self.old_map(header, entry.size)?
        } else {
            match (sparse.size, &sparse.map, sparse.major, sparse.minor) {
                (None, None, None, None) => return Ok(()),
                (Some(size), Some(list), ..) => Map::of_list(list, size, entry.size),
                (Some(size), None, Some(1), Some(0)) => self.map_before_data(size)?,
                _ => Err("it is stored as a sparse file of an unknown kind"),
            }
        };
        let map = map.map_err(|reason| self.malformed(reason))?;
        if entry.kind != Kind::File {
            return Err(self.malformed("it has holes and is not a file"));
        }
        entry.size = self.left;
        entry.sparse = Some(map);
        Ok(())
    }

    /// Format 1.0.
    fn map_before_data(&mut self, size: u64) -> Result<Result<Map, &'static str>, Error> {
        let mut lines = Lines::default();
        loop {
            let mut block = [0; BLOCK];
            let mut filled = 0;
            while filled < BLOCK {
                match self.read(&mut block[filled..])? {
                    0 => return Ok(Err("its map of holes is longer than its data")),
                    count => filled += count,
                }
            }
            match lines.take(&block) {
                Ok(false) => {}
                Ok(true) => return Ok(lines.finish(size, self.left)),
                Err(reason) => return Ok(Err(reason)),
            }
        }
    }

    /// The old format: four stretches in the header, 21 in each block after it.
    fn old_map(&mut self, header: &Header, stored: u64) -> Result<Result<Map, &'static str>, Error> {
        const BAD: &str = "its map of holes is malformed";
        let block = header.as_bytes();
        let Ok(size) = number(&block[483..495]) else { return Ok(Err(BAD)) };
        let (mut stretches, mut more) = (Vec::new(), block[482] != 0);
        let mut good = collect(&block[386..482], &mut stretches);
        while more && good {
            let mut block = [0; BLOCK];
            if !self.block(&mut block)? {
                return Err(Error::Truncated { entry: self.last.clone() });
            }
            good = collect(&block[..504], &mut stretches) && stretches.len() <= sparse::STRETCHES;
            more = block[504] != 0;
        }
        Ok(if good { Map::new(stretches, size, stored) } else { Err(BAD) })
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
        self.drain()?;
        if self.cpio.sum.take().is_some_and(|(wanted, found)| wanted != found) {
            return Err(self.malformed("its data does not have the sum that its header tells"));
        }
        self.left = std::mem::take(&mut self.padding);
        self.drain()
    }

    fn drain(&mut self) -> Result<(), Error> {
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
