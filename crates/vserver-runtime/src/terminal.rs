//! The caller's terminal and a terminal of a guest, connected by copying bytes. Programs in the guest never get the
//! caller's terminal itself: they could type into it. Threat model: X08.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{self, SetArg, Termios};
use nix::unistd::isatty;
use vserver_sys::{pidfd, tty};
use vserver_types::Exit;

use crate::exec::Running;
use crate::relay;

/// Whether standard input and output are terminals.
pub fn on_both_sides() -> bool {
    isatty(io::stdin()).unwrap_or(false) && isatty(io::stdout()).unwrap_or(false)
}

/// Relays until the command has ended and returns how. The caller's terminal is raw meanwhile and as before afterwards.
pub fn run(running: &Running) -> io::Result<Exit> {
    let Some(master) = &running.master else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the supervisor sent no terminal"));
    };
    let mut set = SigSet::empty();
    [Signal::SIGWINCH, Signal::SIGTERM, Signal::SIGHUP].into_iter().for_each(|signal| set.add(signal));
    set.thread_block()?;
    let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    resize(master);
    let raw = Raw::enter()?;
    let exit = copy(running, master, &signals);
    drop(raw);
    set.thread_unblock()?;
    exit
}

fn copy(running: &Running, master: &OwnedFd, signals: &SignalFd) -> io::Result<Exit> {
    let mut guest = File::from(master.try_clone()?);
    let mut input_open = true;
    loop {
        let stdin = io::stdin();
        let mut watched = vec![
            PollFd::new(running.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(master.as_fd(), PollFlags::POLLIN),
        ];
        if input_open {
            watched.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let hit = |at: usize| watched.get(at).is_some_and(|fd| fd.any().unwrap_or(false));
        let (ended, signal, output, input) = (hit(0), hit(1), hit(2), hit(3));
        if signal {
            handle(signals, running, master);
        }
        if output {
            to_caller(&mut guest)?;
        }
        if input {
            input_open = to_guest(&mut guest, running);
        }
        if ended && let Some(exit) = relay::ending(&running.socket)? {
            drain(&mut guest)?;
            return Ok(exit);
        }
    }
}

fn handle(signals: &SignalFd, running: &Running, master: &OwnedFd) {
    while let Ok(Some(info)) = signals.read_signal() {
        match info.ssi_signo as i32 {
            number if number == Signal::SIGWINCH as i32 => resize(master),
            number => drop(pidfd::signal(running.pidfd.as_fd(), number)),
        }
    }
}

/// A terminal without a size keeps the one that it has.
fn resize(master: &OwnedFd) {
    if let Ok(size) = tty::window_size(io::stdout().as_fd()) {
        tty::set_window_size(master.as_fd(), size).ok();
    }
}

fn to_caller(guest: &mut File) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    match guest.read(&mut buffer) {
        Ok(count) if count > 0 => {
            let mut out = io::stdout().lock();
            out.write_all(&buffer[..count])?;
            out.flush()?;
            Ok(true)
        }
        // EIO: nobody has the terminal open; the command is ending, or closed it for a moment.
        _ => {
            std::thread::sleep(std::time::Duration::from_millis(5));
            Ok(false)
        }
    }
}

/// Whether there can be more input. At its end the command is told as when a line is cut.
fn to_guest(guest: &mut File, running: &Running) -> bool {
    let mut buffer = [0; 16 << 10];
    match io::stdin().read(&mut buffer) {
        Ok(count) if count > 0 => guest.write_all(&buffer[..count]).is_ok(),
        _ => {
            pidfd::signal(running.pidfd.as_fd(), Signal::SIGHUP as i32).ok();
            false
        }
    }
}

fn drain(guest: &mut File) -> io::Result<()> {
    for _ in 0..64 {
        let mut watched = [PollFd::new(guest.as_fd(), PollFlags::POLLIN)];
        let readable = poll(&mut watched, PollTimeout::ZERO).is_ok_and(|count| count > 0)
            && watched[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN));
        if !readable || !to_caller(guest)? {
            break;
        }
    }
    Ok(())
}

/// Raw mode for as long as it lives.
struct Raw(Termios);

impl Raw {
    fn enter() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // The terminal may be gone: then there is nothing to restore.
        termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.0).ok();
    }
}
