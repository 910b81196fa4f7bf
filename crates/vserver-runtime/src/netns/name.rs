//! The name of a namespace, as iproute2 knows it: `/run/netns/NAME`. ip-netns(8).

use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use vserver_sandbox::blueprint::Rooms;
use vserver_types::GuestName;

use crate::error::{Error, Result};
use crate::record::RunRecord;

/// Where names are.
const NAMES: &str = "/run/netns";

/// The file of a name.
pub fn path_of(name: &str) -> PathBuf {
    Path::new(NAMES).join(name)
}

/// Whether the name can be given: a link of ours that leads nowhere was left by an accident.
pub fn is_free(path: &Path, guest: &GuestName) -> Result<()> {
    if path.symlink_metadata().is_err() || (is_ours(path) && !path.exists()) {
        return Ok(());
    }
    let what = format!(
        "there is a network namespace {} already; remove it with `ip netns delete`, choose another netns/name, or create \
         netns/shared to use it",
        path.display()
    );
    Err(Error::Taken { name: guest.clone(), what })
}

/// Lets the name lead to what this process holds; nobody sees it missing in between.
pub fn give(path: &Path, rooms: &Rooms, guest: &GuestName) -> Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(NAMES).map_err(Error::io("make", NAMES))?;
    let target = format!("/proc/{}/fd/{}", std::process::id(), rooms.network.as_raw_fd());
    let new = path.with_file_name(format!(".{guest}.new"));
    remove(&new)?;
    symlink(target, &new).map_err(Error::io("make the link", &new))?;
    std::fs::rename(&new, path).map_err(Error::io("make the link", path))
}

/// The same for the keeper, which holds it for as long as the guest runs.
pub fn hold_name(record: &RunRecord, rooms: &Rooms) -> Result<()> {
    let space = record.space.as_ref().filter(|space| space.own);
    space.and_then(|space| space.path.as_ref()).map_or(Ok(()), |path| give(path, rooms, &record.name))
}

/// Takes it away, if it is a link of ours.
pub fn take(path: &Path) -> Result<()> {
    if is_ours(path) { remove(path) } else { Ok(()) }
}

/// iproute2 mounts the namespace on a file; ours are links.
fn is_ours(path: &Path) -> bool {
    std::fs::read_link(path).is_ok_and(|target| target.starts_with("/proc"))
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
