//! Taking away everything that a start made, newest first. Goes on past failures and reports them all; what is gone
//! already is no failure, so it can be repeated after any accident.

use std::io::ErrorKind;
use std::path::Path;

use vserver_cgroup::GuestCgroup;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::record::RunRecord;
use crate::start::layout;

/// Ends what is left of the guest's processes and removes its cgroups, addresses, and state.
pub fn teardown(host: &Host, record: &RunRecord) -> Result<()> {
    let mut failures = Vec::new();
    let mut attempt = |result: Result<()>| failures.extend(result.err().map(|error| error.chain()));
    attempt(end_cgroup(record));
    for added in record.addresses.iter().rev() {
        let action = format!("take {} off {}", added.address, added.device);
        attempt(
            vserver_net::remove_address(&added.device, added.address).map_err(Error::layer(action, &record.name)),
        );
    }
    attempt(remove_run_file(record));
    if failures.is_empty() {
        let dir = host.guest_dir(&record.name);
        return remove(&dir.join("control"))
            .and_then(|()| remove(&dir.join("state.json")))
            .and_then(|()| std::fs::remove_dir(&dir).map_err(Error::io("remove the directory", &dir)));
    }
    Err(Error::LeftBehind { name: record.name.clone(), left: failures.join("; ") })
}

fn end_cgroup(record: &RunRecord) -> Result<()> {
    let Some(cgroup) = GuestCgroup::open(&layout(&record.name)?, &record.name) else {
        return Ok(());
    };
    cgroup.kill().map_err(Error::layer("end its processes", &record.name))?;
    cgroup.remove().map_err(Error::layer("remove its cgroups", &record.name))
}

/// The run file is removed only if it speaks of this guest's number.
fn remove_run_file(record: &RunRecord) -> Result<()> {
    match std::fs::read_to_string(&record.run_file) {
        Ok(text) if text.trim() == record.xid.to_string() => remove(&record.run_file),
        _ => Ok(()),
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
