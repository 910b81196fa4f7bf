//! What a freshly made tree needs to be a guest: names, and nothing that wants to own the machine.

mod access;
mod built;
mod change;
mod debian;
mod mounts;
mod names;
mod network;
mod services;
mod system;
mod terminals;

use std::path::{Path, PathBuf};

use vserver_config::{Defaults, NewGuest};
use vserver_fs::{GuestRoot, Kind, Owner, tree};

use crate::Error;
use crate::request::BuildRequest;

pub use access::Access;
pub(crate) use built::built;
pub(crate) use change::Change;
pub(crate) use debian::debian;
pub(crate) use mounts::lines as fstab_lines;
pub(crate) use names::of_tree as name_of_tree;
pub(crate) use services::enabled;
pub use system::{Init, System};
pub(crate) use system::{names as names_in, text};

/// What a machine's tree needs to be a guest, as data: nothing is touched.
pub(crate) fn machine(root: &GuestRoot, system: &System, guest: &NewGuest, name: &str) -> Result<Vec<Change>, Error> {
    let address = guest.interfaces.first().map(|first| first.address.ip);
    let all = [
        names::changes(root, name, address)?,
        network::changes(root)?,
        mounts::changes(root)?,
        terminals::changes(root, system)?,
        services::changes(root, system)?,
    ];
    Ok(all.into_iter().flatten().collect())
}

/// What a tree from elsewhere needs, which never was a machine: no terminals, no hardware.
pub(crate) fn image(root: &GuestRoot, system: &System) -> Result<Vec<Change>, Error> {
    Ok([terminals::changes(root, system)?, services::changes(root, system)?].into_iter().flatten().collect())
}

/// Does all of them, in order.
pub(crate) fn apply(root: &GuestRoot, changes: &[Change]) -> Result<(), Error> {
    changes.iter().try_for_each(|change| change.apply(root))
}

/// A tree that was packed or copied elsewhere: what needs terminals and hardware is off, and it has the name that was asked
/// for.
pub(crate) fn copied(root: &GuestRoot, guest: &NewGuest) -> Result<(), Error> {
    let system = System::of(root)?;
    if system.init != Init::None {
        apply(root, &image(root, &system)?)?;
    }
    crate::copy::rename_host(root, guest.hostname.as_deref())
}

/// No two guests may have the same one: empty, it is made at the first boot. Source: machine-id(5).
fn machine_id(root: &GuestRoot) -> Result<(), Error> {
    root.write_atomic("etc/machine-id", b"", 0o444, Some(Owner::ROOT))?;
    // dbus keeps a copy; without one it reads the file above.
    match root.remove_file("var/lib/dbus/machine-id") {
        Err(error) if error.is_not_found() => Ok(()),
        done => Ok(done?),
    }
}

/// Lets the administrator in.
pub(crate) fn give_access(root: &GuestRoot, access: &Access) -> Result<(), Error> {
    access::give(root, access)
}

/// Files that a guest gets from the host's defaults. Source: util-vserver, `behaviours.md` §7.1.
const FILES: [&str; 7] = ["hosts", "nsswitch.conf", "krb5.conf", "krb.conf", "krb.realms", "ldap.conf", "localtime"];
/// Where the host's resolver keeps the true servers when `/etc/resolv.conf` names only itself.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
const HOSTS: &str = include_str!("../../../etc-templates/tree/hosts");

/// `/etc/*` from the configured sources, where the tree has nothing of its own.
pub(crate) fn common(root: &GuestRoot, request: &BuildRequest, defaults: &Defaults) -> Result<(), Error> {
    let distribution = request.distribution.as_deref();
    for name in FILES {
        if let Some(source) = defaults.etc_file(distribution, name) {
            offer(root, &source, name)?;
        }
    }
    if let Some(source) = defaults.etc_file(distribution, "resolv.conf").or_else(host_resolver) {
        offer(root, &source, "resolv.conf")?;
    }
    Ok(())
}

/// Copies a file into `/etc` unless there is a link or a file with content. An empty source says "copy nothing".
fn offer(root: &GuestRoot, source: &Path, name: &str) -> Result<(), Error> {
    let place = Path::new("etc").join(name);
    let taken = match root.metadata(&place) {
        Ok(found) => found.st_size > 0 || root.kind(&place)? != Some(Kind::File),
        Err(e) if e.is_not_found() => false,
        Err(e) => return Err(e.into()),
    };
    let empty = source.metadata().map(|found| found.len() == 0).unwrap_or(true);
    if !taken && !empty {
        tree::copy_from_host(root, source, place)?;
    }
    Ok(())
}

/// A resolver at 127.0.0.53 serves the host only: a guest's 127.0.0.0/8 is its own.
fn host_resolver() -> Option<PathBuf> {
    let usual = PathBuf::from("/etc/resolv.conf");
    let text = std::fs::read_to_string(&usual).ok()?;
    let stub = text.lines().any(|line| line.starts_with("nameserver 127.0.0.53"));
    let real = PathBuf::from(RESOLVED);
    Some(if stub && real.is_file() { real } else { usual })
}

/// The host name inside: as asked for, else the guest's name.
fn hostname(guest: &NewGuest) -> String {
    guest.hostname.clone().unwrap_or_else(|| guest.name.to_string())
}

/// `/etc/hosts`: this host's usual lines, and the guest's first address by its name.
fn hosts(guest: &NewGuest) -> String {
    let name = hostname(guest);
    let short = name.split('.').next().unwrap_or(&name);
    let names = if short == name { name.clone() } else { format!("{name} {short}") };
    let own = guest.interfaces.first().map(|first| format!("{}\t{names}\n", first.address.ip));
    format!("{HOSTS}{}", own.unwrap_or_else(|| format!("127.0.1.1\t{names}\n")))
}

/// Writes a file that belongs to the guest's root.
fn write(root: &GuestRoot, path: &str, content: &str) -> Result<(), Error> {
    Ok(root.write_atomic(path, content.as_bytes(), 0o644, Some(Owner::ROOT))?)
}
