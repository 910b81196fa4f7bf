//! The loop: one question after the other, until nobody asks any more or it is told to end.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};
use vserver_runtime::fuse::{self, Answer, Question, ask, mode};

use super::names::Name;
use super::stack::Stack;
use crate::serve::{DIRECT, FOREVER, ROOT};

/// Nobody has asked for so long: it ends, and the next question begins another one.
const IDLE: u16 = 20_000;
/// Who asks waits for as long as was worked whenever that was half of this: what a guest makes its host work is half a processor.
const PERIOD: Duration = Duration::from_millis(40);
/// How long what was said may be said again.
const LASTS: Duration = Duration::from_millis(20);
/// Most readers whose text is remembered between two reads, and most bytes of all their texts.
const MOST_READERS: usize = 16;
const MOST_BYTES: usize = 4 << 20;
/// The first file; 1 is the directory.
const FIRST: u64 = 2;

/// What was said last, and to whom.
#[derive(Default)]
struct Said {
    last: Option<(usize, Instant, Rc<[u8]>)>,
    readers: VecDeque<(u64, Rc<[u8]>)>,
    opened: u64,
}

/// Serves on `device` until `lease` has no writer any more, or nothing of the file system is left.
pub fn serve(device: &OwnedFd, lease: &OwnedFd, stack: &mut Stack) -> io::Result<()> {
    let (mut said, mut room, mut period) = (Said::default(), [0; fuse::ROOM], (Instant::now(), Duration::ZERO));
    while waits(device, lease)? {
        let length = match read(device, &mut room) {
            Ok(length) => length,
            // The one who asked has gone.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOENT) => continue,
            Err(Errno::ENODEV) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        let begun = Instant::now();
        let asked = room.get(..length).and_then(Question::parse);
        if let Some(bytes) = asked.and_then(|asked| said.answer(asked, stack)) {
            // Whoever does not wait for it any more needs none.
            write(device, &bytes).ok();
        }
        pay(&mut period, begun.elapsed());
    }
    Ok(())
}

/// Rests after work.
fn pay((begin, busy): &mut (Instant, Duration), took: Duration) {
    if begin.elapsed() >= PERIOD + took {
        (*begin, *busy) = (Instant::now(), Duration::ZERO);
    }
    *busy += took;
    if *busy >= PERIOD / 2 {
        std::thread::sleep((*busy).min(Duration::from_secs(1)));
        (*begin, *busy) = (Instant::now(), Duration::ZERO);
    }
}

/// Whether there is a question for us. A server that has to end leaves it to the next one.
fn waits(device: &OwnedFd, lease: &OwnedFd) -> io::Result<bool> {
    let mut watched = [PollFd::new(device.as_fd(), PollFlags::POLLIN), PollFd::new(lease.as_fd(), PollFlags::POLLIN)];
    match poll(&mut watched, PollTimeout::from(IDLE)) {
        Ok(0) => Ok(false),
        Ok(_) => Ok(watched[1].revents() == Some(PollFlags::empty())),
        Err(Errno::EINTR) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

impl Said {
    /// `None` where the kernel wants no answer.
    fn answer(&mut self, asked: Question<'_>, stack: &mut Stack) -> Option<Vec<u8>> {
        let refuse = |errno: Errno| Answer::refuse(asked.unique, errno as i32);
        let number = asked.node.checked_sub(FIRST).and_then(|number| usize::try_from(number).ok());
        let file = number.and_then(|number| Some((number, *stack.names().get(number)?)));
        let to = || Answer::to(asked.unique);
        Some(match (asked.kind, file) {
            (ask::FORGET | ask::BATCH_FORGET, _) => return None,
            (ask::INIT, _) => fuse::greeting(asked, None),
            (ask::LOOKUP, None) => match stack.names().iter().position(|name| name.name.as_bytes() == asked.name()) {
                Some(number) => {
                    let node = FIRST + number as u64;
                    described(to().long(node).long(0).long(FOREVER).long(0).nothing(8), node, 0).done()
                }
                None => refuse(Errno::ENOENT),
            },
            // Asked again at every opening: how large it is then.
            (ask::GETATTR, Some(file)) => {
                let length = self.text(file, asked.who, stack).map_or(0, |text| text.len());
                described(to().nothing(16), asked.node, length).done()
            }
            (ask::GETATTR, None) => to().long(FOREVER).nothing(8).attributes(ROOT, mode::DIRECTORY | 0o555, 0).done(),
            (ask::OPEN, Some(_)) => {
                self.opened += 1;
                to().long(self.opened).word(DIRECT).word(0).done()
            }
            (ask::OPENDIR, None) => to().long(0).word(0).word(0).done(),
            (ask::READ, Some(file)) => match self.read(file, asked, stack) {
                Ok((text, part)) => to().bytes(text.get(part).unwrap_or_default()).done(),
                Err(_) => refuse(Errno::EIO),
            },
            (ask::READDIR, None) => {
                to().bytes(&entries(stack.names(), asked.long(8), asked.word(16) as usize)).done()
            }
            (ask::RELEASE, _) => {
                self.close(asked.long(0));
                to().done()
            }
            (ask::RELEASEDIR, _) => to().done(),
            // Nothing has any room.
            (ask::STATFS, _) => to().nothing(40).word(4096).word(255).word(4096).nothing(28).done(),
            _ => refuse(Errno::ENOSYS),
        })
    }

    fn close(&mut self, reader: u64) {
        self.readers.retain(|(known, _)| *known != reader);
    }

    fn text(&mut self, (number, name): (usize, Name), who: i32, stack: &mut Stack) -> io::Result<Rc<[u8]>> {
        if stack.elsewhere(who) {
            return Ok(stack.text(name, who, true)?.into());
        }
        match &self.last {
            Some((last, when, text)) if *last == number && when.elapsed() < LASTS => Ok(text.clone()),
            _ => {
                let text: Rc<[u8]> = stack.text(name, who, false)?.into();
                self.last = Some((number, Instant::now(), text.clone()));
                Ok(text)
            }
        }
    }

    /// What is in a file when it is read from its beginning is what the same reader gets of the rest.
    fn read(
        &mut self,
        file: (usize, Name),
        asked: Question<'_>,
        stack: &mut Stack,
    ) -> io::Result<(Rc<[u8]>, std::ops::Range<usize>)> {
        let (reader, offset, size) = (asked.long(0), asked.long(8), asked.word(16));
        let known = self.readers.iter().find(|(known, _)| *known == reader && offset > 0);
        let text = match known {
            Some((_, text)) => text.clone(),
            None => {
                let text = self.text(file, asked.who, stack)?;
                self.close(reader);
                self.readers.push_front((reader, text.clone()));
                self.forget();
                text
            }
        };
        let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
        let end = begin.saturating_add(size as usize).min(text.len());
        Ok((text, begin..end))
    }

    /// Those who have read least recently, but not the last one.
    fn forget(&mut self) {
        self.readers.truncate(MOST_READERS);
        while self.readers.len() > 1 && self.readers.iter().map(|(_, text)| text.len()).sum::<usize>() > MOST_BYTES {
            self.readers.pop_back();
        }
    }
}

/// As the other server does: sendfile(2) reads no more than the size says.
fn described(answer: Answer, node: u64, length: usize) -> Answer {
    const MORE: u64 = 4096;
    answer.attributes(node, mode::FILE | 0o444, length as u64 + MORE)
}

/// `struct fuse_dirent` of those from number `first` on, as many as fit into `room` bytes.
fn entries(names: &[Name], first: u64, room: usize) -> Vec<u8> {
    const KIND: u32 = mode::FILE >> 12;
    let mut bytes = Vec::new();
    for (number, name) in (0_u64..).zip(names).skip(usize::try_from(first).unwrap_or(usize::MAX)) {
        let name = name.name.as_bytes();
        if bytes.len() + 24 + name.len().next_multiple_of(8) > room {
            break;
        }
        bytes.extend((FIRST + number).to_ne_bytes());
        bytes.extend((number + 1).to_ne_bytes());
        bytes.extend((name.len() as u32).to_ne_bytes());
        bytes.extend(KIND.to_ne_bytes());
        bytes.extend(name);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;

    #[test]
    fn a_directory_is_told_in_pieces() {
        let names = names::here();
        let whole = entries(&names, 0, 1 << 16);
        let mut pieces = Vec::new();
        let mut next = 0;
        loop {
            let piece = entries(&names, next, 64);
            let mut rest = piece.as_slice();
            while let Some(length) = rest.get(16..20).and_then(|four| four.try_into().ok()).map(u32::from_ne_bytes) {
                next += 1;
                rest = &rest[24 + (length as usize).next_multiple_of(8)..];
            }
            if piece.is_empty() {
                break;
            }
            pieces.extend(piece);
        }
        assert_eq!((next, pieces), (names.len() as u64, whole));
    }
}
