//! Where the daemon listens: a socket of its own, or one that systemd made.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, lchown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{SockType, getsockopt, sockopt};
use nix::sys::stat::{Mode, umask};
use nix::unistd::geteuid;
use vserver_fs::Flock;
use vserver_sys::fd;

use crate::error::{Error, Result};

/// The first descriptor that systemd hands over. Source: sd_listen_fds(3).
const FIRST_HANDED_OVER: i32 = 3;

/// A listening socket; one that we made goes with it.
#[derive(Debug)]
pub struct Listening {
    /// The socket.
    pub listener: UnixListener,
    _made: Option<Made>,
}

#[derive(Debug)]
struct Made {
    path: PathBuf,
    _lock: Flock,
}

impl Listening {
    /// Listens on what systemd handed over; it keeps the socket when we go.
    pub fn on(handed_over: OwnedFd) -> Result<Self> {
        let wrong = |reason: &str| Error::Activation { reason: reason.to_owned() };
        let listens = getsockopt(&handed_over, sockopt::AcceptConn).map_err(|_| wrong("it is not a socket"))?;
        let kind = getsockopt(&handed_over, sockopt::SockType).map_err(|_| wrong("it is not a socket"))?;
        if !listens || kind != SockType::Stream {
            return Err(wrong("it must be one of ListenStream= with Accept=no"));
        }
        let listener = UnixListener::from(handed_over);
        listener.local_addr().map_err(|_| wrong("it is not a unix socket"))?;
        Ok(Self { listener, _made: None })
    }

    /// Makes the socket at `path`, for root and the group `admins` only from its first moment. One that a killed daemon
    /// left is replaced; one that somebody answers at is not. Threat model: A01, A15.
    pub fn at(path: &Path, admins: Option<u32>) -> Result<Self> {
        prepare_dir(path)?;
        let lock = lock(path)?;
        clear(path)?;
        // No other thread makes files now. 0777 without these bits is 0660.
        let before = umask(Mode::from_bits_truncate(0o117));
        let bound = UnixListener::bind(path);
        umask(before);
        let listener = bound.map_err(|error| place(path, error.to_string()))?;
        let made = Made { path: path.to_owned(), _lock: lock };
        if admins.is_some() {
            lchown(path, None, admins).map_err(Error::io(format!("give '{}' to its group", path.display())))?;
        }
        Ok(Self { listener, _made: Some(made) })
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // Left behind it does no harm: the next daemon replaces it.
        fs::remove_file(&self.path).ok();
    }
}

/// The socket that systemd started us with, if it did.
pub fn handed_over() -> Result<Option<OwnedFd>> {
    let variable = |name| std::env::var(name).ok();
    let given = is_for_us(variable("LISTEN_PID"), variable("LISTEN_FDS"), std::process::id());
    if !given.map_err(|reason| Error::Activation { reason })? {
        return Ok(None);
    }
    let socket = fd::inherited(FIRST_HANDED_OVER).map_err(Error::io("take the socket handed over by systemd"))?;
    // A copy that is closed on exec, in place of the one that is not.
    let ours = socket.as_fd().try_clone_to_owned().map_err(Error::io("take the socket handed over by systemd"))?;
    Ok(Some(ours))
}

/// Pure part of sd_listen_fds(3): variables for another process are not ours to look at.
fn is_for_us(pid: Option<String>, count: Option<String>, own: u32) -> std::result::Result<bool, String> {
    let (Some(pid), Some(count)) = (pid, count) else {
        return Ok(false);
    };
    if pid.parse() != Ok(own) {
        return Ok(false);
    }
    match count.parse::<u32>() {
        Ok(0) => Ok(false),
        Ok(1) => Ok(true),
        Ok(more) => Err(format!("there are {more}, this daemon listens on one")),
        Err(_) => Err(format!("LISTEN_FDS is '{count}', which is no number")),
    }
}

/// Makes the directory if need be. In one where others can write, somebody could put something in our way.
fn prepare_dir(path: &Path) -> Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let before = umask(Mode::from_bits_truncate(0o022));
    let made = fs::DirBuilder::new().mode(0o755).recursive(true).create(dir);
    umask(before);
    made.map_err(Error::io(format!("make the directory '{}'", dir.display())))?;
    let found = fs::metadata(dir).map_err(Error::io(format!("look at the directory '{}'", dir.display())))?;
    if found.uid() != geteuid().as_raw() || found.mode() & 0o022 != 0 {
        let reason = "its directory can be written by others; choose one that only root can write";
        return Err(place(path, reason.to_owned()));
    }
    Ok(())
}

/// Of two daemons that start at the same moment one gets the place; a killed one holds nothing.
fn lock(path: &Path) -> Result<Flock> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    Flock::take(&path.with_file_name(name), Duration::ZERO).map_err(|error| match error {
        vserver_fs::Error::Locked { holder, .. } => Error::Taken { path: path.to_owned(), holder },
        other => place(path, crate::error::chain(&other)),
    })
}

/// Removes the socket of a daemon that was killed, and nothing else.
fn clear(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(place(path, error.to_string())),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(place(path, "something that is not a socket is there; remove it".to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(Error::io(format!("replace '{}'", path.display())))
        }
        Err(error) => Err(place(path, error.to_string())),
        Ok(_) => Err(Error::Taken { path: path.to_owned(), holder: "perhaps systemd's vserverd.socket".to_owned() }),
    }
}

fn place(path: &Path, reason: String) -> Error {
    Error::Place { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_root_and_the_group_from_the_first_moment() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/api.sock");
        let listening = Listening::at(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o755);
        drop(listening);
        assert!(!path.exists(), "it goes with its daemon");
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "what a killed daemon leaves");
        let first = Listening::at(&path, None).unwrap();
        let error = Listening::at(&path, None).unwrap_err().to_string();
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
        UnixStream::connect(&path).unwrap();
        drop(first);
        // Somebody who knows nothing of our lock.
        let _systemd = UnixListener::bind(&path).unwrap();
        assert!(matches!(Listening::at(&path, None), Err(Error::Taken { .. })));
    }

    #[test]
    fn a15_what_else_is_there_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Listening::at(&path, None), Err(Error::Place { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, PermissionsExt::from_mode(0o1777)).unwrap();
        let error = Listening::at(&open.join("api.sock"), None).unwrap_err().to_string();
        assert!(error.contains("only root"), "{error}");
    }

    #[test]
    fn variables_of_another_process_are_not_ours() {
        let is_for_us = |pid: &str, count: &str| is_for_us(Some(pid.to_owned()), Some(count.to_owned()), 42);
        assert_eq!(is_for_us("42", "1"), Ok(true));
        assert_eq!(is_for_us("41", "1"), Ok(false));
        assert_eq!(is_for_us("x", "1"), Ok(false));
        assert_eq!(is_for_us("42", "0"), Ok(false));
        assert!(is_for_us("42", "2").is_err() && is_for_us("42", "many").is_err());
        assert_eq!(super::is_for_us(None, Some("1".to_owned()), 42), Ok(false));
    }

    #[test]
    fn only_a_listening_unix_socket_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let good = UnixListener::bind(dir.path().join("s")).unwrap();
        assert!(Listening::on(good.into()).unwrap()._made.is_none());
        let (connected, _other) = UnixStream::pair().unwrap();
        assert!(Listening::on(connected.into()).is_err());
        assert!(Listening::on(fs::File::open("/dev/null").unwrap().into()).is_err());
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(Listening::on(tcp.into()).is_err());
    }
}
