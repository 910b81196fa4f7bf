//! Bytes between the caller's standard descriptors and the pipes of a command in a guest, and signals the other way.
//!
//! A pipe of the caller is passed on as it is: nothing of the host can be reached through it. Everything else — a
//! terminal, a file, a socket, a directory — stays with the caller and is relayed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::{SFlag, fstat, major, minor};
use nix::unistd::pipe2;
use vserver_sys::pidfd;
use vserver_types::Exit;

use crate::control::{self, Reply};
use crate::exec::Running;

/// Signals that a command in a guest gets as if it were the caller itself.
const FORWARDED: [Signal; 7] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
];

/// The largest piece that is held between two sides.
const BUFFER: usize = 64 << 10;

/// What one of the three standard descriptors becomes in the guest.
enum Stream {
    /// The guest's own `/dev/null`.
    Null,
    /// The caller's pipe.
    Pass(OwnedFd),
    /// Our pipe: the guest's end and ours.
    Relay { theirs: OwnedFd, ours: File },
}

/// The three of them.
pub struct Streams([Stream; 3]);

impl Streams {
    /// Looks at the caller's descriptors and makes the pipes that are needed.
    pub fn open() -> io::Result<Self> {
        Ok(Self([
            Stream::of(io::stdin().as_fd(), true)?,
            Stream::of(io::stdout().as_fd(), false)?,
            Stream::of(io::stderr().as_fd(), false)?,
        ]))
    }

    /// The guest's ends.
    pub fn passed(&self) -> [Option<BorrowedFd<'_>>; 3] {
        self.0.each_ref().map(|stream| match stream {
            Stream::Null => None,
            Stream::Pass(fd) | Stream::Relay { theirs: fd, .. } => Some(fd.as_fd()),
        })
    }
}

impl Stream {
    fn of(fd: BorrowedFd<'_>, input: bool) -> io::Result<Self> {
        let Ok(stat) = fstat(fd) else {
            return Ok(Self::Null);
        };
        let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
        if kind == SFlag::S_IFCHR && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3) {
            return Ok(Self::Null);
        }
        if kind == SFlag::S_IFIFO {
            return fd.try_clone_to_owned().map(Self::Pass);
        }
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        let (theirs, ours) = if input { (read, write) } else { (write, read) };
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self::Relay { theirs, ours: File::from(ours) })
    }

    /// Our end; the guest's is closed here, so that the end of the command's side can be seen.
    fn into_ours(self) -> Option<File> {
        match self {
            Self::Relay { ours, .. } => Some(ours),
            Self::Null | Self::Pass(_) => None,
        }
    }
}

/// State of a relay.
struct Relay {
    input: Option<File>,
    held: Vec<u8>,
    outputs: [Option<File>; 2],
    signals: SignalFd,
}

/// Signals that are kept for a command, and what was blocked before.
pub struct Kept {
    kept: SignalFd,
    before: SigSet,
}

/// Keeps signals to this process for the command from now on. To be called before the command begins: it may be heard of,
/// by what it prints, before its supervisor's answer has come.
pub fn keep_signals() -> io::Result<Kept> {
    let before = SigSet::thread_get_mask()?;
    let set = forwarded();
    set.thread_block()?;
    let kept = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    Ok(Kept { kept, before })
}

fn forwarded() -> SigSet {
    FORWARDED.into_iter().collect()
}

/// Relays until the command has ended and returns how.
pub fn run(streams: Streams, signals: Kept, running: &Running) -> io::Result<Exit> {
    let [input, output, errors] = streams.0.map(Stream::into_ours);
    let mut relay = Relay { input, held: Vec::new(), outputs: [output, errors], signals: signals.kept };
    let exit = relay.until_the_end(running)?;
    relay.drain();
    signals.before.thread_set_mask()?;
    Ok(exit)
}

impl Relay {
    fn until_the_end(&mut self, running: &Running) -> io::Result<Exit> {
        loop {
            let ready = self.wait(running)?;
            if ready.signal {
                forward(&self.signals, running);
            }
            if ready.read_input {
                self.read_input();
            }
            if ready.write_input {
                self.write_input();
            }
            for index in 0..2 {
                if ready.output[index] {
                    self.copy_output(index);
                }
            }
            if ready.socket
                && let Some(exit) = ending(&running.socket)?
            {
                return Ok(exit);
            }
        }
    }

    fn wait(&self, running: &Running) -> io::Result<Ready> {
        let stdin = io::stdin();
        let mut watched = vec![
            PollFd::new(running.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        let reads = self.input.is_some() && self.held.is_empty();
        let writes = self.input.is_some() && !self.held.is_empty();
        let mut index = Ready::default();
        let mut places = [None; 4];
        if reads {
            places[0] = Some(watched.len());
            watched.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        if let Some(input) = self.input.as_ref().filter(|_| writes) {
            places[1] = Some(watched.len());
            watched.push(PollFd::new(input.as_fd(), PollFlags::POLLOUT));
        }
        for (place, output) in [2, 3].into_iter().zip(&self.outputs) {
            if let Some(output) = output {
                places[place] = Some(watched.len());
                watched.push(PollFd::new(output.as_fd(), PollFlags::POLLIN));
            }
        }
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let hit = |place: Option<usize>| place.is_some_and(|at| watched[at].any().unwrap_or(false));
        (index.socket, index.signal) = (hit(Some(0)), hit(Some(1)));
        (index.read_input, index.write_input) = (hit(places[0]), hit(places[1]));
        index.output = [hit(places[2]), hit(places[3])];
        Ok(index)
    }

    fn read_input(&mut self) {
        let mut buffer = vec![0; BUFFER];
        match io::stdin().read(&mut buffer) {
            Ok(0) => self.input = None,
            Ok(count) => {
                buffer.truncate(count);
                self.held = buffer;
            }
            Err(error) if retry(&error) => {}
            Err(_) => self.input = None,
        }
    }

    fn write_input(&mut self) {
        let Some(input) = &mut self.input else {
            return;
        };
        match input.write(&self.held) {
            Ok(count) => drop(self.held.drain(..count)),
            Err(error) if retry(&error) => {}
            // The command reads no more: not an error of ours.
            Err(_) => self.input = None,
        }
    }

    fn copy_output(&mut self, index: usize) {
        let Some(output) = &mut self.outputs[index] else {
            return;
        };
        let mut buffer = vec![0; BUFFER];
        match output.read(&mut buffer) {
            Ok(count) if count > 0 => {
                let bytes = &buffer[..count];
                let written = if index == 0 {
                    io::stdout().lock().write_all(bytes).and_then(|()| io::stdout().flush())
                } else {
                    io::stderr().lock().write_all(bytes)
                };
                // Nobody listens any more: let the command see it as it would without us.
                if written.is_err() {
                    self.outputs[index] = None;
                }
            }
            Err(error) if retry(&error) => {}
            _ => self.outputs[index] = None,
        }
    }

    /// What the command wrote before it ended is still in the pipes; what others go on writing is not waited for.
    fn drain(&mut self) {
        for index in 0..2 {
            for _ in 0..64 {
                let readable = self.outputs[index].as_ref().is_some_and(|output| {
                    let mut watched = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
                    poll(&mut watched, PollTimeout::ZERO).is_ok_and(|count| count > 0)
                });
                if !readable {
                    break;
                }
                self.copy_output(index);
            }
        }
    }
}

/// What poll said.
#[derive(Default)]
struct Ready {
    socket: bool,
    signal: bool,
    read_input: bool,
    write_input: bool,
    output: [bool; 2],
}

fn retry(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn forward(signals: &SignalFd, running: &Running) {
    while let Ok(Some(info)) = signals.read_signal() {
        // It may have ended at this moment: its status is on the way.
        pidfd::signal(running.pidfd.as_fd(), info.ssi_signo as i32).ok();
    }
}

/// How the command ended, if this message says so.
pub(crate) fn ending(socket: &OwnedFd) -> io::Result<Option<Exit>> {
    match control::receive_reply(socket.as_fd())? {
        Some((Reply::Exited { code }, _)) => Ok(Some(Exit::Command(code as u8))),
        Some((Reply::Signalled { signal }, _)) => Ok(Some(Exit::Signal(signal))),
        Some(_) => Ok(None),
        // The supervisor is gone, and with it the guest.
        None => Ok(Some(Exit::Signal(Signal::SIGKILL as i32))),
    }
}
