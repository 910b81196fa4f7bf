//! The kernel's questions about a file system and the answers, as bytes. `include/uapi/linux/fuse.h`, version 7.31 of the
//! protocol (Linux 5.4): of it only what a few read-only files need. Only the kernel writes questions; still each is read
//! within its bounds.

/// Bytes before every question.
const IN_HEADER: usize = 40;
/// Bytes before every answer.
const OUT_HEADER: usize = 16;

/// Kinds of questions that mean something here.
pub mod ask {
    pub const LOOKUP: u32 = 1;
    pub const FORGET: u32 = 2;
    pub const GETATTR: u32 = 3;
    pub const OPEN: u32 = 14;
    pub const READ: u32 = 15;
    pub const STATFS: u32 = 17;
    pub const RELEASE: u32 = 18;
    pub const INIT: u32 = 26;
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
    body: &'a [u8],
}

impl<'a> Question<'a> {
    /// `None` if `bytes` are none.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, body) = bytes.split_at_checked(IN_HEADER)?;
        let header = Self { kind: 0, unique: 0, node: 0, body: header };
        Some(Self { kind: header.word(4), unique: header.long(8), node: header.long(16), body })
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
        bytes.extend(b"stat\0more");
        let question = Question::parse(&bytes).unwrap();
        assert_eq!((question.kind, question.unique, question.node), (ask::LOOKUP, 7, 1));
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
