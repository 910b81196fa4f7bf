//! Questions that change nothing: read in this process, by the same functions as the command line's.

use std::time::SystemTime;

use vserver_api::{Code, GuestStatus, GuestSummary, Refusal, StatRow};
use vserver_config::GuestConfig;
use vserver_monitor::{Row, Sample, Usage};
use vserver_runtime::{Error, Host, RunRecord, Status};
use vserver_types::{GuestName, GuestState};

use crate::error::chain;

/// All guests by name. One that cannot be read is listed with its fault.
pub fn list(host: &Host) -> Result<Vec<GuestSummary>, Refusal> {
    let names = vserver_config::list(&host.confdir).map_err(|error| Refusal::new(Code::Internal, chain(&error)))?;
    Ok(names.into_iter().map(|name| summary(host, name)).collect())
}

/// One guest.
pub fn status(host: &Host, name: &GuestName) -> Result<GuestStatus, Refusal> {
    let Status { state, record, processes } = vserver_runtime::status(host, name).map_err(|error| refusal(&error))?;
    let record = record.as_ref();
    Ok(GuestStatus {
        name: name.clone(),
        state,
        xid: record.map(|record| record.xid),
        nid: record.map(|record| record.nid),
        processes,
        // A clock that was set back must not make an age of billions.
        uptime: record
            .map(|record| SystemTime::now().duration_since(record.started_at).map_or(0, |age| age.as_secs())),
        init: record.map(|record| record.init),
        supervisor: record.map(|record| record.supervisor),
        unenforced: record.map(|record| record.unenforced.clone()).unwrap_or_default(),
    })
}

/// The host and every guest that runs, of any configuration root, as `vserver-stat` has them.
pub fn stat(host: &Host) -> Result<Vec<StatRow>, Refusal> {
    let records = vserver_runtime::running(host).map_err(|error| refusal(&error))?;
    let known: Vec<_> =
        records.iter().map(|record| (record.name.clone(), record.xid, display_name(record))).collect();
    let bases = vserver_runtime::cgroup_bases(host).map_err(|error| refusal(&error))?;
    let sample = Sample::take(&bases).map_err(|error| Refusal::new(Code::Internal, chain(&error)))?;
    Ok(sample.rows(&known).into_iter().map(row).collect())
}

/// What a failure of the runtime is called on the socket.
pub fn refusal(error: &Error) -> Refusal {
    let code = match error {
        Error::Config(vserver_config::Error::NoSuchGuest { .. }) => Code::NoSuchGuest,
        Error::Config(vserver_config::Error::Invalid { .. }) => Code::InvalidConfiguration,
        Error::Taken { .. } | Error::TakenAndMore { .. } => Code::Taken,
        Error::NoInit { .. } => Code::NoInit,
        Error::Strict { .. } => Code::NotEnforced,
        Error::StartCommand { .. } | Error::NothingLeft { .. } => Code::StartCommand,
        Error::Stuck { .. } => Code::Stuck,
        _ => Code::Internal,
    };
    Refusal::new(code, error.chain())
}

fn summary(host: &Host, name: GuestName) -> GuestSummary {
    let (config, config_fault) = match vserver_config::read(&host.confdir, &name) {
        Ok((config, _)) => (Some(config), None),
        Err(error) => (None, Some(chain(&error))),
    };
    let (state, record, state_fault) = match vserver_runtime::status(host, &name) {
        Ok(status) => (status.state, status.record, None),
        Err(error) => (GuestState::Stopped, None, Some(error.chain())),
    };
    GuestSummary {
        xid: record.map(|record| record.xid).or_else(|| config.as_ref()?.context),
        state,
        addresses: config.as_ref().map(addresses).unwrap_or_default(),
        fault: config_fault.or(state_fault),
        name,
    }
}

fn addresses(config: &GuestConfig) -> Vec<String> {
    config.interfaces.iter().map(|interface| interface.address.to_string()).collect()
}

fn display_name(record: &RunRecord) -> String {
    let config = vserver_config::read(&record.confdir, &record.name);
    config.map_or_else(|_| record.name.to_string(), |(config, _)| config.display_name)
}

/// Field by field: what the monitor adds is not promised to clients until it is named here.
fn row(row: Row) -> StatRow {
    let Row { xid, name, usage } = row;
    let Usage { processes, vsz, rss, utime, stime, uptime } = usage;
    StatRow { xid, name, processes, vsz, rss, utime, stime, uptime }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn failures_have_the_code_that_says_what_to_do() {
        let missing = vserver_config::Error::NoSuchGuest { dir: PathBuf::from("/x/web"), nearest: None };
        assert_eq!(refusal(&missing.into()).code.status(), 404);
        let name: GuestName = "web".parse().unwrap();
        let taken = Error::Taken { name: name.clone(), what: "context 5 is in use".to_owned() };
        assert_eq!((refusal(&taken).code, refusal(&taken).code.status()), (Code::Taken, 409));
        let stuck = Error::Stuck { name, seconds: 3 };
        assert_eq!(refusal(&stuck).code.status(), 500);
    }
}
