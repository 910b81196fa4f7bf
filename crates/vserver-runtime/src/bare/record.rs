//! What is known of a bare context: its words and where its processes are.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vserver_fs::Flock;
use vserver_types::Xid;

use super::{Side, failed, new_attributes, new_network, taken_by_guest, top};
use crate::attributes::Attributes;
use crate::error::{Error, Result};
use crate::host::{Host, make_private};
use crate::plan::NetworkPlan;

/// How long one tool waits for another.
const PATIENCE: Duration = Duration::from_secs(10);

/// One bare context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bare {
    /// Security or network context.
    pub side: Side,
    /// Its xid or nid.
    pub number: u32,
    /// Its directories in the v2 hierarchy.
    pub cgroups: Vec<PathBuf>,
    /// Its words.
    pub attributes: Attributes,
    /// What its sockets are held to, of a network context.
    pub network: Option<NetworkPlan>,
}

impl Bare {
    /// The context with this number, if there is one.
    pub fn load(host: &Host, side: Side, number: u32) -> Result<Option<Self>> {
        let path = path(host, side, number);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let mut bare: Self = serde_json::from_slice(&text).map_err(failed(format!("read {}", path.display())))?;
        bare.cgroups.retain(|dir| dir.is_dir());
        Ok(Some(bare).filter(|bare| !bare.cgroups.is_empty()))
    }

    /// The context that this process is in.
    pub fn own(host: &Host, side: Side) -> Result<Option<Self>> {
        let Some(dir) = own_dir()? else {
            return Ok(None);
        };
        let names = dir.iter().filter_map(|part| part.to_str());
        match names.filter_map(|name| side.number(name)).next_back() {
            Some(number) => Self::load(host, side, number),
            None => Ok(None),
        }
    }

    /// A new context with this number, or with the first free one. `None`: there is one of this number already. Nobody
    /// is in it before [`Bare::enter`].
    pub fn create(host: &Host, side: Side, number: Option<u32>) -> Result<Option<Self>> {
        let _lock = lock(host)?;
        let candidates = number.map_or(Xid::FIRST_DYNAMIC.0..=Xid::LAST_DYNAMIC.0, |number| number..=number);
        for candidate in candidates {
            if taken_by_guest(host, side, candidate)? || Self::load(host, side, candidate)?.is_some() {
                continue;
            }
            let dir = own_dir()?.map_or_else(top, Ok)?.join(side.name(candidate));
            match make_dir(&dir) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists && (number.is_none() || populated(&dir)) => {
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("make the directory", dir)(error)),
            }
            let network = (side == Side::Network).then(|| new_network(candidate));
            let bare = Self { side, number: candidate, cgroups: vec![dir], attributes: new_attributes(), network };
            bare.write(host)?;
            return Ok(Some(bare));
        }
        Ok(None)
    }

    /// Writes it down.
    pub fn save(&self, host: &Host) -> Result<()> {
        let _lock = lock(host)?;
        self.write(host)
    }

    fn write(&self, host: &Host) -> Result<()> {
        let path = path(host, self.side, self.number);
        let text = serde_json::to_vec_pretty(self).map_err(failed("write down the context"))?;
        vserver_fs::atomic::write_volatile(&path, &text, 0o600).map_err(failed("write down the context"))
    }

    /// The host's numbers of its processes.
    pub fn processes(&self) -> Vec<i32> {
        self.cgroups.iter().flat_map(|dir| processes_below(dir)).collect()
    }

    /// Forgets the directory `dir`, and the whole context with the last one.
    pub(super) fn forget(host: &Host, side: Side, number: u32, dir: &Path) -> Result<()> {
        let _lock = lock(host)?;
        remove_dirs(dir);
        // The last of all takes `vserver/.contexts` along, and `vserver` if no guest is in it.
        if let Some(all) = dir.parent().filter(|parent| parent.ends_with("vserver/.contexts")) {
            std::fs::remove_dir(all).and_then(|()| all.parent().map_or(Ok(()), std::fs::remove_dir)).ok();
        }
        if let Some(mut bare) = Self::load(host, side, number)? {
            bare.cgroups.retain(|own| own != dir);
            if !bare.cgroups.is_empty() {
                return bare.write(host);
            }
        }
        match std::fs::remove_file(path(host, side, number)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("forget the context")(error)),
            _ => Ok(()),
        }
    }
}

/// Makes a context's directory. The end of the last context or guest takes what lies above away while it is empty, perhaps
/// just now: then again.
fn make_dir(dir: &Path) -> std::io::Result<()> {
    let make = || dir.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::create_dir(dir));
    let is_gone = |made: &std::io::Result<()>| made.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    (1..20).map(|_| make()).find(|made| !is_gone(made)).unwrap_or_else(make)
}

/// Makes it unless it is there.
pub(super) fn ensure_dir(dir: &Path) -> Result<()> {
    match make_dir(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(Error::io("make the directory", dir)(error)),
        _ => Ok(()),
    }
}

/// The directory of this process, if it is one of ours.
pub(super) fn own_dir() -> Result<Option<PathBuf>> {
    let text = std::fs::read_to_string("/proc/self/cgroup").map_err(Error::io("read", "/proc/self/cgroup"))?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let top = top()?;
    let mount = top.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
    let dir = mount.join(own);
    Ok((dir.starts_with(&top) && dir != top).then_some(dir))
}

/// Whether a process is there or below.
pub(super) fn populated(dir: &Path) -> bool {
    std::fs::read_to_string(dir.join("cgroup.events"))
        .is_ok_and(|text| text.lines().any(|line| line == "populated 1"))
}

fn path(host: &Host, side: Side, number: u32) -> PathBuf {
    host.run_dir.join(".contexts").join(format!("{}.json", side.name(number)))
}

fn lock(host: &Host) -> Result<Flock> {
    make_private(&host.run_dir.join(".contexts"))?;
    make_private(&host.run_dir.join("lock"))?;
    Flock::take(&host.run_dir.join("lock/.contexts"), PATIENCE).map_err(failed("take the lock of the contexts"))
}

fn processes_below(dir: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let own = text.lines().filter_map(|line| line.parse().ok());
    own.chain(subdirs(dir).iter().flat_map(|sub| processes_below(sub))).collect()
}

fn subdirs(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// From below; the kernel keeps what has processes.
fn remove_dirs(dir: &Path) {
    for sub in subdirs(dir) {
        remove_dirs(&sub);
    }
    std::fs::remove_dir(dir).ok();
}
