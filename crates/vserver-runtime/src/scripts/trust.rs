//! Whether a program of the host may be run on a guest's behalf: nobody but root may have a hand in it, on the whole way
//! to it, and no guest. A guest's files belong to root on disk, so owner and mode are not enough.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::libc;
use vserver_types::GuestName;

use crate::host::Host;

/// Most symbolic links on the way, as the kernel has it. Source: path_resolution(7).
const MAX_LINKS: u32 = 40;
/// Written by group or others.
const WRITABLE: u32 = 0o022;
/// In a directory of this mode only a file's owner can exchange it.
const STICKY: u32 = 0o1000;

/// Directories and files that some guest can write to.
#[derive(Debug, Default)]
pub struct Territory(Vec<Owned>);

#[derive(Debug)]
struct Owned {
    identity: (u64, u64),
    guest: GuestName,
}

impl Territory {
    /// The trees of all guests below `confdir`, and what their fstabs give to them for writing.
    pub fn of(confdir: &Path) -> Self {
        let mut all = Vec::new();
        for guest in vserver_config::list(confdir).unwrap_or_default() {
            let mut add = |path: &Path| {
                let identity = fs::metadata(path).map(|found| (found.dev(), found.ino()));
                all.extend(identity.ok().map(|identity| Owned { identity, guest: guest.clone() }));
            };
            add(&confdir.join(guest.as_str()).join("vdir"));
            for entry in vserver_config::mounts(confdir, &guest) {
                let flags = entry.mount_options().flags;
                if flags & libc::MS_BIND != 0 && flags & libc::MS_RDONLY == 0 {
                    add(Path::new(&entry.source));
                }
            }
        }
        Self(all)
    }

    fn owner(&self, found: &Metadata) -> Option<&GuestName> {
        let identity = (found.dev(), found.ino());
        self.0.iter().find(|owned| owned.identity == identity).map(|owned| &owned.guest)
    }
}

/// Goes the whole way to `path`, also through links. The reason, if it may not be run.
pub fn check(path: &Path, territory: &Territory) -> Result<(), String> {
    let mut links = MAX_LINKS;
    walk(path, territory, &mut links).map(drop)
}

fn walk(path: &Path, territory: &Territory, links: &mut u32) -> Result<PathBuf, String> {
    let mut here = PathBuf::from("/");
    judge(&here, territory)?;
    for component in path.components() {
        match component {
            Component::Normal(name) => here.push(name),
            Component::ParentDir => drop(here.pop()),
            _ => continue,
        }
        if judge(&here, territory)?.is_symlink() {
            *links = links.checked_sub(1).ok_or_else(|| format!("'{}' has too many links", path.display()))?;
            let target =
                fs::read_link(&here).map_err(|error| format!("'{}' cannot be read: {error}", here.display()))?;
            here.pop();
            here = walk(&here.join(target), territory, links)?;
        }
    }
    Ok(here)
}

fn judge(path: &Path, territory: &Territory) -> Result<Metadata, String> {
    let shown = path.display();
    let found = fs::symlink_metadata(path).map_err(|error| format!("'{shown}' cannot be looked at: {error}"))?;
    if let Some(guest) = territory.owner(&found) {
        return Err(format!("guest '{guest}' can change what is in '{shown}'"));
    }
    if found.uid() != 0 {
        return Err(format!("'{shown}' belongs to user {}; give it to root", found.uid()));
    }
    let guarded = found.is_dir() && found.mode() & STICKY != 0;
    if !found.is_symlink() && found.mode() & WRITABLE != 0 && !guarded {
        return Err(format!("'{shown}' can be written by others than root; take that away with chmod go-w"));
    }
    Ok(found)
}

/// Judges programs and directories of the host that are to be used for a guest.
#[derive(Debug)]
pub struct Trust(Territory);

impl Trust {
    /// As the configurations of all guests are now.
    pub fn new(host: &Host) -> Self {
        Self(Territory::of(&host.confdir))
    }

    /// Why it may not be used, if it may not: somebody else than root, or a guest, could change it or the way to it.
    pub fn refuses(&self, program: &Path) -> Option<String> {
        check(program, &self.0).err()
    }
}
