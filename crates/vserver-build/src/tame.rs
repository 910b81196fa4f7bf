//! What a freshly made tree needs to be a guest: names, and nothing that wants to own the machine.

mod debian;

use std::path::{Path, PathBuf};

use vserver_config::{Defaults, NewGuest};
use vserver_fs::{GuestRoot, Kind, Owner, tree};

use crate::Error;
use crate::request::BuildRequest;

pub(crate) use debian::debian;

/// Files that a guest gets from the host's defaults. Source: util-vserver, `behaviours.md` §7.1.
const FILES: [&str; 7] = ["hosts", "nsswitch.conf", "krb5.conf", "krb.conf", "krb.realms", "ldap.conf", "localtime"];
/// Where the host's resolver keeps the true servers when `/etc/resolv.conf` names only itself.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
const HOSTS: &str = include_str!("../../../distributions/defaults/hosts");

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
