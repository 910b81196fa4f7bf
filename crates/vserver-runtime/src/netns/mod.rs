//! The network namespace of a guest: made or found before its addresses are, and taken away after its last script.
//!
//! `ip netns exec NAME` finds it below `/run/netns` by a link to a descriptor, first of the launcher's and then of the
//! keeper's: nothing is mounted, so a namespace whose keeper was killed ends with it, and takes its links along.

mod guarding;
mod judge;
mod links;
mod mac;
mod name;
mod nat;
mod undo;
mod wire;

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use nix::sys::stat::fstat;
use vserver_config::NetworkSpace;
use vserver_net::space;
use vserver_sandbox::blueprint::Rooms;
use vserver_sandbox::userns;
use vserver_sys::fd;
use vserver_sys::process::SingleThreaded;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::list;
use crate::plan::Plan;
use crate::record::{RunRecord, SpaceRecord};

pub use guarding::shortfall;
pub use judge::{faults, port_in_use};
pub use links::furnish;
pub use name::{hold_name, path_of};
pub use undo::{remove, where_addresses_are};

/// Descriptors of namespaces are put out of the way of those that are handed over at fixed numbers.
const ABOVE: i32 = 100;

/// Makes or finds it, with its links; `None` is the host's. Gives what the caller should hear. `kept` is for
/// [`undo_with`] after a failure.
pub fn make(
    host: &Host,
    plan: &Plan,
    record: &mut RunRecord,
    kept: &mut Option<OwnedFd>,
) -> Result<(Option<Rooms>, Vec<String>)> {
    let rooms = match &plan.space {
        NetworkSpace::Host => return Ok((None, Vec::new())),
        NetworkSpace::Of(word) => of_guest(host, plan, word, record)?,
        NetworkSpace::Named(named) if named.shared => shared(plan, &named.name, record)?,
        NetworkSpace::Own => own(plan, None, record)?,
        NetworkSpace::Named(named) => own(plan, Some(path_of(&named.name)), record)?,
    };
    record.save(host)?;
    let copy = rooms.network.try_clone().map_err(Error::layer("copy a descriptor", &plan.name))?;
    *kept = Some(above(copy, plan)?);
    let mut warnings = Vec::new();
    if plan.space.is_own() {
        if let Some(path) = record.space.as_ref().and_then(|space| space.path.as_ref()) {
            name::give(path, &rooms, &plan.name)?;
        }
        warnings = links::make(host, plan, record, &rooms)?;
    }
    Ok((Some(rooms), warnings))
}

/// Lets a teardown find the namespace by the descriptor that was kept, for as long as that is open.
pub fn undo_with(record: &mut RunRecord, kept: Option<&OwnedFd>) {
    if let Some(space) = &mut record.space {
        space.held = kept.map(AsRawFd::as_raw_fd);
    }
}

/// Further descriptors of the same.
pub fn copy(rooms: &Rooms) -> std::io::Result<Rooms> {
    let user = rooms.user.as_ref().map(OwnedFd::try_clone).transpose()?;
    Ok(Rooms { network: rooms.network.try_clone()?, user })
}

/// A new one. Where the guest has a user namespace that one owns it: its root may do there what it likes.
fn own(plan: &Plan, path: Option<PathBuf>, record: &mut RunRecord) -> Result<Rooms> {
    if let Some(path) = &path {
        name::is_free(path, &plan.name)?;
    }
    const ACTION: &str = "make a network namespace";
    let rooms = match plan.id_base {
        Some(base) => {
            let token = SingleThreaded::prove().map_err(Error::layer("fork", &plan.name))?;
            userns::with_network(token, base).map_err(Error::layer(ACTION, &plan.name))?
        }
        None => Rooms { network: space::new_space().map_err(Error::layer(ACTION, &plan.name))?, user: None },
    };
    record.space = Some(SpaceRecord { own: true, path, inode: inode(&rooms.network), ..SpaceRecord::default() });
    Ok(Rooms { network: above(rooms.network, plan)?, user: rooms.user })
}

/// The administrator's.
fn shared(plan: &Plan, name: &str, record: &mut RunRecord) -> Result<Rooms> {
    let path = path_of(name);
    let missing = |what: &str| Error::Taken {
        name: plan.name.clone(),
        what: format!(
            "{} {what}; make it with `ip netns add {name}`, or remove netns/shared for one of its own",
            path.display()
        ),
    };
    let network = File::open(&path).map(OwnedFd::from).map_err(|_| missing("is not there"))?;
    space::within(network.as_fd(), || ()).map_err(|_| missing("is no network namespace"))?;
    found(path, network, plan, record)
}

/// That of another guest that runs.
fn of_guest(host: &Host, plan: &Plan, word: &str, record: &mut RunRecord) -> Result<Rooms> {
    let running = list::running(host)?;
    let named = |other: &&RunRecord| other.name.as_str() == word || other.xid.to_string() == word;
    let other = running.iter().find(named).filter(|other| other.init_lives()).ok_or_else(|| Error::Taken {
        name: plan.name.clone(),
        what: format!(
            "it shares the network of guest '{word}' (spaces/net), which does not run; start that one first"
        ),
    })?;
    let path = PathBuf::from(format!("/proc/{}/ns/net", other.init));
    let network = File::open(&path).map(OwnedFd::from).map_err(Error::io("open", &path))?;
    found(path, network, plan, record)
}

fn found(path: PathBuf, network: OwnedFd, plan: &Plan, record: &mut RunRecord) -> Result<Rooms> {
    record.space = Some(SpaceRecord { path: Some(path), inode: inode(&network), ..SpaceRecord::default() });
    Ok(Rooms { network: above(network, plan)?, user: None })
}

/// The namespace's own number. namespaces(7).
fn inode(network: &OwnedFd) -> u64 {
    fstat(network).map_or(0, |found| found.st_ino)
}

fn above(network: OwnedFd, plan: &Plan) -> Result<OwnedFd> {
    fd::above(network.as_fd(), ABOVE).map_err(Error::layer("copy a descriptor", &plan.name))
}
