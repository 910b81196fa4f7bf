//! systemd's notification protocol: one datagram of lines to the socket that `NOTIFY_SOCKET` names. sd_notify(3).

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Says that requests are answered now.
pub const READY: &str = "READY=1\nSTATUS=Answering; guests run without this process, too";
/// Says that the end has begun.
pub const STOPPING: &str = "STOPPING=1";

/// Where to tell, if anybody asked.
#[derive(Debug, Default)]
pub struct Notify {
    address: Option<SocketAddr>,
}

impl Notify {
    /// Takes the value of `NOTIFY_SOCKET`: a path, or `@` and an abstract name. Not set is nobody.
    pub fn to(value: Option<OsString>) -> io::Result<Self> {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Ok(Self::default());
        };
        let address = match value.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(&value)?,
            [b'@', name @ ..] if !name.is_empty() => SocketAddr::from_abstract_name(name)?,
            _ => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a path nor an abstract name"));
            }
        };
        Ok(Self { address: Some(address) })
    }

    /// Sends `state`.
    pub fn tell(&self, state: &str) -> io::Result<()> {
        let Some(address) = &self.address else {
            return Ok(());
        };
        let socket = UnixDatagram::unbound()?;
        // A full queue of somebody who does not read must not hold up the daemon.
        socket.set_nonblocking(true)?;
        socket.send_to_addr(state.as_bytes(), address).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 200];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn a_path_and_an_abstract_name_hear_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        Notify::to(Some(path.into())).unwrap().tell(READY).unwrap();
        assert!(heard(&by_path).starts_with("READY=1\n"));

        let name = format!("vserverd-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        Notify::to(Some(format!("@{name}").into())).unwrap().tell(STOPPING).unwrap();
        assert_eq!(heard(&by_name), "STOPPING=1");
    }

    #[test]
    fn nobody_asked_is_no_failure_and_nonsense_is_one() {
        Notify::to(None).unwrap().tell(READY).unwrap();
        Notify::to(Some("".into())).unwrap().tell(READY).unwrap();
        for bad in ["vsock:2:1", "relative", "@"] {
            assert!(Notify::to(Some(bad.into())).is_err(), "{bad}");
        }
    }
}
