//! Which sockets of a guest were bound to a wildcard, whatever became of it.
//!
//! `bind` notes it at the socket itself, also in a guest with one address: that costs a wildcard's `bind` a fraction of a
//! microsecond and everything else nothing, and more addresses may come while the guest runs. The programs alone hold the
//! map, so it lives as long as they do.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use vserver_sys::bpf::{AttachType, map_by_id, storage_create, storage_get};

use crate::program::wild;
use crate::steering::maps_of;

/// Name of the map, by which it is found again; the number is that of a note's layout.
const NAME: &str = "vs_wildcard_2";

/// The map of a guest.
#[derive(Debug)]
pub(crate) struct Wildcards(OwnedFd);

/// What was noted of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    pub four: bool,
    pub six: bool,
    /// What was asked for, if the socket has another.
    pub port: Option<u16>,
}

impl Wildcards {
    /// For a guest that has none yet; kernel 5.3.
    pub fn make() -> io::Result<Self> {
        storage_create(NAME).map(Self)
    }

    /// That of a guest that runs, by the programs of its cgroup directory in the v2 hierarchy.
    pub fn of_guest(cgroup_v2: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        let maps = maps_of(cgroup_v2, &[AttachType::Inet4Bind])?;
        let found = maps.iter().find(|(name, _)| name == NAME);
        found.map(|(_, id)| map_by_id(*id).map(Self)).transpose()
    }

    /// As a program names it when it is loaded.
    pub fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// `None`: it was bound to one address, or not at all.
    pub fn noted(&self, socket: BorrowedFd<'_>) -> io::Result<Option<Noted>> {
        let word =
            |bytes: [u8; 8], at: i16| bytes[at as usize..].first_chunk().map_or(0, |word| i32::from_ne_bytes(*word));
        let found = storage_get(self.0.as_fd(), socket)?;
        Ok(found.map(|bytes| {
            let (families, port) = (word(bytes, wild::NOTED_FAMILIES), word(bytes, wild::NOTED_PORT));
            Noted {
                four: families & wild::FOUR != 0,
                six: families & wild::SIX != 0,
                port: u16::try_from(port).ok().filter(|port| *port != 0),
            }
        }))
    }
}

impl Noted {
    /// As programs have it.
    pub const fn families(self) -> i32 {
        (if self.four { wild::FOUR } else { 0 }) | (if self.six { wild::SIX } else { 0 })
    }
}
