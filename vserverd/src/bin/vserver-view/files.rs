//! Which files there are, and what of them a reader gets: what is in a file when it is read from its beginning is what the
//! same reader gets of the rest, so that no line is torn. Nothing is kept for a reader that the next ones cannot displace.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// One file of the guest's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    Meminfo,
    Swaps,
    Stat,
    Cpuinfo,
    Loadavg,
    /// `/sys/devices/system/cpu/online`.
    Online,
    /// What sysinfo(2) answers, as the bytes of `struct sysinfo`: for the guest's supervisor only.
    Sysinfo,
}

impl File {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Meminfo, Self::Swaps, Self::Stat, Self::Cpuinfo, Self::Loadavg, Self::Online, Self::Sysinfo];

    /// Its name in the root directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Meminfo => "meminfo",
            Self::Swaps => "swaps",
            Self::Stat => "stat",
            Self::Cpuinfo => "cpuinfo",
            Self::Loadavg => "loadavg",
            Self::Online => "online",
            Self::Sysinfo => "sysinfo",
        }
    }

    /// How long what it says may be said again: to look costs the host, whoever asks.
    fn lasts(self) -> Duration {
        match self {
            Self::Cpuinfo => Duration::from_secs(1),
            _ => Duration::from_millis(20),
        }
    }

    /// How the kernel knows it; 1 is the root directory.
    pub fn node(self) -> u64 {
        2 + self as u64
    }

    /// The inverse.
    pub fn of_node(node: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|file| file.node() == node)
    }
}

/// Most readers whose text is remembered between two reads.
const MOST_READERS: usize = 16;

/// What was said last, and to whom.
#[derive(Debug, Default)]
pub struct Said {
    last: [Option<(Instant, Rc<[u8]>)>; File::ALL.len()],
    readers: VecDeque<(u64, Rc<[u8]>)>,
    opened: u64,
}

impl Said {
    /// A number for somebody who has opened a file.
    pub fn open(&mut self) -> u64 {
        self.opened += 1;
        self.opened
    }

    /// That one has closed it.
    pub fn close(&mut self, reader: u64) {
        self.readers.retain(|(known, _)| *known != reader);
    }

    /// The text of `file`, made by `make` if the last one is too old.
    pub fn text(&mut self, file: File, make: impl FnOnce() -> Vec<u8>) -> Rc<[u8]> {
        let now = Instant::now();
        let last = &mut self.last[file as usize];
        match last {
            Some((when, text)) if now.duration_since(*when) < file.lasts() => text.clone(),
            _ => last.insert((now, make().into())).1.clone(),
        }
    }

    /// At most `size` bytes of it from `offset` on for `reader`.
    pub fn read(
        &mut self,
        (file, reader): (File, u64),
        (offset, size): (u64, u32),
        make: impl FnOnce() -> Vec<u8>,
    ) -> (Rc<[u8]>, std::ops::Range<usize>) {
        let known = self.readers.iter().find(|(known, _)| *known == reader && offset > 0);
        let text = match known {
            Some((_, text)) => text.clone(),
            None => {
                let text = self.text(file, make);
                self.close(reader);
                self.readers.truncate(MOST_READERS - 1);
                self.readers.push_front((reader, text.clone()));
                text
            }
        };
        let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
        let end = begin.saturating_add(size as usize).min(text.len());
        (text, begin..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gets_one_text() {
        let mut said = Said::default();
        let (reader, other) = (said.open(), said.open());
        let (text, range) = said.read((File::Stat, reader), (0, 4), || b"first text".to_vec());
        assert_eq!(&text[range], b"firs");
        said.last = Default::default();
        let (text, range) = said.read((File::Stat, other), (0, 99), || b"second".to_vec());
        assert_eq!(&text[range], b"second");
        let (text, range) = said.read((File::Stat, reader), (4, 99), || b"third".to_vec());
        assert_eq!(&text[range], b"t text");
        assert_eq!(said.read((File::Stat, reader), (1 << 40, 9), Vec::new).1, 10..10);
    }

    #[test]
    fn no_number_of_readers_makes_it_grow() {
        let mut said = Said::default();
        for _ in 0..1000 {
            let reader = said.open();
            said.read((File::Meminfo, reader), (0, 9), || b"text".to_vec());
        }
        assert_eq!(said.readers.len(), MOST_READERS);
        said.close(1000);
        assert_eq!(said.readers.len(), MOST_READERS - 1);
    }
}
