//! Whether two open files are the same in everything but their inode.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use nix::sys::stat::{FileStat, fstat};
use rustix::fs::{fgetxattr, flistxattr};
use rustix::io::Errno;

/// How much is read at once.
const CHUNK: usize = 128 << 10;
/// The largest file of which all is kept in memory while others are compared with it.
const KEPT: usize = 512 << 10;
/// How much each of the pieces is that stand for a file: at its beginning, in the middle, at its end.
const SAMPLE: usize = 8 << 10;

/// What must be equal besides the content. Source: util-vserver, `behaviours.md` §9.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub size: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// In whole seconds; 0 where it does not count.
    pub mtime: i64,
}

impl Key {
    pub fn of(stat: &FileStat, ignore_mtime: bool) -> Self {
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mode: stat.st_mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: if ignore_mtime { 0 } else { stat.st_mtime },
        }
    }
}

/// What every change of a file changes. The change time alone would do, but ticks of a coarse clock are long.
pub(crate) fn state(stat: &FileStat) -> [i64; 6] {
    [stat.st_ctime, stat.st_ctime_nsec, stat.st_mtime, stat.st_mtime_nsec, stat.st_size, i64::from(stat.st_mode)]
}

/// What a file takes of the disk, in bytes.
pub(crate) fn space(stat: &FileStat) -> u64 {
    u64::try_from(stat.st_blocks).unwrap_or(0) * 512
}

/// Room for comparing, one for each thread.
pub(crate) struct Room {
    own: Vec<u8>,
    other: Vec<u8>,
}

impl Room {
    pub fn new() -> Self {
        Self { own: vec![0; CHUNK], other: vec![0; CHUNK] }
    }
}

/// A file that others are compared with, and can become one with. What it has is read once, as long as nobody changes it.
pub(crate) struct Model {
    file: File,
    stat: FileStat,
    content: Option<Vec<u8>>,
    attributes: Option<Vec<Attribute>>,
}

/// A name and its value.
type Attribute = (Vec<u8>, Vec<u8>);

impl Model {
    /// An open file, as it was looked at.
    pub fn new(file: File, stat: FileStat) -> Self {
        Self { file, stat, content: None, attributes: None }
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// As it was looked at, but for links of our own.
    pub fn stat(&self) -> &FileStat {
        &self.stat
    }

    pub fn inode(&self) -> u64 {
        self.stat.st_ino
    }

    /// Whether it is too large to be kept in memory, so that it is read again for each comparison.
    pub fn is_large(size: u64) -> bool {
        size > KEPT as u64
    }

    /// Compares byte for byte with a file of the same size, then the extended attributes (capabilities and ACLs among them).
    pub fn same(&mut self, other: &File, room: &mut Room) -> io::Result<bool> {
        Ok(self.same_content(other, room)? && self.same_attributes(other, room)?)
    }

    /// The same with several at once.
    pub fn same_as(&mut self, others: &[&File], room: &mut Room) -> Vec<io::Result<bool>> {
        let mut same: Vec<io::Result<bool>> = others.iter().map(|_| Ok(true)).collect();
        if let Err(error) = self.compare(others, room, |number, outcome| same[number] = outcome) {
            let again = || error.raw_os_error().map_or(error.kind().into(), io::Error::from_raw_os_error);
            return others.iter().map(|_| Err(again())).collect();
        }
        for (same, other) in same.iter_mut().zip(others) {
            if matches!(same, Ok(true)) {
                *same = self.same_attributes(other, room);
            }
        }
        same
    }

    /// Gives all that is in it, piece by piece.
    pub fn read(&mut self, room: &mut Room, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        if self.keep()? {
            take(self.content.as_deref().unwrap_or_default());
            return Ok(());
        }
        for (at, length) in pieces(self.size()) {
            let read = fill(&self.file, &mut room.own[..length], at)?;
            take(&room.own[..read]);
        }
        Ok(())
    }

    /// Gives a few pieces of it: all of one that is not larger than they are.
    pub fn sample(&mut self, room: &mut Room, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let (size, length) = (self.size(), SAMPLE as u64);
        if size <= 3 * length {
            return self.read(room, take);
        }
        for at in [0, (size - length) / 2, size - length] {
            let read = fill(&self.file, &mut room.own[..SAMPLE], at)?;
            take(&room.own[..read]);
        }
        Ok(())
    }

    /// Whether nobody has changed it since it was read, but ourselves by [`Self::was_linked`].
    pub fn is_unchanged(&self) -> nix::Result<bool> {
        Ok(state(&fstat(&self.file)?) == state(&self.stat))
    }

    /// It has got a further name from us, which has changed its time of change, and nothing else.
    pub fn was_linked(&mut self) -> nix::Result<()> {
        let now = fstat(&self.file)?;
        (self.stat.st_ctime, self.stat.st_ctime_nsec) = (now.st_ctime, now.st_ctime_nsec);
        Ok(())
    }

    fn size(&self) -> u64 {
        u64::try_from(self.stat.st_size).unwrap_or(0)
    }

    /// Reads it if it is small; whether all of it is in memory.
    fn keep(&mut self) -> io::Result<bool> {
        let size = usize::try_from(self.size()).unwrap_or(usize::MAX);
        if self.content.is_none() && size <= KEPT {
            let mut content = vec![0; size];
            let read = fill(&self.file, &mut content, 0)?;
            content.truncate(read);
            self.content = Some(content);
        }
        Ok(self.content.is_some())
    }

    fn same_content(&mut self, other: &File, room: &mut Room) -> io::Result<bool> {
        let mut same = Ok(true);
        self.compare(&[other], room, |_, outcome| same = outcome)?;
        same
    }

    /// Compares its content with that of several at once, so that it is read once for all of them. `differs` is told the number
    /// of each that is not the same, or what came of reading it.
    fn compare(
        &mut self,
        others: &[&File],
        room: &mut Room,
        mut differs: impl FnMut(usize, io::Result<bool>),
    ) -> io::Result<()> {
        let kept = self.keep()?;
        let mut left: Vec<(usize, &File)> = others.iter().copied().enumerate().collect();
        for (at, length) in pieces(self.size()) {
            let own = match (&self.content, usize::try_from(at)) {
                (Some(content), Ok(at)) if kept => content.get(at..at + length).unwrap_or_default(),
                _ => {
                    let read = fill(&self.file, &mut room.own[..length], at)?;
                    &room.own[..read]
                }
            };
            left.retain(|(number, other)| {
                // Less than there was means that somebody has changed one of them.
                let same = fill(other, &mut room.other[..length], at)
                    .map(|read| own.len() == length && *own == room.other[..read]);
                let stays = matches!(same, Ok(true));
                if !stays {
                    differs(*number, same);
                }
                stays
            });
            if left.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn same_attributes(&mut self, other: &File, room: &mut Room) -> io::Result<bool> {
        if self.attributes.is_none() {
            self.attributes = Some(attributes(&self.file, room)?);
        }
        Ok(self.attributes.as_ref() == Some(&attributes(other, room)?))
    }
}

/// Where each piece of a file begins, and its length.
fn pieces(size: u64) -> impl Iterator<Item = (u64, usize)> {
    let length = move |at| usize::try_from(size - at).map_or(CHUNK, |left| left.min(CHUNK));
    (0..size).step_by(CHUNK).map(move |at| (at, length(at)))
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// All attributes, sorted: file systems list them in any order. A list has at most 64 KiB, a value too.
fn attributes(file: impl AsFd, room: &mut Room) -> io::Result<Vec<Attribute>> {
    let length = match flistxattr(&file, &mut room.own[..]) {
        Err(Errno::NOTSUP) => 0,
        length => length?,
    };
    let mut all = Vec::new();
    for name in room.own[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let length = fgetxattr(&file, name, &mut room.other[..])?;
        all.push((name.to_vec(), room.other[..length].to_vec()));
    }
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn model(content: &[u8]) -> Model {
        let file = file(content);
        let stat = fstat(&file).unwrap();
        Model::new(file, stat)
    }

    #[test]
    fn a_single_byte_makes_a_difference_wherever_it_is() {
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, KEPT, KEPT + 1, 3 * KEPT + 7] {
            let content: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let (mut model, mut room) = (model(&content), Room::new());
            assert!(model.same(&file(&content), &mut room).unwrap(), "{size}");
            let mut all = Vec::new();
            model.read(&mut room, |piece| all.extend_from_slice(piece)).unwrap();
            assert!(all == content, "{size}");
            for at in [0, size / 2, size.saturating_sub(1)].into_iter().filter(|at| *at < size) {
                let mut other = content.clone();
                other[at] ^= 1;
                assert!(!model.same(&file(&other), &mut room).unwrap(), "{at} of {size}");
            }
            if size > 0 {
                assert!(!model.same(&file(&content[1..]), &mut room).unwrap(), "{size}, cut");
            }
        }
    }

    #[test]
    fn a_change_is_seen_and_a_link_of_our_own_is_none() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("model");
        std::fs::write(&path, "before").unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let stat = fstat(&file).unwrap();
        let mut model = Model::new(file.try_clone().unwrap(), stat);
        assert!(model.is_unchanged().unwrap());
        std::fs::hard_link(&path, base.path().join("link")).unwrap();
        model.was_linked().unwrap();
        assert!(model.is_unchanged().unwrap());
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        model.was_linked().unwrap();
        assert!(!model.is_unchanged().unwrap());
    }
}
