//! `vlimit -a`: the limits in force.

use serde_json::json;
use vserver_cgroup::GuestCgroup;
use vserver_runtime::RunRecord;
use vserver_sys::prlimit;
use vserver_types::{Bytes, Resource, Rlimit};

use super::{PAGE, ipc, rlimit};
use crate::args::VlimitArgs;
use crate::commands::chain;
use crate::commands::members::Members;
use crate::context::Context;
use crate::error::CliError;

/// Prints a line each, or an array of objects.
pub fn show(args: &VlimitArgs, members: &Members, context: &Context) -> Result<(), CliError> {
    let rows = match members {
        Members::Guest(record, cgroup) => of_guest(members, record, cgroup)?,
        Members::Bare(_) => of_processes(members)?,
    };
    if args.json {
        return context.printer.json(&rows.iter().map(object).collect::<Vec<_>>());
    }
    context.printer.text(&rows.iter().map(|row| line(args, row)).collect::<String>())
}

/// A resource with its soft and hard limit; `None`: there is no such kind of it here.
type Row = (Resource, Option<Rlimit>, Option<Rlimit>);

/// One per resource that has a limit here, in the order of their numbers; those per process as the guest's init has them.
fn of_guest(members: &Members, record: &RunRecord, cgroup: &GuestCgroup) -> Result<Vec<Row>, CliError> {
    let limits = cgroup.limits()?;
    let (totals, sockets) = (ipc::totals(record)?, record.sockets()?);
    let pages = |bytes: Option<Bytes>| Some(bytes.map_or(Rlimit::Infinity, |bytes| Rlimit::Value(bytes.0 / PAGE)));
    let row = |resource| match resource {
        Resource::Rss => Some((resource, pages(limits.memory_high), pages(limits.memory))),
        Resource::Nproc => Some((resource, None, Some(limits.pids.map_or(Rlimit::Infinity, Rlimit::Value)))),
        Resource::Nsock => {
            let hard = sockets?.limit.map_or(Rlimit::Infinity, Rlimit::Value);
            Some((resource, None, Some(hard)))
        }
        _ if ipc::counts(resource) => {
            totals.iter().find(|(own, _)| *own == resource).map(|(_, hard)| (resource, None, Some(*hard)))
        }
        _ => of_process(resource, members, record.init),
    };
    Ok(Resource::ALL.into_iter().filter_map(row).collect())
}

/// As one process of a context without a guest has them.
fn of_processes(members: &Members) -> Result<Vec<Row>, CliError> {
    let Some(first) = members.processes()?.first().copied() else {
        return Err(chain::no_such(vserver_runtime::bare::Side::Context, None));
    };
    Ok(Resource::ALL.into_iter().filter_map(|resource| of_process(resource, members, first)).collect())
}

fn of_process(resource: Resource, members: &Members, pid: i32) -> Option<Row> {
    let (number, unit) = rlimit(resource, members).filter(|_| resource != Resource::Openfd)?;
    let value = |raw| Some(if raw == prlimit::INFINITY { Rlimit::Infinity } else { Rlimit::Value(raw / unit) });
    let limit = prlimit::get(pid, number).ok()?;
    Some((resource, value(limit.soft), value(limit.hard)))
}

/// Columns: name 0, min 12, soft 32, hard 52. Source: util-vserver, `commands.md` §5.
fn line(args: &VlimitArgs, &(resource, soft, hard): &Row) -> String {
    let name = if args.numbers { resource.number().to_string() } else { resource.name().to_uppercase() };
    let value = |limit| match limit {
        None => "N/A".to_owned(),
        Some(Rlimit::Infinity) => "inf".to_owned(),
        Some(Rlimit::Value(number)) if args.decimal => number.to_string(),
        Some(Rlimit::Value(number)) => format!("{number:#x}"),
    };
    format!("{name:<12}{:<20}{:<20}{}\n", "N/A", value(soft), value(hard))
}

/// The same for programs: a number, `"inf"`, or null.
fn object(&(resource, soft, hard): &Row) -> serde_json::Value {
    let value = |limit| match limit {
        None => serde_json::Value::Null,
        Some(Rlimit::Infinity) => "inf".into(),
        Some(Rlimit::Value(number)) => number.into(),
    };
    json!({ "resource": resource.name(), "number": resource.number(), "min": null, "soft": value(soft), "hard": value(hard) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_line_to_the_byte() {
        let args = |decimal, numbers| VlimitArgs {
            common: Default::default(),
            xid: None,
            numbers,
            decimal,
            all: true,
            json: false,
            dir: None,
            missingok: false,
            command: Vec::new(),
        };
        let hard = Some(Rlimit::Value(0x186a0));
        let documented = "RSS         N/A                 inf                 0x186a0\n";
        assert_eq!(line(&args(false, false), &(Resource::Rss, Some(Rlimit::Infinity), hard)), documented);
        let decimal = "6           N/A                 N/A                 100000\n";
        assert_eq!(line(&args(true, true), &(Resource::Nproc, None, hard)), decimal);
    }
}
