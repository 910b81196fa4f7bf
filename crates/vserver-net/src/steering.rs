//! Several addresses behind one socket that is bound to the wildcard.
//!
//! `bind` turns a guest's `0.0.0.0` or `::` into its first address, so that every guest may bind the same port. For its
//! other addresses the socket is entered in a table by address and port when it begins to listen, and a program that the
//! kernel asks before it looks for a listener itself (`sk_lookup`, 5.9) hands new connections for them to it. One such
//! program and one table serve all guests of a network namespace; each guest's own programs enter nothing but that
//! guest's addresses. The kernel takes out a socket that is closed, and the program goes with the last keeper or supervisor that
//! holds its link. Source: `Documentation/bpf/prog_sk_lookup.rst`, `Documentation/bpf/map_sockmap.rst`.
//!
//! Nothing runs in a guest's cgroup that may enter a datagram socket. So `bind` notes it by its cookie and rings a bell, and
//! the guest's keeper runs an iterator over the datagram sockets, which enters those that were noted ([`Gathering`], 5.12):
//! some hundred microseconds after `bind`. UDP-Lite is never searched for by `sk_lookup`.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use vserver_sys::bpf::{
    AttachType, MapType, bell_create, iter_links, iter_load, iter_program, link_create, link_update, map_by_id,
    map_create, map_name, netns_links, prog_by_id, prog_info, prog_load, prog_query,
};

use crate::policy::Table;
use crate::program::{answer, gather, steer};

/// Name of the program, by which the next guest finds it; the number is that of the table's layout.
const NAME: &str = "vs_steer_2";
/// Names of the maps, by which they are found again.
const LISTENERS: &str = "vs_listeners";
const NOTED: &str = "vs_datagrams";
const ASKED: &str = "vs_askers";
const BELL: &str = "vs_bell";
/// What the program of the keeper's iterator is called, and what it goes over.
const GATHERER: &str = "vs_gather";
const OVER_DATAGRAMS: &str = "bpf_iter_udp";
/// Sockets that listen on further addresses, of all guests together. One more is heard on its first address only.
const SOCKETS: u32 = 1 << 14;
/// Datagram sockets of a guest that are bound; the longest forgotten give way.
const BOUND: u32 = 1 << 10;
/// Senders of datagrams to wildcard sockets of a guest that are remembered; the longest forgotten give way.
const ASKERS: u32 = 1 << 12;

/// What the programs of a guest refer to.
#[derive(Debug)]
pub(crate) struct Steering {
    /// Listening sockets by address and port.
    pub sockets: OwnedFd,
    /// The program is attached as long as somebody holds this.
    pub link: OwnedFd,
    /// For datagram sockets, if this kernel can.
    pub datagrams: Option<DatagramSteering>,
}

/// The part for datagram sockets.
#[derive(Debug)]
pub(crate) struct DatagramSteering {
    pub bound: OwnedFd,
    answers: OwnedFd,
    bell: OwnedFd,
    gatherer: OwnedFd,
}

/// What the keeper of a guest with several addresses holds, or its supervisor if it has had one address at start.
#[derive(Debug)]
pub struct Held {
    /// As long as somebody holds this, wildcard sockets hear more than one address.
    pub link: OwnedFd,
    /// For datagram sockets somebody must do something, too; `None`: this kernel cannot.
    pub gathering: Option<Gathering>,
}

/// When the bell rings, the iterator is to be run.
#[derive(Debug)]
pub struct Gathering {
    /// For [`vserver_sys::bpf::Bell`].
    pub bell: OwnedFd,
    /// For [`vserver_sys::bpf::iter_run`].
    pub iterator: OwnedFd,
}

/// Numbers of the tables as a program names them when it is loaded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tables {
    pub sockets: i32,
    pub datagrams: Option<Datagrams>,
}

/// The same of those for datagram sockets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagrams {
    /// What was noted of bound sockets, by their cookies.
    pub bound: i32,
    /// Who asked at which address.
    pub answers: i32,
    pub bell: i32,
}

/// Whether a guest's wildcard sockets shall hear more than its first address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// Yes, if it has several; somebody holds the means for it.
    Yes,
    /// The same also if it has one, as sockets may be bound to what was a wildcard before.
    Always,
    /// No: nobody stays who would hold them.
    No,
}

impl Steering {
    /// That of this network namespace, if there is one or it is to be made.
    pub fn of_this_namespace(table: &Table, wish: Steer) -> io::Result<Option<Self>> {
        let netns = File::open("/proc/self/ns/net")?;
        if wish == Steer::No {
            return Ok(None);
        }
        let (sockets, link) = match find(netns.metadata()?.ino(), None)? {
            Some(found) => found,
            None => {
                let sockets = map_create(MapType::SockHash, steer::KEY_LENGTH, 8, SOCKETS, LISTENERS)?;
                let program = steer::steer(sockets.as_raw_fd()).map_err(io::Error::other)?;
                let program = prog_load(AttachType::SkLookup.prog_type(), AttachType::SkLookup, &program, NAME)?;
                let link = link_create(program.as_fd(), netns.as_fd(), AttachType::SkLookup)?;
                (sockets, link)
            }
        };
        let datagrams = DatagramSteering::make(table, &sockets).ok();
        Ok(Some(Self { sockets, link, datagrams }))
    }

    /// That of a guest that runs, whose cgroup directory in the v2 hierarchy this is: what its programs refer to. `None` if
    /// it has none, or nobody holds the link any more.
    pub fn of_guest(cgroup_v2: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        let maps = maps_of(cgroup_v2, &[AttachType::SockOps, AttachType::Inet4PostBind, AttachType::Udp4Sendmsg])?;
        let map = |name: &str| maps.iter().find(|(own, _)| own == name).map(|(_, id)| *id);
        let Some(sockets) = map(LISTENERS) else { return Ok(None) };
        let netns = File::open("/proc/self/ns/net")?.metadata()?.ino();
        let Some((sockets, link)) = find(netns, Some(sockets))? else { return Ok(None) };
        let datagrams = match (map(NOTED), map(ASKED), map(BELL)) {
            (Some(bound), Some(answers), Some(bell)) => DatagramSteering::held(bound, answers, bell)?,
            _ => None,
        };
        Ok(Some(Self { sockets, link, datagrams }))
    }

    /// Lets datagram sockets that are bound from now on hear the addresses of `table`.
    pub fn follow(&self, table: &Table) -> io::Result<()> {
        let Some(own) = &self.datagrams else { return Ok(()) };
        let program = gather::gather(table, self.sockets.as_raw_fd(), own.bound.as_raw_fd());
        let program = iter_program(OVER_DATAGRAMS, &program.map_err(io::Error::other)?, GATHERER)?;
        link_update(own.gatherer.as_fd(), program.as_fd())
    }

    pub fn tables(&self) -> Tables {
        let datagrams = self.datagrams.as_ref().map(|own| Datagrams {
            bound: own.bound.as_raw_fd(),
            answers: own.answers.as_raw_fd(),
            bell: own.bell.as_raw_fd(),
        });
        Tables { sockets: self.sockets.as_raw_fd(), datagrams }
    }

    /// Descriptors for the keeper.
    pub fn held(&self) -> io::Result<Held> {
        let gathering = self.datagrams.as_ref().map(|own| {
            Ok::<_, io::Error>(Gathering { bell: own.bell.try_clone()?, iterator: own.gatherer.try_clone()? })
        });
        Ok(Held { link: self.link.try_clone()?, gathering: gathering.transpose()? })
    }
}

impl DatagramSteering {
    fn make(table: &Table, sockets: &OwnedFd) -> io::Result<Self> {
        let bound = map_create(MapType::LruHash, 8, gather::NOTE_LENGTH, BOUND, NOTED)?;
        let answers = map_create(MapType::LruHash, answer::ASKER_LENGTH, answer::ASKED_LENGTH, ASKERS, ASKED)?;
        let bell = bell_create(BELL)?;
        let program = gather::gather(table, sockets.as_raw_fd(), bound.as_raw_fd()).map_err(io::Error::other)?;
        let gatherer = iter_load(OVER_DATAGRAMS, &program, GATHERER)?;
        Ok(Self { bound, answers, bell, gatherer })
    }

    /// By the ids of its maps. The iterator is the keeper's; without a keeper there is none.
    fn held(bound: u32, answers: u32, bell: u32) -> io::Result<Option<Self>> {
        for (gatherer, program) in iter_links()? {
            let Ok(program) = prog_by_id(program) else { continue };
            if prog_info(program.as_fd())?.maps.contains(&bound) {
                let [bound, answers, bell] = [map_by_id(bound)?, map_by_id(answers)?, map_by_id(bell)?];
                return Ok(Some(Self { bound, answers, bell, gatherer }));
            }
        }
        Ok(None)
    }
}

/// Names and ids of the maps to which the programs of a guest's cgroup in `places` refer.
pub(crate) fn maps_of(cgroup_v2: BorrowedFd<'_>, places: &[AttachType]) -> io::Result<Vec<(String, u32)>> {
    let mut found = Vec::new();
    for place in places {
        for program in prog_query(cgroup_v2, *place)? {
            for id in prog_info(prog_by_id(program)?.as_fd())?.maps {
                found.push((map_name(map_by_id(id)?.as_fd())?, id));
            }
        }
    }
    Ok(found)
}

/// The table and the link that another guest has made; with `wanted`, those of the table with this id. Two that start at once
/// may make one each, which does no harm.
fn find(netns: u64, wanted: Option<u32>) -> io::Result<Option<(OwnedFd, OwnedFd)>> {
    for link in netns_links()? {
        if u64::from(link.netns) != netns || link.place != AttachType::SkLookup as u32 {
            continue;
        }
        let Ok(program) = prog_by_id(link.program) else { continue };
        let info = prog_info(program.as_fd())?;
        if let (NAME, [table]) = (info.name.as_str(), &info.maps[..])
            && wanted.is_none_or(|wanted| wanted == *table)
        {
            return Ok(Some((map_by_id(*table)?, link.fd)));
        }
    }
    Ok(None)
}
