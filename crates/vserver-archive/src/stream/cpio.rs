//! The entries of a cpio archive, as `cpio -H newc`, `-H crc` and `-H odc` write it. Source: cpio(5).
//!
//! What a name means is decided once, as for tar: a field that is no number, a link with other data than its file or anything
//! behind the end mark is an error.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;

use super::{Entry, Kind, Stream};
use crate::Error;
use crate::error::shown;

/// Name of the entry that is none.
const END: &[u8] = b"TRAILER!!!";
/// Longest name, and longest target of a symbolic link, in bytes. `PATH_MAX`, limits.h.
const LONGEST: u64 = 4096;
/// Bytes of memory that files with several names may take until the archive ends.
const MEMORY: usize = 256 << 20;
/// Mode: what kind of object it is. Source: inode(7).
const S_IFMT: u64 = 0o170_000;

/// How the headers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Hexadecimal.
    New,
    /// The same, with a sum of each file's bytes.
    Summed,
    /// Octal, POSIX.1-1988.
    Portable,
}

impl Form {
    /// By the first bytes of an archive, or of a header.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        match head.get(..6)? {
            b"070701" => Some(Self::New),
            b"070702" => Some(Self::Summed),
            b"070707" => Some(Self::Portable),
            _ => None,
        }
    }

    /// Bytes of a header, its magic number among them.
    fn header(self) -> usize {
        if self == Self::Portable { 76 } else { 110 }
    }

    /// What fills up `length` bytes, so that the next thing begins at a multiple of four.
    fn padding(self, length: u64) -> u64 {
        if self == Self::Portable { 0 } else { (4 - length % 4) % 4 }
    }
}

/// Which inode of which device it was.
type Inode = (u64, u64, u64);

/// The fields of a header.
struct Header {
    inode: Inode,
    mode: u64,
    uid: u64,
    gid: u64,
    links: u64,
    mtime: u64,
    size: u64,
    device: (u64, u64),
    name: u64,
    sum: u64,
}

impl Header {
    fn parse(form: Form, bytes: &[u8]) -> Option<Self> {
        if form == Form::Portable {
            let mut at = 6;
            let mut next = |width: usize| {
                at += width;
                digits(&bytes[at - width..at], 8)
            };
            let [dev, inode, mode, uid, gid, links, device] = [(); 7].map(|()| next(6));
            let (mtime, name, size) = (next(11)?, next(6)?, next(11)?);
            let device = device?;
            return Some(Self {
                inode: (0, dev?, inode?),
                mode: mode?,
                uid: uid?,
                gid: gid?,
                links: links?,
                mtime,
                size,
                device: (device >> 8, device & 0xff),
                name,
                sum: 0,
            });
        }
        let mut fields = [0; 13];
        for (field, text) in fields.iter_mut().zip(bytes[6..].chunks_exact(8)) {
            *field = digits(text, 16)?;
        }
        let [inode, mode, uid, gid, links, mtime, size, major, minor, rmajor, rminor, name, sum] = fields;
        let (inode, device) = ((major, minor, inode), (rmajor, rminor));
        Some(Self { inode, mode, uid, gid, links, mtime, size, device, name, sum })
    }

    /// `None` for a socket, which is nothing without its server.
    fn kind(&self) -> Result<Option<Kind>, &'static str> {
        Ok(Some(match self.mode & S_IFMT {
            0o100_000 => Kind::File,
            0o040_000 => Kind::Directory,
            0o120_000 => Kind::Symlink,
            0o020_000 => Kind::Character,
            0o060_000 => Kind::Block,
            0o010_000 => Kind::Fifo,
            0o140_000 => return Ok(None),
            _ => return Err("it is of an unknown type"),
        }))
    }
}

/// Digits to the last byte, nothing else.
fn digits(text: &[u8], base: u32) -> Option<u64> {
    text.iter().try_fold(0u64, |number, byte| {
        let digit = char::from(*byte).to_digit(base)?;
        number.checked_mul(base.into())?.checked_add(digit.into())
    })
}

/// What is known of the archive between two entries.
#[derive(Debug, Default)]
pub(super) struct Cpio {
    /// Files with several names that have been handed out: one of these, and the length.
    known: BTreeMap<Inode, (Vec<u8>, u64)>,
    /// Names that came without data. The data comes with the last name, or there is none.
    waiting: BTreeMap<Inode, Vec<Entry>>,
    /// What both take.
    memory: usize,
    /// To be handed out before anything else is read.
    ready: VecDeque<Entry>,
    /// The end mark has been seen.
    ended: bool,
    /// What the bytes of the present file should sum up to, and do so far. Wraps; cpio(5).
    pub(super) sum: Option<(u32, u32)>,
}

impl Cpio {
    /// Hands out `entry`, one name of several, now, later, or as a link.
    fn place(&mut self, inode: Inode, entry: Entry) -> Result<Option<Entry>, &'static str> {
        if let Some((first, length)) = self.known.get(&inode) {
            return match entry.size == 0 || entry.size == *length {
                true => Ok(Some(link(entry, first))),
                false => Err("it is a link with other data than its file has"),
            };
        }
        self.memory += entry.name.len() + size_of::<Entry>();
        if self.memory > MEMORY {
            return Err("too many files have several names");
        }
        if entry.size == 0 {
            self.waiting.entry(inode).or_default().push(entry);
            return Ok(None);
        }
        self.known.insert(inode, (entry.name.clone(), entry.size));
        let waited = self.waiting.remove(&inode).unwrap_or_default();
        self.ready.extend(waited.into_iter().map(|other| link(other, &entry.name)));
        Ok(Some(entry))
    }

    /// What still waits for data has none.
    fn end(&mut self) {
        self.ended = true;
        for (_, mut names) in std::mem::take(&mut self.waiting) {
            let first = names.remove(0);
            let links: Vec<_> = names.into_iter().map(|other| link(other, &first.name)).collect();
            self.ready.push_back(first);
            self.ready.extend(links);
        }
    }
}

fn link(entry: Entry, target: &[u8]) -> Entry {
    Entry { kind: Kind::HardLink, link: target.to_vec(), size: 0, ..entry }
}

impl<R: Read> Stream<R> {
    /// The next entry; `None` at the end mark, behind which nothing but zeros may stand.
    pub(super) fn next_of_cpio(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            if let Some(entry) = self.cpio.ready.pop_front() {
                return Ok(Some(entry));
            }
            if self.cpio.ended {
                return Ok(None);
            }
            self.skip_data()?;
            if let Some(entry) = self.one_of_cpio()? {
                return Ok(Some(entry));
            }
        }
    }

    /// Reads a header and its name; `None` if it is nothing to be made now.
    fn one_of_cpio(&mut self) -> Result<Option<Entry>, Error> {
        let mut bytes = vec![0; 6];
        self.exactly(&mut bytes)?;
        let form = Form::of(&bytes).ok_or_else(|| self.malformed("there is no header after it"))?;
        bytes.resize(form.header(), 0);
        self.exactly(&mut bytes[6..])?;
        let header = Header::parse(form, &bytes)
            .ok_or_else(|| self.malformed("a field of the header after it is not a number"))?;
        let name = self.name_of_cpio(form, &header)?;
        if name == END {
            self.cpio.end();
            return self.nothing_more().map(|()| None);
        }
        self.last = Some(shown(&name));
        let kind = header.kind().map_err(|reason| self.malformed(reason))?;
        (self.left, self.padding) = (header.size, form.padding(header.size));
        let Some(kind) = kind else { return Ok(None) };
        let has_data = matches!(kind, Kind::File | Kind::Symlink);
        if header.size != 0 && !has_data {
            return Err(self.malformed("it has data and is not a file"));
        }
        let link = if kind == Kind::Symlink { self.target_of_cpio(header.size)? } else { Vec::new() };
        let mtime = i64::try_from(header.mtime).map_err(|_| self.malformed("its time is not a number"))?;
        let entry = Entry {
            name,
            link,
            kind,
            size: if kind == Kind::File { header.size } else { 0 },
            mode: (header.mode & 0o7777) as u32,
            uid: header.uid,
            gid: header.gid,
            mtime: (mtime, 0),
            device: if matches!(kind, Kind::Character | Kind::Block) { header.device } else { (0, 0) },
            xattrs: Vec::new(),
            lost: Vec::new(),
            sparse: None,
        };
        if kind != Kind::File {
            return Ok(Some(entry));
        }
        self.cpio.sum = (form == Form::Summed && header.size > 0).then_some((header.sum as u32, 0));
        match header.links {
            0 | 1 => Ok(Some(entry)),
            _ => self.cpio.place(header.inode, entry).map_err(|reason| self.malformed(reason)),
        }
    }

    fn name_of_cpio(&mut self, form: Form, header: &Header) -> Result<Vec<u8>, Error> {
        let length = header.name;
        if !(2..=LONGEST + 1).contains(&length) {
            return Err(self.malformed("the header after it has no usable name"));
        }
        let filled = length + form.padding(form.header() as u64 + length);
        let mut name = vec![0; filled as usize];
        self.exactly(&mut name)?;
        name.truncate(length as usize);
        if name.pop() != Some(0) || name.contains(&0) {
            return Err(self.malformed("the name after it does not end where its length says"));
        }
        Ok(name)
    }

    fn target_of_cpio(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        if size > LONGEST {
            return Err(self.malformed("it is a symbolic link with too long a target"));
        }
        let mut target = vec![0; size as usize];
        self.exactly(&mut target)?;
        self.left = 0;
        Ok(target)
    }

    /// What fills the last block is zeros.
    fn nothing_more(&mut self) -> Result<(), Error> {
        let mut buffer = [0; 512];
        loop {
            match self.input.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) if buffer[..count].iter().all(|byte| *byte == 0) => {}
                Ok(_) => return Err(self.malformed("there is data behind the end mark")),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    fn exactly(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        self.input.read_exact(buffer).map_err(|error| self.failed(error))
    }
}
