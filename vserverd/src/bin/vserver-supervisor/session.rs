//! One connection to the supervisor: a command in the guest, or somebody who waits for its end.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use vserver_runtime::control::{self, Reply};
use vserver_sandbox::frames;
use vserver_sys::pidfd;

/// Said of a command whose process was gone before it could say anything.
const LOST: &str = "the command was killed before it began, as is every process of a guest that is just ending";

/// What a connection is about.
pub enum State {
    /// Nothing was asked yet.
    New,
    /// A command is on its way: its pid and then silence, or a sentence, will come on this pipe.
    Entering {
        /// The pipe.
        report: File,
        /// What has come.
        text: Vec<u8>,
        /// The terminal's master for the caller.
        master: Option<OwnedFd>,
        /// The caller has gone meanwhile.
        abandoned: bool,
    },
    /// A command runs.
    Running {
        /// Its pid.
        pid: i32,
        /// The same as a descriptor.
        pidfd: OwnedFd,
        /// On a terminal of its own.
        terminal: bool,
    },
    /// Wants to hear when the guest has ended.
    AwaitsEnd,
    /// With it the guest ends.
    Tied,
    /// Over.
    Closed,
}

/// A connection.
pub struct Session {
    /// The caller.
    pub socket: OwnedFd,
    /// What it is about.
    pub state: State,
}

impl Session {
    /// A connection that has just been accepted.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket, state: State::New }
    }

    /// Whether its caller is still there.
    pub fn is_connected(&self) -> bool {
        !matches!(self.state, State::Closed | State::Entering { abandoned: true, .. })
    }

    /// For poll: the pipe of a command that is on its way.
    pub fn report_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Entering { report, .. } => Some(report.as_fd()),
            _ => None,
        }
    }

    /// Answers; a caller that is gone is noticed by poll.
    pub fn reply(&self, reply: &Reply, fds: &[BorrowedFd<'_>]) {
        control::send_reply(self.socket.as_fd(), reply, fds).ok();
    }

    /// Refuses and is over.
    pub fn refuse(&mut self, reason: impl Into<String>) {
        self.reply(&Reply::Refused { reason: reason.into() }, &[]);
        self.state = State::Closed;
    }

    /// Begins to wait for a command.
    pub fn enter(&mut self, report: OwnedFd, master: Option<OwnedFd>) {
        fcntl(&report, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).ok();
        self.state = State::Entering { report: File::from(report), text: Vec::new(), master, abandoned: false };
    }

    /// Reads what the child says. At the end of file it either runs or has said why not. Returns a pid that nobody else
    /// will wait for.
    pub fn listen(&mut self) -> Option<i32> {
        let State::Entering { report, text, .. } = &mut self.state else {
            return None;
        };
        let mut buffer = [0; 512];
        loop {
            match report.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => text.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
                Err(_) => break,
            }
        }
        self.begin()
    }

    /// It runs, or it does not and has said why. Returns a pid that nobody else will wait for.
    fn begin(&mut self) -> Option<i32> {
        let State::Entering { text, master, abandoned, .. } = std::mem::replace(&mut self.state, State::Closed)
        else {
            return None;
        };
        let told = frames::understand(&text);
        let Some(pid) = told.pid.filter(|_| told.reason.is_none()) else {
            self.refuse(told.reason.unwrap_or_else(|| LOST.to_owned()));
            return told.pid;
        };
        // It is our child and has not been waited for: the number is its own, even if it has ended.
        let Ok(pidfd) = pidfd::open(pid) else {
            self.refuse("the command could not be watched");
            return Some(pid);
        };
        let mut fds = vec![pidfd.as_fd()];
        fds.extend(master.as_ref().map(AsFd::as_fd));
        self.reply(&Reply::Started { pid }, &fds);
        self.state = State::Running { pid, pidfd, terminal: master.is_some() };
        if abandoned { self.abandoned() } else { None }
    }

    /// Answers if the command has ended.
    pub fn look(&mut self) {
        let State::Running { pid, .. } = &self.state else {
            return;
        };
        let reply = match waitpid(Pid::from_raw(*pid), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => Reply::Exited { code },
            Ok(WaitStatus::Signaled(_, signal, _)) => Reply::Signalled { signal: signal as i32 },
            Ok(_) => return,
            // A real-time signal has no name there, and is an error: what counts is that it has ended.
            Err(_) => Reply::Signalled { signal: 9 },
        };
        self.reply(&reply, &[]);
        self.state = State::Closed;
    }

    /// For poll: a command that runs.
    pub fn command_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Running { pidfd, .. } => Some(pidfd.as_fd()),
            _ => None,
        }
    }

    /// The caller is gone: as if it had been the command itself, the command goes too. Returns its pid, to be waited for.
    /// One that is still on its way is waited for first: its pid is not known yet.
    pub fn abandoned(&mut self) -> Option<i32> {
        if let State::Entering { abandoned, .. } = &mut self.state {
            *abandoned = true;
            return None;
        }
        let State::Running { pid, pidfd, terminal } = std::mem::replace(&mut self.state, State::Closed) else {
            return None;
        };
        let signal = if terminal { 1 } else { 9 };
        pidfd::signal(pidfd.as_fd(), signal).ok();
        Some(pid)
    }
}
