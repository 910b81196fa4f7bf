//! How many internet sockets a guest has, and how many it may have (`rlimits/nsock`).
//!
//! Counted are those of `AF_INET` and `AF_INET6` that `socket` makes; not those that `accept` gives out, which no program can
//! refuse, and none of other families, of which no program is told. The programs are in the guest's cgroup, behind those that
//! hold it to its addresses, and only if it has a limit; they and their tables are found through the cgroup, whichever process
//! made them.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use vserver_sys::bpf::{
    AttachFlags, AttachType, MapType, map_by_id, map_create, map_name, map_read, map_write, prog_attach, prog_by_id,
    prog_detach, prog_info, prog_load, prog_query,
};
use vserver_types::Unenforced;

use crate::Error;
use crate::program::Features;
use crate::program::count::{self, FIGURES, LENGTH, MOST, NOW, REFUSED, SETTING, Tables};

const COUNT: &str = "vs_sockets";
const COOKIES: &str = "vs_cookies";
/// Far above what a host can have: an entry takes memory only while its socket is there.
const ENTRIES: u32 = 1 << 20;
const UNLIMITED: u64 = u64::MAX;

/// What is known of a guest's sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketCount {
    /// How many it may have; `None`: any number.
    pub limit: Option<u64>,
    /// How many it has.
    pub now: u64,
    /// The most that it had at a time.
    pub most: u64,
    /// How many it was refused.
    pub refused: u64,
}

/// The table of a guest whose sockets are counted.
#[derive(Debug)]
pub struct Sockets(OwnedFd);

impl Sockets {
    /// Begins to count in the cgroup directory `cgroup_v2`, after the programs for its addresses are attached. Sockets that
    /// are there already are not counted. Needs root in the initial user namespace and kernel 5.12.
    ///
    /// Returns what this kernel cannot do.
    ///
    /// # Errors
    /// The kernel has refused a program or a table: then nothing is attached.
    pub fn begin(cgroup_v2: BorrowedFd<'_>, limit: Option<u64>) -> Result<(Self, Vec<Unenforced>), Error> {
        let place = AttachType::InetSockCreate;
        let failed = |source| Error::Load { place, source };
        let table = Self(map_create(MapType::Array, 4, LENGTH, 2, COUNT).map_err(failed)?);
        table.limit(limit).map_err(failed)?;
        let cookies = map_create(MapType::Hash, 8, 8, ENTRIES, COOKIES).map_err(failed)?;
        let tables = Tables { count: table.0.as_raw_fd(), cookies: cookies.as_raw_fd() };
        let (create, report) = load_create(tables)?;
        let release = load_release(tables)?;
        // The end first: between the two calls nothing is counted, so nothing is counted back.
        attach(cgroup_v2, &release, AttachType::InetSockRelease)?;
        if let Err(error) = attach(cgroup_v2, &create, place) {
            let _ = prog_detach(cgroup_v2, release.as_fd(), AttachType::InetSockRelease);
            return Err(error);
        }
        Ok((table, report))
    }

    /// Of the guest whose cgroup directory in the v2 hierarchy this is; `None` if they are not counted.
    ///
    /// # Errors
    /// `EBADF` if it is no such directory, `EPERM`.
    pub fn of(cgroup_v2: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        for program in prog_query(cgroup_v2, AttachType::InetSockCreate)? {
            for id in prog_info(prog_by_id(program)?.as_fd())?.maps {
                let map = map_by_id(id)?;
                if map_name(map.as_fd())? == COUNT {
                    return Ok(Some(Self(map)));
                }
            }
        }
        Ok(None)
    }

    /// Lets it have this many from now on; those beyond it stay.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn limit(&self, limit: Option<u64>) -> io::Result<()> {
        let mut value = limit.unwrap_or(UNLIMITED).to_ne_bytes().to_vec();
        value.resize(LENGTH as usize, 0);
        map_write(self.0.as_fd(), &SETTING.to_ne_bytes(), &value)
    }

    /// Reads the figures.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn count(&self) -> io::Result<SocketCount> {
        let read = |which: u32| map_read(self.0.as_fd(), &which.to_ne_bytes(), LENGTH, false);
        let (setting, figures) = (read(SETTING)?, read(FIGURES)?);
        let limit = Some(word(&setting, 0)).filter(|limit| *limit != UNLIMITED);
        Ok(SocketCount {
            limit,
            now: word(&figures, NOW),
            most: word(&figures, MOST),
            refused: word(&figures, REFUSED),
        })
    }
}

/// The newest that this kernel takes, and what is lost without it.
fn load_create(tables: Tables) -> Result<(OwnedFd, Vec<Unenforced>), Error> {
    let place = AttachType::InetSockCreate;
    let [newest, .., oldest] = Features::LADDER;
    let load = |after_others, features| {
        let program = count::create(tables, after_others, features);
        let program = program.map_err(|source| Error::Generate { place, source })?;
        prog_load(place.prog_type(), place, &program, "vs_count").map_err(|source| Error::Load { place, source })
    };
    if let Ok(program) = load(true, newest) {
        return Ok((program, Vec::new()));
    }
    let reason = "the kernel is older than 6.1: a socket that is refused for its kind counts until the guest stops";
    Ok((load(false, oldest)?, vec![Unenforced::partial("rlimits/nsock", reason)]))
}

fn load_release(tables: Tables) -> Result<OwnedFd, Error> {
    let place = AttachType::InetSockRelease;
    let program = count::release(tables).map_err(|source| Error::Generate { place, source })?;
    prog_load(place.prog_type(), place, &program, "vs_uncount").map_err(|source| Error::Load { place, source })
}

fn attach(cgroup: BorrowedFd<'_>, program: &OwnedFd, place: AttachType) -> Result<(), Error> {
    prog_attach(cgroup, program.as_fd(), place, AttachFlags::Multi).map_err(|source| Error::Attach { place, source })
}

fn word(value: &[u8], at: i16) -> u64 {
    let bytes = usize::try_from(at).ok().and_then(|at| value.get(at..)?.first_chunk::<8>());
    bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}
