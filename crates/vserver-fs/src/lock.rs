//! One process at a time: flock(2) on a file that is never removed. The lock ends with the process that holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use crate::Error;

/// How often a lock that is held is tried again.
const PAUSE: Duration = Duration::from_millis(20);
/// Before the second; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_micros(100);

/// A held lock. Dropping it lets go. A forked child holds it too, until it closes the descriptor.
#[derive(Debug)]
pub struct Flock {
    file: File,
}

impl Flock {
    /// Takes the lock on the file at `path`, which is made (mode 0600) if missing, and waits up to `timeout` for it.
    /// The holder's pid and command stand in the file while it is held: a hint for messages, never a proof.
    pub fn take(path: &Path, timeout: Duration) -> Result<Self, Error> {
        let failed = |action| move |e| Error::call(action, path.display().to_string(), e);
        let mut file = open(path)?;
        let end = Instant::now() + timeout;
        // Most holders are about to end: a keeper comes while the command that stopped its guest puts the last things away.
        let mut pause = FIRST_PAUSE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < end => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    // Whatever can be read is good enough for a hint.
                    (&mut file).take(200).read_to_string(&mut holder).ok();
                    let holder = holder.trim().escape_debug().to_string();
                    return Err(Error::Locked { path: path.to_owned(), holder, seconds: timeout.as_secs() });
                }
                Err(TryLockError::Error(e)) => return Err(failed("lock")(e)),
            }
        }
        Self::sign(file).map_err(failed("write"))
    }

    /// As [`Flock::take`] without an end of patience: woken at the moment when the lock is free.
    pub fn wait(path: &Path) -> Result<Self, Error> {
        let failed = |action| move |e| Error::call(action, path.display().to_string(), e);
        let file = open(path)?;
        file.lock().map_err(failed("lock"))?;
        Self::sign(file).map_err(failed("write"))
    }

    fn sign(mut file: File) -> std::io::Result<Self> {
        let command = std::env::args().next().unwrap_or_default();
        file.set_len(0).and_then(|()| file.rewind())?;
        writeln!(file, "pid {} {command}", std::process::id())?;
        Ok(Self { file })
    }
}

fn open(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NOCTTY).bits())
        .open(path)
        .map_err(|error| Error::call("open the lock", path.display().to_string(), error))
}

impl AsFd for Flock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_learns_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Flock::take(&path, Duration::ZERO).unwrap();
        let error = Flock::take(&path, Duration::from_millis(50)).unwrap_err().to_string();
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
        drop(held);
        Flock::take(&path, Duration::ZERO).unwrap();
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path().join("victim"), dir.path().join("lock")).unwrap();
        assert!(Flock::take(&dir.path().join("lock"), Duration::ZERO).is_err());
        assert!(!dir.path().join("victim").exists());
    }
}
