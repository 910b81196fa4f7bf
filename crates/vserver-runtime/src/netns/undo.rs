//! Taking away what was made of a network namespace; what is gone already is no failure.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use vserver_net::space;

use super::{name, nat};
use crate::error::{Error, Result};
use crate::record::{RunRecord, SpaceRecord};

/// Does `work` where the guest's addresses are. Those of a namespace of its own go with it, and those of one that is gone
/// are gone.
pub fn where_addresses_are(record: &RunRecord, work: impl FnOnce() -> Vec<Result<()>> + Send) -> Vec<Result<()>> {
    match &record.space {
        None => work(),
        Some(space) if space.own => Vec::new(),
        Some(space) => match open(space) {
            None => Vec::new(),
            Some(network) => space::within(network.as_fd(), work).unwrap_or_else(|error| vec![failed(record)(error)]),
        },
    }
}

/// Its links, newest first, and its name. The namespace itself ends with the last process that holds it.
pub fn remove(record: &RunRecord) -> Vec<Result<()>> {
    let Some(space) = record.space.as_ref().filter(|space| space.own) else {
        return Vec::new();
    };
    let mut done: Vec<Result<()>> = Vec::new();
    done.extend(space.table.as_ref().map(|table| forget_table(record, table)));
    for child in space.children.iter().rev() {
        done.push(remove_child(record, space, child));
    }
    for (host, guest) in space.moved.iter().rev() {
        done.push(move_back(record, space, host, guest));
    }
    for link in space.links.iter().rev() {
        let removed = vserver_net::remove_device(link);
        done.push(removed.map_err(Error::layer(format!("remove the device {link}"), &record.name)));
    }
    done.extend(space.path.as_ref().map(|path| name::take(path)));
    done
}

/// Without the program nothing of it can have been made, or be removed.
fn forget_table(record: &RunRecord, table: &str) -> Result<()> {
    if nat::program().is_none() {
        return Ok(());
    }
    nat::run(&nat::removal(table), false).map_err(|what| Error::Taken { name: record.name.clone(), what })
}

/// It would go with its namespace, but a little later: until then its Ethernet address or VLAN is taken on its parent, and
/// a restart fails.
fn remove_child(record: &RunRecord, space: &SpaceRecord, dev: &str) -> Result<()> {
    let Some(network) = open(space) else { return Ok(()) };
    let removed = space::within(network.as_fd(), || vserver_net::remove_device(dev)).map_err(failed_io(record))?;
    removed.map_err(Error::layer(format!("remove the device {dev}"), &record.name))
}

/// The kernel gives a device of a namespace that ended to the machine, under the name that it had there.
fn move_back(record: &RunRecord, space: &SpaceRecord, host: &str, guest: &str) -> Result<()> {
    if vserver_net::has_device(host) {
        return Ok(());
    }
    let action = || Error::layer(format!("bring the device {host} back"), &record.name);
    let home = space::own_space().map_err(failed_io(record))?;
    match open(space) {
        None if vserver_net::has_device(guest) => space::move_to(guest, host, home.as_fd()).map_err(action()),
        None => Ok(()),
        Some(network) => {
            let back =
                || if vserver_net::has_device(guest) { space::move_to(guest, host, home.as_fd()) } else { Ok(()) };
            space::within(network.as_fd(), back).map_err(failed_io(record))?.map_err(action())
        }
    }
}

/// What is found there now may be another one.
fn open(space: &SpaceRecord) -> Option<OwnedFd> {
    let held = space.held.map(|number| PathBuf::from(format!("/proc/self/fd/{number}")));
    let file = held.as_ref().or(space.path.as_ref()).and_then(|path| File::open(path).ok())?;
    file.metadata().is_ok_and(|found| found.ino() == space.inode).then(|| file.into())
}

fn failed(record: &RunRecord) -> impl FnOnce(std::io::Error) -> Result<()> {
    |error| Err(failed_io(record)(error))
}

fn failed_io(record: &RunRecord) -> impl FnOnce(std::io::Error) -> Error {
    Error::layer("enter its network namespace", &record.name)
}
