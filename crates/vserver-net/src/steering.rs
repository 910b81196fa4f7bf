//! Several addresses behind one TCP socket that is bound to the wildcard.
//!
//! `bind` turns a guest's `0.0.0.0` or `::` into its first address, so that every guest may bind the same port. For its
//! other addresses the socket is entered in a table by address and port when it begins to listen, and a program that the
//! kernel asks before it looks for a listener itself (`sk_lookup`, 5.9) hands new connections for them to it. One such
//! program and one table serve all guests of a network namespace; each guest's own programs enter nothing but that
//! guest's addresses. The kernel takes out a socket that is closed, and the program goes with the last keeper that holds
//! its link. Source: `Documentation/bpf/prog_sk_lookup.rst`, `Documentation/bpf/map_sockmap.rst`.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use vserver_sys::bpf::{
    AttachType, MapType, link_create, map_by_id, map_create, netns_links, prog_by_id, prog_info, prog_load,
};

use crate::program::steer;

/// Name of the program, by which the next guest finds it; the number is that of the table's layout.
const NAME: &str = "vs_steer_1";
/// Sockets that listen on further addresses, of all guests together. One more is heard on its first address only.
const SOCKETS: u32 = 1 << 14;
/// Sockets of a guest that are bound to a wildcard and do not listen yet; the longest forgotten give way.
const BOUND: u32 = 1 << 10;

/// What the programs of a guest refer to.
#[derive(Debug)]
pub(crate) struct Steering {
    /// Listening sockets by address and port.
    pub sockets: OwnedFd,
    /// Cookies of sockets that were bound to a wildcard.
    pub wildcards: OwnedFd,
    /// The program is attached as long as somebody holds this.
    pub link: OwnedFd,
}

/// Numbers of the two tables as a program names them when it is loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tables {
    pub sockets: i32,
    pub wildcards: i32,
}

/// Whether a guest's wildcard sockets shall hear more than its first address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// Yes; somebody holds [`crate::Programs::steering`] for it.
    Yes,
    /// If the means for it are there, because the guest's keeper holds them, or that of another.
    IfPossible,
    /// No: nobody stays who would hold them.
    No,
}

impl Steering {
    /// That of this network namespace, if there is one or it is to be made.
    pub fn of_this_namespace(wish: Steer) -> io::Result<Option<Self>> {
        let netns = File::open("/proc/self/ns/net")?;
        let found = if wish == Steer::No { None } else { find(netns.metadata()?.ino())? };
        let (sockets, link) = match found {
            Some(found) => found,
            None if wish != Steer::Yes => return Ok(None),
            None => {
                let sockets = map_create(MapType::SockHash, steer::KEY_LENGTH, 8, SOCKETS, "vs_listeners")?;
                let program = steer::steer(sockets.as_raw_fd()).map_err(io::Error::other)?;
                let program = prog_load(AttachType::SkLookup.prog_type(), AttachType::SkLookup, &program, NAME)?;
                let link = link_create(program.as_fd(), netns.as_fd(), AttachType::SkLookup)?;
                (sockets, link)
            }
        };
        let wildcards = map_create(MapType::LruHash, 8, 4, BOUND, "vs_wildcards")?;
        Ok(Some(Self { sockets, wildcards, link }))
    }

    pub fn tables(&self) -> Tables {
        Tables { sockets: self.sockets.as_raw_fd(), wildcards: self.wildcards.as_raw_fd() }
    }
}

/// The table and the link that another guest has made. Two that start at once may make one each, which does no harm.
fn find(netns: u64) -> io::Result<Option<(OwnedFd, OwnedFd)>> {
    for link in netns_links()? {
        if u64::from(link.netns) != netns || link.place != AttachType::SkLookup as u32 {
            continue;
        }
        let Ok(program) = prog_by_id(link.program) else { continue };
        let info = prog_info(program.as_fd())?;
        if let (NAME, [table]) = (info.name.as_str(), &info.maps[..]) {
            return Ok(Some((map_by_id(*table)?, link.fd)));
        }
    }
    Ok(None)
}
