//! Who may ask: root, and members of one group; never a process of a guest, whatever its uid is.
//!
//! uid, gid, groups and pidfd are the kernel's, of the moment of `connect`. The cgroup is looked up by pid, and counts
//! only if the pidfd says afterwards that this is still the same process. Threat model: A02.

use std::os::fd::{AsFd, OwnedFd};

use nix::sys::socket::{getsockopt, sockopt};
use vserver_sys::{peer, pidfd};
use vserver_types::{CgroupBase, GuestName};

use crate::error::{Error, Result};

/// The process at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number; 0 if it is outside of our PID namespace.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// Its group and supplementary groups.
    pub groups: Vec<u32>,
    /// The guest that it is in.
    pub guest: Option<GuestName>,
}

impl Peer {
    /// Looks at a connection. Any doubt is an error, which is to be taken for a refusal.
    /// Guests are below `bases`.
    pub fn of(socket: &impl AsFd, bases: &[CgroupBase]) -> Result<Self> {
        let ask = |what: &str| Error::io::<nix::Error>(format!("ask for the peer's {what}"));
        let creds = getsockopt(socket, sockopt::PeerCredentials).map_err(ask("credentials"))?;
        let mut groups = peer::groups(socket.as_fd()).map_err(Error::io("ask for the peer's groups"))?;
        groups.push(creds.gid());
        let process = process(socket, creds.pid())?;
        let guest = vserver_monitor::owner(creds.pid(), bases).map_err(|error| Error::Io {
            action: "find out whether the peer is in a guest".to_owned(),
            source: std::io::Error::other(error),
        })?;
        pidfd::signal(process.as_fd(), 0).map_err(Error::io("recognise the peer"))?;
        Ok(Self { pid: creds.pid(), uid: creds.uid(), groups, guest })
    }

    /// Whether it may ask; if not, why. `admins`: the group whose members are trusted as root is.
    pub fn judge(&self, admins: Option<u32>) -> std::result::Result<(), String> {
        if let Some(guest) = &self.guest {
            return Err(format!("the caller is a process of guest '{guest}': guests have no say over their host"));
        }
        if self.uid == 0 || admins.is_some_and(|gid| self.groups.contains(&gid)) {
            return Ok(());
        }
        Err(format!(
            "uid {} is neither root nor in the group '{}', who alone may use this socket",
            self.uid,
            vserver_api::ADMIN_GROUP
        ))
    }
}

/// The peer's pidfd: the kernel's own since Linux 6.5 (`SO_PEERPIDFD`); before, that of the process which has the number
/// now, where a number that was reused within microseconds would go unnoticed.
fn process(socket: &impl AsFd, pid: i32) -> Result<OwnedFd> {
    match getsockopt(socket, sockopt::PeerPidfd) {
        Ok(process) => Ok(process),
        Err(nix::errno::Errno::ENOPROTOOPT) => pidfd::open(pid).map_err(Error::io("open the peer's process")),
        Err(errno) => Err(Error::io("open the peer's process")(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn peer(uid: u32, groups: &[u32], guest: Option<&str>) -> Peer {
        let guest = guest.map(|name| name.parse().unwrap());
        Peer { pid: 1, uid, groups: groups.to_vec(), guest }
    }

    #[test]
    fn root_and_the_group_may_ask() {
        assert!(peer(0, &[], None).judge(None).is_ok());
        assert!(peer(1000, &[1000, 998], None).judge(Some(998)).is_ok());
    }

    #[test]
    fn others_may_not_and_hear_why() {
        let refusal = peer(1000, &[1000, 0], None).judge(Some(998)).unwrap_err();
        assert!(refusal.contains("uid 1000") && refusal.contains("vserver-admin"), "{refusal}");
        assert!(peer(65_534, &[998], None).judge(None).is_err(), "no such group on this host");
    }

    #[test]
    fn a02_a_guest_may_not_even_as_root() {
        let refusal = peer(0, &[0, 998], Some("web1")).judge(Some(998)).unwrap_err();
        assert!(refusal.contains("'web1'"), "{refusal}");
    }

    #[test]
    fn the_kernel_tells_who_we_are() {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = Peer::of(&one, &[]).unwrap();
        assert_eq!(peer.pid as u32, std::process::id());
        assert_eq!(peer.uid, nix::unistd::getuid().as_raw());
        assert!(peer.groups.contains(&nix::unistd::getgid().as_raw()));
    }
}
