//! The kernel's questions about a file system and the answers, as bytes. `include/uapi/linux/fuse.h`, version 7.31 of the
//! protocol (Linux 5.4): of it only what a few read-only files need. Only the kernel writes questions; still each is read
//! within its bounds.

use std::io;
use std::os::fd::AsFd;

use nix::unistd::{read, write};

/// Room for one question: the kernel wants at least this, `FUSE_MIN_READ_BUFFER`, and it must hold the largest write.
pub const ROOM: usize = 8192;
/// Largest write, which nobody can make.
const MOST_WRITTEN: u32 = 4096;
/// The version of the protocol.
const VERSION: [u32; 2] = [7, 31];
/// `FUSE_INIT_EXT`: flags have 64 bits (Linux 5.17).
const WIDE: u32 = 1 << 30;
/// `FUSE_REQUEST_TIMEOUT` in the upper half (Linux 6.14).
const TIMEOUT: u32 = 1 << (42 - 32);
/// Bytes before every question.
const IN_HEADER: usize = 40;
/// Bytes before every answer.
const OUT_HEADER: usize = 16;

/// Kinds of questions that mean something here.
pub mod ask {
    /// What has this name?
    pub const LOOKUP: u32 = 1;
    /// Nobody refers to it any more; wants no answer.
    pub const FORGET: u32 = 2;
    /// What kind of file, and how large?
    pub const GETATTR: u32 = 3;
    /// Somebody opens it.
    pub const OPEN: u32 = 14;
    /// Bytes of it.
    pub const READ: u32 = 15;
    /// How much room is there?
    pub const STATFS: u32 = 17;
    /// Who opened it has closed it.
    pub const RELEASE: u32 = 18;
    /// The greeting.
    pub const INIT: u32 = 26;
    /// Somebody opens a directory.
    pub const OPENDIR: u32 = 27;
    /// Entries of it.
    pub const READDIR: u32 = 28;
    /// Who opened the directory has closed it.
    pub const RELEASEDIR: u32 = 29;
    /// As the other one, of several.
    pub const BATCH_FORGET: u32 = 42;
}

/// One question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// Its kind, see [`ask`].
    pub kind: u32,
    /// By which it is answered.
    pub unique: u64,
    /// The file that it is about.
    pub node: u64,
    /// Who asks: a thread, as the host numbers it.
    pub who: i32,
    body: &'a [u8],
}

impl<'a> Question<'a> {
    /// `None` if `bytes` are none.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, body) = bytes.split_at_checked(IN_HEADER)?;
        let header = Self { kind: 0, unique: 0, node: 0, who: 0, body: header };
        let (kind, unique, node) = (header.word(4), header.long(8), header.long(16));
        Some(Self { kind, unique, node, who: header.word(32).cast_signed(), body })
    }

    /// The number at `offset` of what follows the header; 0 beyond its end.
    pub fn word(&self, offset: usize) -> u32 {
        let bytes = self.body.get(offset..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }

    /// The same with 64 bits.
    pub fn long(&self, offset: usize) -> u64 {
        let bytes = self.body.get(offset..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    }

    /// What follows the header up to the first null byte.
    pub fn name(&self) -> &'a [u8] {
        self.body.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

/// An answer that is being written.
#[derive(Debug)]
pub struct Answer(Vec<u8>);

impl Answer {
    /// An answer without anything behind its header.
    pub fn to(unique: u64) -> Self {
        let mut bytes = vec![0; OUT_HEADER];
        bytes[8..].copy_from_slice(&unique.to_ne_bytes());
        Self(bytes)
    }

    /// The answer "no, because `errno`".
    pub fn refuse(unique: u64, errno: i32) -> Vec<u8> {
        let mut answer = Self::to(unique);
        answer.0[4..8].copy_from_slice(&(-errno).to_ne_bytes());
        answer.done()
    }

    /// One more number.
    pub fn word(mut self, number: u32) -> Self {
        self.0.extend(number.to_ne_bytes());
        self
    }

    /// The same with 16 bits.
    pub fn half(mut self, number: u16) -> Self {
        self.0.extend(number.to_ne_bytes());
        self
    }

    /// The same with 64 bits.
    pub fn long(mut self, number: u64) -> Self {
        self.0.extend(number.to_ne_bytes());
        self
    }

    /// Bytes as they are.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// `count` null bytes.
    pub fn nothing(mut self, count: usize) -> Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }

    /// `struct fuse_attr`, 88 bytes: a file of the host's root that everybody may read.
    pub fn attributes(self, node: u64, kind: u32, size: u64) -> Self {
        let links = if kind & mode::DIRECTORY == 0 { 1 } else { 2 };
        let blocks = 0;
        self.long(node)
            .long(size)
            .long(blocks)
            .nothing(3 * 8 + 3 * 4)
            .word(kind)
            .word(links)
            .nothing(3 * 4)
            .word(4096)
            .word(0)
    }

    /// The whole, with its length.
    pub fn done(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(0);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// The answer to the first question of all, `struct fuse_init_in` and `fuse_init_out`. With `patience` the kernel gives a server
/// up that does not answer for so many seconds (Linux 6.14).
pub fn greeting(asked: Question<'_>, patience: Option<u16>) -> Vec<u8> {
    let [major, minor] = VERSION;
    let patience = patience.filter(|_| asked.word(12) & WIDE != 0 && asked.word(16) & TIMEOUT != 0);
    let (flags, more) = if patience.is_some() { (WIDE, TIMEOUT) } else { (0, 0) };
    // The kernel's bounds of requests in the background, of which there are none; one nanosecond; pages of one request.
    let answer = Answer::to(asked.unique).word(major).word(minor).word(0).word(flags).half(4).half(3);
    let answer = answer.word(MOST_WRITTEN).word(1).half(0).half(0).word(more).word(0);
    answer.half(patience.unwrap_or(0)).nothing(22).done()
}

/// Answers that question for a server that comes later: until then whoever looks for something waits for it.
///
/// # Errors
/// What read(2) and write(2) say.
pub fn greet(device: impl AsFd) -> io::Result<()> {
    let mut room = [0; ROOM];
    let length = read(device.as_fd(), &mut room)?;
    let asked = room.get(..length).and_then(Question::parse).filter(|asked| asked.kind == ask::INIT);
    let asked = asked.ok_or(io::ErrorKind::InvalidData)?;
    write(device.as_fd(), &greeting(asked, None))?;
    Ok(())
}

/// Kinds of files. inode(7).
pub mod mode {
    /// A directory.
    pub const DIRECTORY: u32 = 0o040_000;
    /// A file.
    pub const FILE: u32 = 0o100_000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_within_its_bounds() {
        let mut bytes = vec![0; IN_HEADER];
        bytes[4..8].copy_from_slice(&ask::LOOKUP.to_ne_bytes());
        bytes[8..16].copy_from_slice(&7_u64.to_ne_bytes());
        bytes[16..24].copy_from_slice(&1_u64.to_ne_bytes());
        bytes[32..36].copy_from_slice(&77_i32.to_ne_bytes());
        bytes.extend(b"stat\0more");
        let question = Question::parse(&bytes).unwrap();
        assert_eq!((question.kind, question.unique, question.node, question.who), (ask::LOOKUP, 7, 1, 77));
        assert_eq!(question.name(), b"stat");
        assert_eq!((question.word(6), question.long(4), question.long(usize::MAX)), (0, 0, 0));
        assert_eq!(Question::parse(&bytes[..IN_HEADER - 1]), None);
    }

    #[test]
    fn answers_say_how_long_they_are() {
        let answer = Answer::to(7).attributes(2, mode::FILE | 0o444, 9).done();
        assert_eq!(answer.len(), OUT_HEADER + 88);
        assert_eq!(answer[..4], 104_u32.to_ne_bytes());
        assert_eq!(Answer::refuse(7, 2)[4..8], (-2_i32).to_ne_bytes());
    }
}
