//! `vlimit`: limits of a running context.

use caps::{CapSet, Capability};
use serde_json::json;
use vserver_cgroup::{GuestCgroup, Layout};
use vserver_runtime::RunRecord;
use vserver_sys::prlimit;
use vserver_types::{Bytes, Exit, Limits, Resource, Rlimit, Unenforced};

use crate::args::{Asked, VlimitArgs};
use crate::commands::chcontext::become_command;
use crate::context::Context;
use crate::error::CliError;
use crate::resolve;

mod processes;

/// Bytes in a page: the unit of `rss`, `as` and `memlock`.
const PAGE: u64 = 4096;

/// Sets what was asked for, shows all limits if asked, becomes the command if there is one.
pub fn run(args: &VlimitArgs, asked: &[Asked], context: &Context) -> Result<Exit, CliError> {
    if asked.is_empty() && !args.all {
        let fault = "nothing to do: give a limit to set, or -a to show all";
        return Err(CliError::usage("vlimit", fault, Exit::BeforeExec));
    }
    let record = resolve::running_context(context, args.xid.as_deref())?;
    let cgroup = Layout::detect().map(|layout| GuestCgroup::open(&layout, &record.name))?;
    let cgroup =
        cgroup.ok_or_else(|| CliError::Refused(format!("guest '{}' has no cgroup any more", record.name)))?;
    if !asked.is_empty() {
        for item in set(asked, &cgroup)? {
            context.printer.note(format_args!("{}: {item}", record.name));
        }
    }
    if args.all {
        let rows = rows(&cgroup.limits()?, &record);
        if args.json {
            context.printer.json(&rows.iter().map(object).collect::<Vec<_>>())?;
        } else {
            context.printer.text(&rows.iter().map(|row| line(args, row)).collect::<String>())?;
        }
    }
    if args.command.is_empty() { Ok(Exit::Success) } else { Err(become_command(&args.command)) }
}

fn set(asked: &[Asked], cgroup: &GuestCgroup) -> Result<Vec<Unenforced>, CliError> {
    let mut limits = Limits { raw: Vec::new(), ..cgroup.limits()? };
    let (mut report, mut of_cgroup) = (Vec::new(), false);
    for ask in asked {
        if ask.min {
            report.push(Unenforced::none(format!("{}.min", ask.resource), "nothing guarantees a minimum"));
        }
        match ask.resource {
            Resource::Rss => {
                let bytes = number(ask.value).map(|pages| Bytes(pages.saturating_mul(PAGE)));
                limits.memory = if ask.hard { bytes } else { limits.memory };
                limits.memory_high = if ask.soft { bytes } else { limits.memory_high };
                of_cgroup = true;
            }
            Resource::Nproc if ask.hard => {
                limits.pids = number(ask.value);
                of_cgroup = true;
            }
            Resource::Nproc if ask.soft => {
                report.push(Unenforced::none("nproc.soft", "the total has only a hard limit"))
            }
            _ if ask.hard || ask.soft => report.extend(per_process(ask, cgroup)?),
            _ => {}
        }
    }
    if of_cgroup {
        report.extend(cgroup.apply(&limits)?);
    }
    Ok(report)
}

fn number(value: Rlimit) -> Option<u64> {
    match value {
        Rlimit::Value(number) => Some(number),
        Rlimit::Infinity => None,
    }
}

/// A resource that no cgroup counts in total: every process gets the limit for itself, and its children inherit it.
fn per_process(ask: &Asked, cgroup: &GuestCgroup) -> Result<Option<Unenforced>, CliError> {
    let Some((number, unit)) = rlimit(ask.resource) else {
        let reason = "this kernel has no such limit for a group of processes";
        return Ok(Some(Unenforced::none(ask.resource.name(), reason)));
    };
    let value = match ask.value {
        Rlimit::Value(value) => value.saturating_mul(unit),
        Rlimit::Infinity => prlimit::INFINITY,
    };
    let may_raise = caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_RESOURCE).unwrap_or(false);
    let done = processes::limit_all(cgroup, number, value, ask.hard && may_raise)?;
    let mut reasons = vec!["it bounds each process, not the guest as a whole".to_owned()];
    if ask.hard && !may_raise {
        reasons.push("only soft limits were set, for hard ones we lack CAP_SYS_RESOURCE".to_owned());
    }
    if done.capped > 0 {
        reasons.push(format!("{} processes have a lower hard limit and stay at that", done.capped));
    }
    Ok(Some(Unenforced::partial(ask.resource.name(), reasons.join("; "))))
}

/// Number for prlimit(2) and bytes per unit of a resource that setrlimit(2) knows. The two numberings are the same.
fn rlimit(resource: Resource) -> Option<(u8, u64)> {
    match resource {
        Resource::As | Resource::Memlock => Some((resource.number(), PAGE)),
        Resource::Openfd => Some((Resource::Nofile.number(), 1)),
        Resource::Cpu | Resource::Fsize | Resource::Data | Resource::Stack | Resource::Core => {
            Some((resource.number(), 1))
        }
        Resource::Nofile | Resource::Locks | Resource::Msgqueue => Some((resource.number(), 1)),
        _ => None,
    }
}

/// A resource with its soft and hard limit; `None`: there is no such kind of it here.
type Row = (Resource, Option<Rlimit>, Option<Rlimit>);

/// One per resource that has a limit here, in the order of their numbers; those per process as the guest's init has them.
fn rows(limits: &Limits, record: &RunRecord) -> Vec<Row> {
    let pages = |bytes: Option<Bytes>| Some(bytes.map_or(Rlimit::Infinity, |bytes| Rlimit::Value(bytes.0 / PAGE)));
    let value = |raw, unit| Some(if raw == prlimit::INFINITY { Rlimit::Infinity } else { Rlimit::Value(raw / unit) });
    let row = |resource| match resource {
        Resource::Rss => Some((resource, pages(limits.memory_high), pages(limits.memory))),
        Resource::Nproc => Some((resource, None, Some(limits.pids.map_or(Rlimit::Infinity, Rlimit::Value)))),
        _ => {
            let (number, unit) = rlimit(resource).filter(|_| resource != Resource::Openfd)?;
            let limit = prlimit::get(record.init, number).ok()?;
            Some((resource, value(limit.soft, unit), value(limit.hard, unit)))
        }
    };
    Resource::ALL.into_iter().filter_map(row).collect()
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
            command: Vec::new(),
        };
        let hard = Some(Rlimit::Value(0x186a0));
        let documented = "RSS         N/A                 inf                 0x186a0\n";
        assert_eq!(line(&args(false, false), &(Resource::Rss, Some(Rlimit::Infinity), hard)), documented);
        let decimal = "6           N/A                 N/A                 100000\n";
        assert_eq!(line(&args(true, true), &(Resource::Nproc, None, hard)), decimal);
    }
}
