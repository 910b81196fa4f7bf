//! Processes summed up by context.

use std::collections::BTreeMap;

use serde::Serialize;
use vserver_types::{CgroupBase, GuestName, Xid};

use crate::{Error, Process, processes};

/// What the processes of one context use together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Number of processes (not threads).
    pub processes: u64,
    /// Virtual size in bytes, summed: shared memory counts once per process.
    pub vsz: u64,
    /// Resident bytes, summed likewise.
    pub rss: u64,
    /// CPU time in user mode in ms, waited-for children included.
    pub utime: u64,
    /// CPU time in the kernel in ms, waited-for children included.
    pub stime: u64,
    /// Age of the oldest process in ms.
    pub uptime: u64,
}

impl Usage {
    fn add(&mut self, process: &Process) {
        self.processes += 1;
        self.vsz = self.vsz.saturating_add(process.vsz);
        self.rss = self.rss.saturating_add(process.rss);
        self.utime = self.utime.saturating_add(process.utime);
        self.stime = self.stime.saturating_add(process.stime);
        self.uptime = self.uptime.max(process.age);
    }
}

/// One look at all processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Processes of no guest; without the one that looks.
    pub host: Usage,
    /// Guests that have processes.
    pub guests: BTreeMap<GuestName, Usage>,
}

impl Sample {
    /// Looks now. Two reads per process: 1 000 processes take some 35 ms.
    /// Guests are below `bases` ([`crate::owner_in`]).
    pub fn take(bases: &[CgroupBase]) -> Result<Self, Error> {
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        let mut sample = Self::default();
        for process in processes(bases)? {
            let process = process?;
            if process.pid != own {
                sample.count(&process);
            }
        }
        Ok(sample)
    }

    /// Host first, then the guests that `known` has a number for, by number. `known`: name, number, name to show.
    pub fn rows(&self, known: &[(GuestName, Xid, String)]) -> Vec<Row> {
        let mut rows = vec![Row { xid: Xid::HOST, name: "root server".to_owned(), usage: self.host }];
        rows.extend(known.iter().filter_map(|(guest, xid, name)| {
            Some(Row { xid: *xid, name: name.clone(), usage: *self.guests.get(guest)? })
        }));
        rows.sort_by_key(|row| row.xid);
        rows
    }

    fn count(&mut self, process: &Process) {
        match &process.guest {
            None => self.host.add(process),
            Some(name) => match self.guests.get_mut(name) {
                Some(usage) => usage.add(process),
                None => self.guests.entry(name.clone()).or_default().add(process),
            },
        }
    }
}

/// One line of `vserver-stat`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The context.
    pub xid: Xid,
    /// Its name for people; empty if unknown.
    pub name: String,
    /// What it uses.
    #[serde(flatten)]
    pub usage: Usage,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(guest: Option<&str>, age: u64) -> Process {
        let guest = guest.map(|name| name.parse().unwrap());
        let command = String::new();
        Process { pid: 7, ppid: 1, guest, command, state: 'S', vsz: 10, rss: 5, utime: 3, stime: 2, age }
    }

    #[test]
    fn sums_and_the_oldest() {
        let mut sample = Sample::default();
        for p in [process(None, 9), process(Some("b"), 4), process(Some("a"), 1), process(Some("b"), 6)] {
            sample.count(&p);
        }
        let known = [("b", 3), ("a", 40_000), ("idle", 5)].map(|(n, x)| (n.parse().unwrap(), Xid(x), n.to_owned()));
        let rows = sample.rows(&known);
        let order: Vec<_> = rows.iter().map(|r| (r.xid.0, r.name.as_str(), r.usage.processes)).collect();
        assert_eq!(order, [(0, "root server", 1), (3, "b", 2), (40_000, "a", 1)]);
        assert_eq!(rows[1].usage, Usage { processes: 2, vsz: 20, rss: 10, utime: 6, stime: 4, uptime: 6 });
    }

    #[test]
    fn the_host_has_processes_here() {
        assert!(Sample::take(&[]).unwrap().host.processes > 0);
    }
}
