//! Runs a program of the host with its output read line by line, and ends it when a signal comes.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::signals::Signals;
use crate::{Error, Progress};

/// Lines that are shown when it fails.
const TAIL: usize = 15;
/// Longest line that is passed on, in bytes.
const LINE: usize = 1000;
/// How long we wait for the last process that holds the output, after the program was killed.
const LAST: Duration = Duration::from_secs(5);

/// Runs `command` to its end. Everything it prints goes to the file `log` and, line by line, to `progress`.
pub(crate) fn run(
    program: &'static str,
    command: &mut Command,
    log: &Path,
    signals: &Signals,
    progress: &mut dyn Progress,
) -> Result<(), Error> {
    Running::start(program, command, log)?.finish(signals, progress)
}

/// A program at its work. It does not outlive this value.
pub(crate) struct Running {
    program: &'static str,
    child: Killed,
    output: std::io::PipeReader,
    log: PathBuf,
    file: File,
}

impl Running {
    /// Starts it; what it prints goes to the file `log` when its end is waited for.
    pub(crate) fn start(program: &'static str, command: &mut Command, log: &Path) -> Result<Self, Error> {
        let (output, theirs) = std::io::pipe().map_err(Error::io("start", program))?;
        let errors = theirs.try_clone().map_err(Error::io("start", program))?;
        let file = File::create_new(log).map_err(Error::io("write", log))?;
        vserver_sys::command::independent(command).stdin(Stdio::null()).stdout(theirs).stderr(errors);
        // A process group of its own: Ctrl-C comes to us alone, and we end it in order.
        command.process_group(0);
        let child = command.spawn().map_err(Error::io("start", program))?;
        // The command holds our copies of the writing end; without closing them the output would never end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { program, child: Killed(child), output, log: log.to_owned(), file })
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self, signals: &Signals, progress: &mut dyn Progress) -> Result<(), Error> {
        let mut lines = Lines { log: self.file, line: Vec::new(), tail: VecDeque::new(), progress };
        let mut buffer = [0; 8192];
        loop {
            if let Err(interrupted) = signals.wait(self.output.as_fd(), PollTimeout::NONE) {
                self.child.kill();
                drain(&mut self.output, &mut buffer);
                return Err(interrupted);
            }
            match self.output.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => lines.take(&buffer[..count]).map_err(Error::io("write", &self.log))?,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("read the output of", self.program)(e)),
            }
        }
        let status = self.child.0.wait().map_err(Error::io("wait for", self.program))?;
        match status.success() {
            true => Ok(()),
            false => Err(Error::Program { program: self.program, status: status.to_string(), tail: lines.finish() }),
        }
    }
}

/// Whether the host has a program of that name.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// A child that does not outlive us, whatever way we leave.
struct Killed(Child);

impl Killed {
    fn kill(&mut self) {
        // It may have ended by itself, and what it has started may not.
        killpg(Pid::from_raw(self.0.id() as i32), Signal::SIGKILL).ok();
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until nobody writes any more: only then nobody works in the tree any more.
fn drain(output: &mut std::io::PipeReader, buffer: &mut [u8]) {
    let end = Instant::now() + LAST;
    while Instant::now() < end {
        let mut fds = [nix::poll::PollFd::new(output.as_fd(), nix::poll::PollFlags::POLLIN)];
        let ready = nix::poll::poll(&mut fds, 100u16);
        if matches!(ready, Ok(1..)) && !matches!(output.read(buffer), Ok(1..)) {
            return;
        }
    }
}

struct Lines<'a> {
    log: File,
    line: Vec<u8>,
    tail: VecDeque<String>,
    progress: &'a mut dyn Progress,
}

impl Lines<'_> {
    fn take(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.log.write_all(bytes)?;
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => self.flush(),
                _ if self.line.len() < LINE => self.line.push(*byte),
                _ => {}
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        let text: String = String::from_utf8_lossy(&self.line).chars().filter(|c| !c.is_control()).collect();
        self.line.clear();
        if text.trim().is_empty() {
            return;
        }
        self.progress.line(&text);
        self.tail.push_back(text);
        if self.tail.len() > TAIL {
            self.tail.pop_front();
        }
    }

    fn finish(mut self) -> Vec<String> {
        self.flush();
        self.tail.into()
    }
}
