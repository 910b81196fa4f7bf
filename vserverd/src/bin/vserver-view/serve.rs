//! The loop: one question after the other, and a look at the guest from time to time.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};
use vserver_runtime::fuse::{self, Answer, Question, ask, mode};

use crate::files::{File, Said};
use crate::guest::Guest;

/// Most questions in one [`PERIOD`]: what a guest can make its host work. A `cat` asks about five.
const PER_PERIOD: u32 = 500;
const PERIOD: Duration = Duration::from_millis(100);
/// How long a name stays the name of its file.
pub const FOREVER: u64 = 1 << 20;
/// The root directory.
pub const ROOT: u64 = 1;
/// `FOPEN_DIRECT_IO`: what was read once is not what is read next.
pub const DIRECT: u32 = 1;
/// Seconds until the kernel gives a server up that does not answer: readers of a stopped one do not wait for good.
const PATIENCE: u16 = 15;

/// Serves on `device` until nothing of the file system is mounted or open any more.
pub fn serve(device: &OwnedFd, guest: &mut Guest) -> io::Result<()> {
    let (mut said, mut room, mut period) = (Said::default(), [0; fuse::ROOM], (Instant::now(), 0));
    loop {
        guest.look();
        wait(device, guest.pause())?;
        let length = match read(device, &mut room) {
            Ok(length) => length,
            // The one who asked has gone.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOENT) => continue,
            Err(Errno::ENODEV) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        if let Some(bytes) =
            room.get(..length).and_then(Question::parse).and_then(|asked| answer(asked, &mut said, guest))
        {
            // Whoever does not wait for it any more needs none.
            write(device, &bytes).ok();
        }
        brake(&mut period);
    }
}

fn wait(device: &OwnedFd, time: Option<Duration>) -> io::Result<()> {
    // Never too early: it would be asked again for nothing.
    let time = time.map(|time| time + Duration::from_millis(1));
    let timeout = time.map_or(PollTimeout::NONE, |time| PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX));
    match poll(&mut [PollFd::new(device.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Lets those wait who ask too much.
fn brake((begin, count): &mut (Instant, u32)) {
    let now = Instant::now();
    if now >= *begin + PERIOD {
        (*begin, *count) = (now, 0);
    }
    *count += 1;
    if *count >= PER_PERIOD {
        std::thread::sleep((*begin + PERIOD).saturating_duration_since(now));
    }
}

/// `None` where the kernel wants no answer.
fn answer(asked: Question<'_>, said: &mut Said, guest: &mut Guest) -> Option<Vec<u8>> {
    let refuse = |errno: Errno| Answer::refuse(asked.unique, errno as i32);
    let file = File::of_node(asked.node);
    let to = || Answer::to(asked.unique);
    Some(match (asked.kind, file) {
        (ask::FORGET | ask::BATCH_FORGET, _) => return None,
        (ask::INIT, _) => fuse::greeting(asked, Some(PATIENCE)),
        (ask::LOOKUP, None) => match File::ALL.into_iter().find(|file| file.name().as_bytes() == asked.name()) {
            Some(file) => {
                let answer = to().long(file.node()).long(0).long(FOREVER).long(0).nothing(8);
                described(answer, file, 0).done()
            }
            None => refuse(Errno::ENOENT),
        },
        // Asked again at every opening: how large it is then.
        (ask::GETATTR, Some(File::Sysinfo)) => described(to().nothing(16), File::Sysinfo, 0).done(),
        (ask::GETATTR, Some(file)) => {
            described(to().nothing(16), file, said.text(file, || guest.text(file)).len()).done()
        }
        (ask::GETATTR, None) => to().long(FOREVER).nothing(8).attributes(ROOT, mode::DIRECTORY | 0o555, 0).done(),
        (ask::OPEN, Some(_)) => to().long(said.open()).word(DIRECT).word(0).done(),
        (ask::READ, Some(file)) => {
            let (text, part) = said.read((file, asked.long(0)), (asked.long(8), asked.word(16)), || guest.text(file));
            to().bytes(text.get(part).unwrap_or_default()).done()
        }
        (ask::RELEASE, _) => {
            said.close(asked.long(0));
            to().done()
        }
        // Nothing has any room.
        (ask::STATFS, _) => to().nothing(40).word(4096).word(255).word(4096).nothing(28).done(),
        _ => refuse(Errno::ENOSYS),
    })
}

/// sendfile(2) reads no more than the size says, other calls whatever there is: so it says somewhat more, and the kernel
/// takes it back when it finds the end.
fn described(answer: Answer, file: File, length: usize) -> Answer {
    const MORE: u64 = 4096;
    let rights = if file == File::Sysinfo { 0o400 } else { 0o444 };
    answer.attributes(file.node(), mode::FILE | rights, length as u64 + MORE)
}
