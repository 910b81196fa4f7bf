//! The guest's console: what is written to it goes to a log of limited size.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use vserver_sys::tty;

/// Master and log.
pub struct Console {
    master: File,
    /// An open slave keeps the terminal alive while the guest has none open.
    _slave: OwnedFd,
    log: File,
    path: PathBuf,
    written: u64,
    limit: u64,
}

impl Console {
    /// Logs what comes from `master` to `path`, appending; at `limit` bytes the file becomes `<path>.1`.
    pub fn new(master: OwnedFd, path: PathBuf, limit: u64) -> io::Result<Self> {
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_RDWR))?;
        let slave = tty::open_slave(master.as_fd())?;
        let log = open(&path)?;
        let written = log.metadata()?.len();
        Ok(Self { master: File::from(master), _slave: slave, log, path, written, limit })
    }

    /// For poll.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// Moves what is there, at most 64 KiB, so that a flood does not keep the supervisor from its other work.
    pub fn pump(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..16 {
            match self.master.read(&mut buffer) {
                Ok(count) if count > 0 => self.keep(&buffer[..count]),
                _ => return,
            }
        }
    }

    /// A line of our own.
    pub fn note(&mut self, line: &str) {
        self.keep(format!("vserver: {line}\r\n").as_bytes());
    }

    /// A full disk must not stop the guest: what cannot be written is lost.
    fn keep(&mut self, bytes: &[u8]) {
        if self.written + bytes.len() as u64 > self.limit {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            std::fs::rename(&self.path, old).ok();
            if let Ok(log) = open(&self.path) {
                (self.log, self.written) = (log, 0);
            }
        }
        if self.log.write_all(bytes).is_ok() {
            self.written += bytes.len() as u64;
        }
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC).bits();
    OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(flags).open(path)
}
