//! Which guests there are.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use vserver_types::{GuestName, Xid};

use crate::error::{Clash, Conflict, Error};
use crate::nearest::nearest;
use crate::read::{claims, project};
use crate::reader::is_backup;

/// All guests, sorted: directories whose name is a guest's and no backup copy's, with an entry `vdir`. A confdir that
/// does not exist has none.
pub fn list(confdir: &Path) -> Result<Vec<GuestName>, Error> {
    let entries = match fs::read_dir(confdir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", confdir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", confdir))?;
        let name = entry.file_name().into_string().ok().filter(|name| !is_backup(name));
        let Some(name) = name.and_then(|name| name.parse::<GuestName>().ok()) else {
            continue;
        };
        if fs::symlink_metadata(entry.path().join("vdir")).is_ok() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The guests that boot and commands for all guests mean: not `disabled`, and their `vdir` is a directory.
pub fn list_enabled(confdir: &Path) -> Result<Vec<GuestName>, Error> {
    let mut names = list(confdir)?;
    names.retain(|name| {
        let dir = confdir.join(name.as_str());
        !dir.join("disabled").exists() && dir.join("vdir").is_dir()
    });
    Ok(names)
}

/// Guests of the 2.4 kind, sorted: a file `NAME.conf` without a directory `NAME`. They are in no other list.
pub fn list_old(confdir: &Path) -> Result<Vec<GuestName>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(confdir).into_iter().flatten() {
        let entry = entry.map_err(Error::io("list", confdir))?;
        let name = entry.file_name().into_string().ok();
        let name = name.and_then(|name| name.strip_suffix(".conf")?.parse::<GuestName>().ok());
        names.extend(name.filter(|name| entry.path().is_file() && !confdir.join(name.as_str()).is_dir()));
    }
    names.sort_unstable();
    Ok(names)
}

/// What other guests of `confdir` have of a context number and addresses that `name` has or wants. Disabled guests
/// count; faults in their files do not stop the search.
pub fn claimed(
    confdir: &Path,
    name: &GuestName,
    context: Option<Xid>,
    addresses: &[IpAddr],
) -> Result<Vec<Conflict>, Error> {
    let mut found = Vec::new();
    for other in list(confdir)?.into_iter().filter(|other| other != name) {
        let (theirs, their_addresses) = claims(confdir, &other);
        if let Some(xid) = context.filter(|_| context == theirs) {
            found.push(Conflict { other: other.clone(), what: Clash::Context(xid) });
        }
        for ip in addresses.iter().filter(|ip| their_addresses.contains(ip)) {
            found.push(Conflict { other: other.clone(), what: Clash::Address(*ip) });
        }
    }
    Ok(found)
}

/// [`claimed`] for a guest that has a configuration.
pub fn conflicts(confdir: &Path, name: &GuestName) -> Result<Vec<Conflict>, Error> {
    let (context, addresses) = claims(confdir, name);
    claimed(confdir, name, context, &addresses)
}

/// The guests whose files have a number of their own, with that number; see [`crate::GuestConfig::project`].
pub fn projects(confdir: &Path) -> Result<Vec<(u32, GuestName)>, Error> {
    Ok(list(confdir)?.into_iter().filter_map(|name| Some((project(confdir, &name)?, name))).collect())
}

/// The context numbers in all configurations.
pub(crate) fn contexts(confdir: &Path) -> Result<Vec<Xid>, Error> {
    Ok(list(confdir)?.iter().filter_map(|name| claims(confdir, name).0).collect())
}

pub(crate) fn nearest_guest(confdir: &Path, name: &GuestName) -> Option<String> {
    let names = list(confdir).ok()?;
    nearest(name.as_str(), names.iter().map(GuestName::as_str)).map(str::to_owned)
}
