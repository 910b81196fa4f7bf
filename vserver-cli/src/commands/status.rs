//! `status` and `running`.

use std::time::SystemTime;

use serde_json::json;
use vserver_runtime::Status;
use vserver_types::{Exit, GuestState};

use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Says whether the guest runs, since when and with how many processes: 0 running, 3 stopped.
pub fn run(as_json: bool, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let status = look(guest, context)?;
    let printer = &context.printer;
    if as_json {
        printer.json(&object(guest, &status))?;
        return Ok(exit(&status));
    }
    match &status.record {
        Some(record) if is_running(&status) => {
            printer.status(format_args!("Vserver '{}' is running at context '{}'", guest.word, record.xid))?;
            printer.status(format_args!("Number of processes:  {}", status.processes))?;
            printer.status(format_args!("Uptime:               {}", uptime(age(record.started_at))))?;
            for item in record.unenforced.iter().filter(|_| guest.verbose) {
                printer.status(format_args!("Not enforced:         {item}"))?;
            }
        }
        _ => printer.status(format_args!("Vserver '{}' is stopped", guest.word))?,
    }
    if status.state == GuestState::Orphan {
        let (name, left) = (&guest.name, status.processes);
        printer.note(format_args!(
            "{name}: {left} processes are left without a supervisor; `vserver {name} stop` ends them"
        ));
    }
    Ok(exit(&status))
}

/// The same as a silent test: 0 running, 1 not.
pub fn running(guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    Ok(if is_running(&look(guest, context)?) { Exit::Success } else { Exit::Failure })
}

/// Whether scripts should take the guest for running: its init runs, even if it has been asked to stop.
pub fn is_running(status: &Status) -> bool {
    matches!(status.state, GuestState::Running | GuestState::Stopping)
}

/// Seconds since `start`; 0 if the clock was set back.
pub fn age(start: SystemTime) -> u64 {
    start.elapsed().map_or(0, |age| age.as_secs())
}

fn look(guest: &Guest, context: &Context) -> Result<Status, CliError> {
    vserver_runtime::status(&context.host, &guest.name).map_err(|error| guest.failed(error, context))
}

fn exit(status: &Status) -> Exit {
    if is_running(status) { Exit::Success } else { Exit::Stopped }
}

/// `[N days, ]HH:MM`, rounded down, the word `days` also for 1. Source: util-vserver, `commands.md` §3.1.
pub fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let days = if days > 0 { format!("{days} days, ") } else { String::new() };
    format!("{days}{hours:02}:{minutes:02}")
}

fn object(guest: &Guest, status: &Status) -> serde_json::Value {
    let record = status.record.as_ref();
    json!({
        "name": guest.name,
        "state": status.state,
        "xid": record.map(|record| record.xid),
        "nid": record.map(|record| record.nid),
        "processes": status.processes,
        "uptime": record.map(|record| age(record.started_at)),
        "init": record.map(|record| record.init),
        "supervisor": record.map(|record| record.supervisor),
        "unenforced": record.map(|record| &record.unenforced),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uptime_as_documented() {
        assert_eq!(uptime(((3 * 24 + 4) * 60 + 11) * 60), "3 days, 04:11");
        assert_eq!(uptime(86_400), "1 days, 00:00");
        assert_eq!(uptime(86_399), "23:59");
        assert_eq!(uptime(59), "00:00");
    }
}
