//! Which guests run, and how one of them is.

use serde::Serialize;
use vserver_types::{CgroupBase, GuestName, GuestState};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::record::RunRecord;

/// One guest, as far as the host can prove it.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// What it is doing.
    pub state: GuestState,
    /// Facts about it while it runs.
    pub record: Option<RunRecord>,
    /// How many processes it has.
    pub processes: u64,
}

/// The status of a configured guest.
pub fn status(host: &Host, name: &GuestName) -> Result<Status> {
    let configured = host.confdir.join(name.as_str()).is_dir();
    let record = RunRecord::load(host, name)?.filter(|record| !configured || record.confdir == host.confdir);
    if !configured && record.is_none() {
        vserver_config::read(&host.confdir, name)?;
    }
    let processes = match &record {
        Some(record) => count(record)?,
        None => 0,
    };
    let state = state(record.as_ref(), processes);
    Ok(Status { state, record, processes })
}

/// Every guest with a living supervisor, by its number.
pub fn running(host: &Host) -> Result<Vec<RunRecord>> {
    let mut alive = all(host)?;
    alive.retain(RunRecord::supervisor_lives);
    alive.sort_by_key(|record| record.xid);
    Ok(alive)
}

/// Where guests have their cgroups at this moment, for whoever asks which guest a process is in: ours, and the bases that
/// any was started under, the longer before those that they may begin with.
pub fn cgroup_bases(host: &Host) -> Result<Vec<CgroupBase>> {
    let mut bases: Vec<_> = all(host)?.into_iter().map(|record| record.cgroup_base).collect();
    bases.push(CgroupBase::default());
    bases.sort_by(|one, other| other.as_str().len().cmp(&one.as_str().len()).then_with(|| one.cmp(other)));
    bases.dedup();
    Ok(bases)
}

/// Every record, of guests that are gone as well.
fn all(host: &Host) -> Result<Vec<RunRecord>> {
    let entries = match std::fs::read_dir(&host.run_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", &host.run_dir)(error)),
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<GuestName>().ok());
    // One damaged record must not hide the others: that guest is not listed, and `status` says why.
    Ok(names.filter_map(|name| RunRecord::load(host, &name).ok().flatten()).collect())
}

fn count(record: &RunRecord) -> Result<u64> {
    let Some(cgroup) = record.cgroup()? else {
        return Ok(0);
    };
    let processes = cgroup.processes().map_err(Error::layer("list its processes", &record.name))?;
    Ok(processes.len() as u64)
}

/// One pure decision for everybody who asks.
fn state(record: Option<&RunRecord>, processes: u64) -> GuestState {
    let Some(record) = record else {
        return GuestState::Stopped;
    };
    match (record.supervisor_lives(), record.init_lives()) {
        (true, true) => GuestState::Running,
        (true, false) if processes > 0 => GuestState::Stopping,
        // Only its keeper is there, which cleans up.
        (true, false) => GuestState::Stopped,
        (false, _) if record.supervisor == 0 && processes == 0 => GuestState::Starting,
        (false, _) if processes > 0 => GuestState::Orphan,
        (false, _) => GuestState::Stopped,
    }
}
