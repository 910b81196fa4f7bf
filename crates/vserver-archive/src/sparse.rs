//! Files stored without their holes. Source: GNU tar's manual, "Storing Sparse Files": the old format (type `S`), and
//! the pax formats 0.1 and 1.0. Format 0.0 repeats keys of an extended header, which is refused like any repetition.

/// Most stretches of data in one file: the map of more would be larger than an extended header may be.
pub(crate) const STRETCHES: usize = 65_536;

type Fault = &'static str;

const BAD: Fault = "its map of holes is malformed";

/// Where the data of a file belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Map {
    /// Offset and length of each stretch of data, in bytes.
    pub stretches: Vec<(u64, u64)>,
    /// Size of the whole file in bytes.
    pub size: u64,
}

impl Map {
    /// Checked: ascending, apart, within the file, and together as long as what is stored.
    pub(crate) fn new(stretches: Vec<(u64, u64)>, size: u64, stored: u64) -> Result<Self, Fault> {
        let mut end = 0;
        let mut data = 0u64;
        for (at, length) in &stretches {
            if *at < end {
                return Err("its map of holes has stretches that overlap");
            }
            end = at.checked_add(*length).ok_or(BAD)?;
            data = data.checked_add(*length).ok_or(BAD)?;
        }
        if end > size {
            return Err("its map of holes leads beyond its size");
        }
        if data != stored {
            return Err("its map of holes does not fit its data");
        }
        Ok(Self { stretches, size })
    }

    /// `offset,length,offset,length…` of format 0.1.
    pub(crate) fn of_list(list: &[u8], size: u64, stored: u64) -> Result<Self, Fault> {
        let numbers: Vec<u64> = list.split(|b| *b == b',').map(decimal).collect::<Result<_, _>>()?;
        Self::new(pairs(&numbers)?, size, stored)
    }
}

/// Collects the map that stands before the data in format 1.0: lines of decimal numbers, the first is their count.
#[derive(Default)]
pub(crate) struct Lines {
    line: Vec<u8>,
    count: Option<usize>,
    numbers: Vec<u64>,
}

impl Lines {
    /// Takes a block; true when the map is complete. What is left of the block is padding.
    pub(crate) fn take(&mut self, block: &[u8]) -> Result<bool, Fault> {
        for byte in block {
            if *byte != b'\n' {
                if self.line.len() >= 20 {
                    return Err(BAD);
                }
                self.line.push(*byte);
                continue;
            }
            let number = decimal(&self.line)?;
            self.line.clear();
            match self.count {
                None if number > STRETCHES as u64 => return Err("its map of holes is too long"),
                None => self.count = Some(number as usize * 2),
                Some(_) => self.numbers.push(number),
            }
            if self.count == Some(self.numbers.len()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn finish(self, size: u64, stored: u64) -> Result<Map, Fault> {
        Map::new(pairs(&self.numbers)?, size, stored)
    }
}

fn pairs(numbers: &[u64]) -> Result<Vec<(u64, u64)>, Fault> {
    if !numbers.len().is_multiple_of(2) || numbers.len() > STRETCHES * 2 {
        return Err(BAD);
    }
    Ok(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

fn decimal(text: &[u8]) -> Result<u64, Fault> {
    let text = std::str::from_utf8(text).ok().filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
    text.and_then(|t| t.parse().ok()).ok_or(BAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_checked() {
        assert!(Map::new(vec![(0, 5), (10, 5)], 20, 10).is_ok());
        assert!(Map::new(vec![(20, 0)], 20, 0).is_ok(), "GNU tar ends a map with the size");
        for (stretches, size, stored) in [
            (vec![(10, 5), (0, 5)], 20, 10),
            (vec![(0, 15), (10, 5)], 20, 20),
            (vec![(0, 25)], 20, 25),
            (vec![(u64::MAX, 5)], 20, 5),
            (vec![(0, 5)], 20, 6),
        ] {
            assert!(Map::new(stretches.clone(), size, stored).is_err(), "{stretches:?}");
        }
    }

    #[test]
    fn lines_may_be_cut_anywhere() {
        let text = b"2\n0\n5\n10\n7\n";
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            assert!(!lines.take(&text[..cut]).unwrap());
            assert!(lines.take(&text[cut..]).unwrap());
            assert_eq!(lines.finish(17, 12).unwrap().stretches, [(0, 5), (10, 7)]);
        }
        assert!(Lines::default().take(b"99999999\n").is_err());
        assert!(Lines::default().take(b"-1\n").is_err());
        assert!(Lines::default().take(&[b'1'; 30]).is_err());
    }
}
