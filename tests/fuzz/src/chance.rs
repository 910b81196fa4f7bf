//! Inputs by chance: a seed, changed a little. The same number gives the same ones.

/// Words that readers know or stumble over.
const WORDS: [&[u8]; 24] = [
    b"\n",
    b"\0",
    b"\\",
    b"\\\n",
    b"#",
    b",",
    b"~",
    b"!",
    b"^63",
    b"-1",
    b"0x",
    b"18446744073709551616",
    b"inf",
    b"K",
    b"/../",
    b"all",
    b"\xff",
    b"\xc3\xa9",
    b"=",
    b":",
    b"0-65535,",
    b"none / none bind",
    b"ustar",
    b" ",
];

/// A small generator (xorshift64*). Source: Vigna, "An experimental exploration of Marsaglia's xorshift generators".
pub struct Chance(u64);

impl Chance {
    /// Anything but zero.
    pub fn new(number: u64) -> Self {
        Self(number | 1)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(mixed).unwrap_or(0) % end.max(1)
    }

    /// One of `seeds` with one to eight changes, of which some take a piece of another seed.
    pub fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(8) {
            let other = &seeds[self.below(seeds.len())];
            self.change(&mut bytes, other);
        }
        bytes.truncate(1 << 16);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + self.below(32)).min(bytes.len());
        match self.below(7) {
            0 => drop(bytes.drain(at..end)),
            1 => drop(bytes.splice(at..at, WORDS[self.below(WORDS.len())].iter().copied())),
            2 => {
                let from = self.below(other.len() + 1);
                let to = (from + self.below(200)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            // Much of the same: what grows faster than its input is found by this.
            3 => {
                let piece = bytes[at..end].repeat(1 << self.below(10));
                bytes.splice(at..at, piece);
            }
            4 => bytes.truncate(at),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (self.0 % 8);
                }
            }
        }
    }
}
