//! Locks that scripts of util-vserver take and look at, beside our own. A lock of fcntl(2) is what its `lockfile` takes, one
//! of flock(2) what flock(1) does: both are held.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

/// How often a lock that is held is tried again.
const PAUSE: Duration = Duration::from_millis(50);
/// Before the second; each is twice as long as the one before. Most holders add one address.
const FIRST_PAUSE: Duration = Duration::from_micros(200);

/// Both locks on one file, which stays where it is. They end with the process that holds them.
#[derive(Debug)]
pub struct OldLock {
    _file: File,
}

impl OldLock {
    /// Takes them on the file at `path`, which is made if missing. `None` if they are not free within `patience`, or if
    /// `stop` says so meanwhile.
    ///
    /// Whoever can open the file can hold the lock, and everybody can make one in `/run/lock`: a file that is not ours is
    /// refused, and ours is closed to others.
    ///
    /// # Errors
    /// Of opening the file, or `PermissionDenied` if it is another's or no plain file.
    pub fn take(path: &Path, patience: Duration, stop: impl FnMut() -> bool) -> io::Result<Option<Self>> {
        Self::on(open(path)?, patience, stop)
    }

    /// The same on a file that is open for writing, whosever it is.
    ///
    /// # Errors
    /// Of locking.
    pub fn on(file: File, patience: Duration, mut stop: impl FnMut() -> bool) -> io::Result<Option<Self>> {
        let end = Instant::now() + patience;
        let mut pause = FIRST_PAUSE;
        while !try_both(&file)? {
            if stop() || Instant::now() >= end {
                return Ok(None);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE);
        }
        Ok(Some(Self { _file: file }))
    }
}

fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK).bits())
        .open(path)?;
    let found = file.metadata()?;
    if !found.is_file() || found.uid() != nix::unistd::geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    if found.mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// All or none.
fn try_both(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let whole = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => file.unlock().map(|()| false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(10);

    #[test]
    fn either_kind_of_lock_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = OldLock::take(&path, SHORT, || false).unwrap().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(OldLock::take(&path, SHORT, || false).unwrap().is_none());
        let other = open(&path).unwrap();
        assert!(other.try_lock().is_err());
        drop(held);
        let by_flock = open(&path).unwrap();
        by_flock.try_lock().unwrap();
        assert!(OldLock::take(&path, SHORT, || false).unwrap().is_none());
        drop(by_flock);
        // What could not have both has none.
        let whole =
            libc::flock { l_type: libc::F_WRLCK as libc::c_short, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
        fcntl(&other, FcntlArg::F_OFD_SETLK(&whole)).unwrap();
        assert!(OldLock::take(&path, SHORT, || false).unwrap().is_none());
        other.try_lock().unwrap();
        assert!(OldLock::take(&path, Duration::from_secs(60), || true).unwrap().is_none());
        drop(other);
        assert!(OldLock::take(&path, SHORT, || false).unwrap().is_some());
    }

    #[test]
    fn what_others_made_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path().join("victim"), dir.path().join("link")).unwrap();
        assert!(OldLock::take(&dir.path().join("link"), SHORT, || false).is_err());
        assert!(!dir.path().join("victim").exists());
        assert!(OldLock::take(dir.path(), SHORT, || false).is_err());
        assert!(OldLock::take(&dir.path().join("missing/lock"), SHORT, || false).is_err());
    }
}
