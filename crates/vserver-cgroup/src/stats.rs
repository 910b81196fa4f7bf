//! What a guest uses and has used.

use std::path::Path;
use std::time::Duration;

use vserver_types::Bytes;

use crate::{Controller, Error, GuestCgroup, files, memory};

/// Figures of one guest, all its processes together, from its start. `None` where this host does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Memory in use, page cache and kernel memory included.
    pub memory_current: Option<Bytes>,
    /// Most memory ever in use (v2: 5.19).
    pub memory_peak: Option<Bytes>,
    /// Memory limit; `None` if there is none.
    pub memory_limit: Option<Bytes>,
    /// Anonymous memory: what processes have of their own (`RSS` of VServer).
    pub memory_anon: Option<Bytes>,
    /// Swap in use.
    pub swap_current: Option<Bytes>,
    /// CPU time used.
    pub cpu_usage: Option<Duration>,
    /// Of it in programs.
    pub cpu_user: Option<Duration>,
    /// Of it in the kernel.
    pub cpu_system: Option<Duration>,
    /// Processes and threads.
    pub pids_current: Option<u64>,
    /// Limit of processes and threads; `None` if there is none.
    pub pids_limit: Option<u64>,
    /// Processes killed because the guest was over its memory limit (v1: 4.13).
    pub oom_kills: Option<u64>,
    /// Periods of the token bucket in which processes wanted to run.
    pub periods: Option<u64>,
    /// Periods in which the token bucket ran empty.
    pub throttled_periods: Option<u64>,
    /// How long processes were held back by it, summed over CPUs.
    pub throttled_time: Option<Duration>,
}

impl GuestCgroup {
    /// Reads the figures.
    ///
    /// # Errors
    /// [`Error::Gone`] if the guest has no cgroup, [`Error::Read`].
    pub fn stats(&self) -> Result<Stats, Error> {
        if Self::open(&self.layout, &self.name).is_none() {
            return Err(Error::Gone { name: self.name.to_string() });
        }
        let mut stats = Stats::default();
        match self.top_of(Controller::Memory) {
            Some((top, true)) => memory_v2(&top, &mut stats)?,
            Some((top, false)) => memory_v1(&top, &mut stats)?,
            None => {}
        }
        if let Some((top, _)) = self.top_of(Controller::Pids) {
            stats.pids_current = number(&top.join("pids.current"))?;
            stats.pids_limit = number(&top.join("pids.max"))?;
        }
        self.cpu(&mut stats)?;
        Ok(stats)
    }

    pub(crate) fn cpu(&self, stats: &mut Stats) -> Result<(), Error> {
        if let Some((top, v2)) = self.top_of(Controller::Cpu) {
            let text = files::read_optional(&top.join("cpu.stat"))?.unwrap_or_default();
            stats.periods = files::flat_key(&text, "nr_periods");
            stats.throttled_periods = files::flat_key(&text, "nr_throttled");
            stats.throttled_time = match v2 {
                true => files::flat_key(&text, "throttled_usec").map(Duration::from_micros),
                false => files::flat_key(&text, "throttled_time").map(Duration::from_nanos),
            };
        }
        // Every v2 cgroup counts CPU time, with or without the controller (4.15).
        if let Some(tree) = self.layout.v2() {
            let text = files::read_optional(&tree.top(&self.name).join("cpu.stat"))?.unwrap_or_default();
            let micros = |key| files::flat_key(&text, key).map(Duration::from_micros);
            stats.cpu_usage = micros("usage_usec");
            stats.cpu_user = micros("user_usec");
            stats.cpu_system = micros("system_usec");
        } else if let Some((top, _)) = self.top_of(Controller::Cpuacct) {
            let nanos = |file: &str| Ok::<_, Error>(number(&top.join(file))?.map(Duration::from_nanos));
            stats.cpu_usage = nanos("cpuacct.usage")?;
            stats.cpu_user = nanos("cpuacct.usage_user")?;
            stats.cpu_system = nanos("cpuacct.usage_sys")?;
        }
        Ok(())
    }
}

fn memory_v2(top: &Path, stats: &mut Stats) -> Result<(), Error> {
    let bytes = |file: &str| Ok::<_, Error>(number(&top.join(file))?.map(Bytes));
    stats.memory_current = bytes("memory.current")?;
    stats.memory_peak = bytes("memory.peak")?;
    stats.memory_limit = limit(&top.join("memory.max"))?;
    stats.swap_current = bytes("memory.swap.current")?;
    let text = files::read_optional(&top.join("memory.stat"))?.unwrap_or_default();
    stats.memory_anon = files::flat_key(&text, "anon").map(Bytes);
    let events = files::read_optional(&top.join("memory.events"))?.unwrap_or_default();
    stats.oom_kills = files::flat_key(&events, "oom_kill");
    Ok(())
}

fn memory_v1(top: &Path, stats: &mut Stats) -> Result<(), Error> {
    let bytes = |file: &str| Ok::<_, Error>(number(&top.join(file))?.map(Bytes));
    stats.memory_current = bytes("memory.usage_in_bytes")?;
    stats.memory_peak = bytes("memory.max_usage_in_bytes")?;
    stats.memory_limit = limit(&top.join("memory.limit_in_bytes"))?;
    let text = files::read_optional(&top.join("memory.stat"))?.unwrap_or_default();
    stats.memory_anon = files::flat_key(&text, "total_rss").map(Bytes);
    stats.swap_current = files::flat_key(&text, "total_swap").map(Bytes);
    // v1 counts a kill where the victim lived, not above.
    for dir in files::deepest_first(top)? {
        let text = files::read_optional(&dir.join("memory.oom_control"))?.unwrap_or_default();
        if let Some(count) = files::flat_key(&text, "oom_kill") {
            stats.oom_kills = Some(stats.oom_kills.unwrap_or(0) + count);
        }
    }
    Ok(())
}

fn number(path: &Path) -> Result<Option<u64>, Error> {
    Ok(files::read_optional(path)?.and_then(|text| text.trim().parse().ok()))
}

fn limit(path: &Path) -> Result<Option<Bytes>, Error> {
    Ok(files::read_optional(path)?.and_then(|text| memory::amount(&text)).map(Bytes))
}
