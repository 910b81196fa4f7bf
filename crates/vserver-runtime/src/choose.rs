//! What a start needs to know first: whether the guest runs already, and its number.

use std::time::Instant;

use vserver_cgroup::Layout;
use vserver_config::{Clash, GuestConfig};
use vserver_fs::Flock;
use vserver_sys::pidfd;
use vserver_types::{GuestName, Xid};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::record::RunRecord;
use crate::start::LOCK_PATIENCE;
use crate::stop::ready;
use crate::{list, netns, teardown};

/// The guest's lock, and its number if it runs. One whose first process has just ended is left to its keeper, which runs
/// the stop scripts and cleans up, or starts it again, under the same lock.
pub(crate) fn own_the_way(host: &Host, name: &GuestName) -> Result<(Flock, Option<Xid>)> {
    let end = Instant::now() + LOCK_PATIENCE;
    loop {
        let lock = host.lock(name, LOCK_PATIENCE)?;
        let ends = |record: &RunRecord| record.supervisor_lives() && record.init != 0 && !record.init_lives();
        let ending = RunRecord::load(host, name)?.filter(ends).filter(|_| Instant::now() < end);
        let Some(record) = ending else {
            return Ok((lock, clear_the_way(host, name)?));
        };
        drop(lock);
        // It may have ended since the look.
        if let Ok(keeper) = pidfd::open(record.supervisor) {
            ready(&keeper, end);
        }
    }
}

/// The number of a guest that runs; otherwise whatever an accident left of it is taken away first.
fn clear_the_way(host: &Host, name: &GuestName) -> Result<Option<Xid>> {
    let Some(record) = RunRecord::load(host, name)? else {
        return Ok(None);
    };
    if record.supervisor_lives() {
        if record.confdir != host.confdir {
            let what =
                format!("a guest of this name runs already, from {}; stop that one first", record.confdir.display());
            return Err(Error::Taken { name: name.clone(), what });
        }
        return Ok(Some(record.xid));
    }
    teardown::teardown(host, &record)?;
    Ok(None)
}

/// The configured number, or the first free one of those that are handed out; and nobody else has it or its addresses.
pub(crate) fn choose_xid(host: &Host, config: &GuestConfig) -> Result<Xid> {
    let name = &config.name;
    let others: Vec<RunRecord> = list::running(host)?.into_iter().filter(|other| other.name != *name).collect();
    for clash in vserver_config::conflicts(&host.confdir, name)? {
        let remedy = match clash.what {
            Clash::Address(_) => "give one of them another in interfaces/",
            Clash::Context(_) => "give one of them another in the file 'context'",
        };
        let runs = others.iter().any(|other| other.name == clash.other);
        // Two configurations may share an address as long as they do not run at the same time.
        if runs || matches!(clash.what, Clash::Context(_)) {
            return Err(Error::Taken { name: name.clone(), what: format!("{clash}; {remedy}") });
        }
    }
    if let Some(what) = netns::port_in_use(config, &others) {
        return Err(Error::Taken { name: name.clone(), what });
    }
    let taken = |xid: Xid| others.iter().find(|other| other.xid == xid);
    match config.context {
        Some(xid) => match taken(xid) {
            None => Ok(xid),
            Some(other) => Err(Error::Taken {
                name: name.clone(),
                what: format!("context {xid} is in use by guest '{}'; stop it or choose another number", other.name),
            }),
        },
        None => {
            let mut numbers = (Xid::FIRST_DYNAMIC.0..=Xid::LAST_DYNAMIC.0).map(Xid);
            numbers.find(|xid| taken(*xid).is_none() && xid.id_base().is_some()).ok_or_else(|| Error::Taken {
                name: name.clone(),
                what: "all dynamic context numbers are in use; give it one in the file 'context'".to_owned(),
            })
        }
    }
}

/// CPUs of the host that are online: the caller's own affinity or quota must not make a guest's bucket smaller.
pub(crate) fn cpus() -> u32 {
    let online = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    online.and_then(|count| u32::try_from(count).ok()).unwrap_or(1)
}

/// The hierarchies of this host, with the base that a guest was started under; for commands that only look.
pub(crate) fn layout(record: &RunRecord) -> Result<Layout> {
    let layout = Layout::detect().map_err(Error::layer("find the cgroup hierarchies", &record.name))?;
    Ok(layout.with_base(&record.cgroup_base))
}
