//! What a guest has sent and received, over all of its runs, and how fast it may. What a run has counted is written down when
//! it is put away; a teardown that is repeated writes the same again.

use std::io::ErrorKind;
use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};
use vserver_net::Meter;
use vserver_types::{Counts, GuestName, Traffic};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::record::RunRecord;

/// What has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Passed {
    /// Since the guest was first started on this host.
    pub total: Counts,
    /// Since its start; 0 if it does not run.
    pub since_start: Counts,
}

/// The file of a guest.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Book {
    /// All runs before the last.
    before: Counts,
    /// Which was the last.
    run: String,
    /// What that has counted.
    last: Counts,
}

impl Book {
    fn read(host: &Host, name: &GuestName) -> Result<Self> {
        let path = host.traffic_book(name);
        match std::fs::read(&path) {
            // Counts are not worth a guest that cannot be stopped: a file that makes no sense begins anew.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// With what `run` has counted so far.
    fn with(self, run: String, last: Counts) -> Self {
        let before = if self.run == run { self.before } else { self.before + self.last };
        Self { before, run, last }
    }
}

/// What a run is known by: pids come again, but not at the same moment.
fn run_of(record: &RunRecord) -> String {
    let started = record.started_at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    format!("{started}-{}-{}", record.init, record.init_started)
}

fn counts(record: &RunRecord) -> Result<Option<Counts>> {
    let Some(directory) = record.counted()? else { return Ok(None) };
    let meter = Meter::of(directory.as_fd()).map_err(Error::layer("find what was counted", &record.name))?;
    meter.map(|meter| meter.counts()).transpose().map_err(Error::layer("read what was counted", &record.name))
}

/// Of a running guest.
pub fn passed(host: &Host, record: &RunRecord) -> Result<Passed> {
    let since_start = counts(record)?.unwrap_or_default();
    let book = Book::read(host, &record.name)?.with(run_of(record), since_start);
    Ok(Passed { total: book.before + book.last, since_start })
}

/// Before the guest's cgroup goes: writes down what was counted, if there was anything.
pub(crate) fn write_down(host: &Host, record: &RunRecord) -> Result<()> {
    let Some(counts) = counts(record)?.filter(|counts| *counts != Counts::default()) else { return Ok(()) };
    let book = Book::read(host, &record.name)?.with(run_of(record), counts);
    let bytes = serde_json::to_vec(&book).map_err(Error::layer("write down what was counted", &record.name))?;
    let path = host.traffic_book(&record.name);
    std::fs::create_dir_all(&host.log_dir).map_err(Error::io("make the directory", &host.log_dir))?;
    vserver_fs::atomic::write(&path, &bytes, 0o600).map_err(Error::layer("write down what was counted", &record.name))
}

/// Holds a running guest to other rates, from now to its end.
pub fn change_traffic(host: &Host, name: &GuestName, change: impl FnOnce(&mut Traffic)) -> Result<()> {
    let _lock = host.lock(name, crate::start::LOCK_PATIENCE)?;
    let mut record = crate::change::running(host, name)?;
    change(&mut record.traffic);
    let meter = record.counted()?.map(|directory| Meter::of(directory.as_fd())).transpose();
    let meter = meter.map_err(Error::layer("find what holds it to its rates", name))?.flatten();
    let what = "nothing counts its packets: it was started without a cgroup v2 hierarchy, inside of another guest, or by an \
                older version";
    let meter = meter.ok_or_else(|| Error::Taken { name: name.clone(), what: what.to_owned() })?;
    meter.shape(&record.traffic).map_err(Error::layer("hold it to its rates", name))?;
    record.save(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_counts_once_however_often_it_is_written_down() {
        let bytes = |rx_bytes| Counts { rx_bytes, ..Counts::default() };
        let total = |book: &Book| (book.before + book.last).rx_bytes;
        let book = Book::default().with("a".to_owned(), bytes(5)).with("a".to_owned(), bytes(7));
        assert_eq!(total(&book), 7);
        let book = book.with("b".to_owned(), bytes(1)).with("b".to_owned(), bytes(1));
        assert_eq!(total(&book), 8);
    }
}
