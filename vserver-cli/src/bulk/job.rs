//! One guest's part of a bulk command: a process of its own, its output kept, its time bounded.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use vserver_sys::pidfd;
use vserver_types::GuestName;

/// How long a command that was asked to end may undo what it did.
const GRACE: Duration = Duration::from_secs(15);

/// A process on its way.
#[derive(Debug)]
pub struct Job {
    /// Its guest.
    pub name: GuestName,
    /// When it began.
    pub begun: Instant,
    /// Its time was up.
    pub timed_out: bool,
    child: Child,
    pidfd: OwnedFd,
    output: File,
    errors: File,
    deadline: Option<Instant>,
}

/// What one said and how it ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit status; 128 + signal if it was killed.
    pub code: u8,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

impl Job {
    /// Begins `vserver NAME WORDS…` as this very program, with nothing to read. What it prints goes to memory, not to a
    /// pipe: whatever it leaves running must not hold us up.
    pub fn begin(
        name: GuestName,
        options: &[OsString],
        words: &[OsString],
        timeout: Duration,
        begun: Instant,
    ) -> io::Result<Self> {
        let (output, errors) = (memory()?, memory()?);
        let child = Command::new(std::env::current_exe()?)
            .args(["--applet", "vserver"])
            .args(options)
            .arg(name.as_str())
            .args(words)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(errors.try_clone()?)
            // Ctrl-C reaches us alone, and we ask it once.
            .process_group(0)
            .spawn()?;
        // It is ours and not waited for yet, so the number is its.
        let pidfd = pidfd::open(child.id().cast_signed())?;
        let deadline = (!timeout.is_zero()).then(|| Instant::now() + timeout);
        Ok(Self { name, begun, timed_out: false, child, pidfd, output, errors, deadline })
    }

    /// For poll: readable when it has ended.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// When it has to be looked after even if it does nothing.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Asks it to end if its time is up, and ends it if it did not listen.
    pub fn keep_time(&mut self) {
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            let again = std::mem::replace(&mut self.timed_out, true);
            self.ask(if again { Signal::SIGKILL } else { Signal::SIGTERM });
        }
    }

    /// Sends it a signal and gives it some time. That it has just ended is no fault.
    pub fn ask(&mut self, signal: Signal) {
        pidfd::signal(self.pidfd.as_fd(), signal as i32).ok();
        self.deadline = Some(Instant::now() + GRACE);
    }

    /// What became of it, once it has ended.
    pub fn reap(&mut self) -> io::Result<Option<Ended>> {
        let Some(status) = self.child.try_wait()? else { return Ok(None) };
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        let code = u8::try_from(code).unwrap_or(u8::MAX);
        Ok(Some(Ended { code, output: text(&mut self.output)?, errors: text(&mut self.errors)? }))
    }
}

fn memory() -> io::Result<File> {
    Ok(File::from(memfd_create(c"output", MFdFlags::MFD_CLOEXEC)?))
}

fn text(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
