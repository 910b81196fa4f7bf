//! `vlimit`: limits of a running context.

use std::path::Path;

use caps::{CapSet, Capability};
use vserver_cgroup::GuestCgroup;
use vserver_runtime::RunRecord;
use vserver_types::{Bytes, Exit, Limits, Resource, ResourceLimit, Rlimit, Unenforced};

use crate::args::{Asked, VlimitArgs};
use crate::commands::chain;
use crate::commands::members::Members;
use crate::context::Context;
use crate::error::{CliError, chain as reasons};

mod ipc;
mod processes;
mod rows;

/// Bytes in a page: the unit of `rss`, `as` and `memlock`.
const PAGE: u64 = 4096;

/// Sets what was asked for, shows all limits if asked, becomes the command if there is one.
pub fn run(args: &VlimitArgs, asked: &[Asked], context: &Context) -> Result<Exit, CliError> {
    if asked.is_empty() && !args.all && args.dir.is_none() {
        let fault = "nothing to do: give a limit to set, or -a to show all";
        return Err(CliError::usage("vlimit", fault, Exit::BeforeExec));
    }
    let mut asked = asked.to_vec();
    asked.extend(args.dir.as_deref().map(|dir| files(dir, args.missingok, &asked)).transpose()?.unwrap_or_default());
    let members = Members::of(context, args.xid.as_deref())?;
    for item in set(&asked, &members, context)? {
        context.printer.note(format_args!("{}: {item}", members.name()));
    }
    if args.all {
        rows::show(args, &members, context)?;
    }
    chain::go_on(&args.command)
}

/// What the files say of resources that the command line does not name.
fn files(dir: &Path, missing_is_fine: bool, given: &[Asked]) -> Result<Vec<Asked>, CliError> {
    if !dir.is_dir() {
        let missing = CliError::Refused(format!("there is no directory '{}'", dir.display()));
        return if missing_is_fine { Ok(Vec::new()) } else { Err(missing) };
    }
    let limits = vserver_config::rlimits_of(dir)?.into_iter();
    let limits = limits.filter(|(resource, _)| given.iter().all(|ask| ask.resource != *resource));
    Ok(limits.flat_map(|(resource, limit)| wishes(resource, limit)).collect())
}

/// One for each bound that has a value of its own.
fn wishes(resource: Resource, ResourceLimit { min, soft, hard }: ResourceLimit) -> Vec<Asked> {
    let ask = |min, soft, hard, value: Option<Rlimit>| value.map(|value| Asked { resource, min, soft, hard, value });
    let all = [ask(true, false, false, min), ask(false, true, false, soft), ask(false, false, true, hard)];
    match hard {
        // The plain file, which sets all three.
        Some(value) if min == hard && soft == hard => {
            vec![Asked { resource, min: false, soft: false, hard: true, value }]
        }
        _ => all.into_iter().flatten().collect(),
    }
}

/// A limit that the kernel refuses keeps no other one from being set. Source: util-vserver, `commands.md` §5.
fn set(asked: &[Asked], members: &Members, context: &Context) -> Result<Vec<Unenforced>, CliError> {
    let (mut report, mut rest) = (Vec::new(), Vec::new());
    for ask in asked {
        if ask.min {
            report.push(Unenforced::none(format!("{}.min", ask.resource), "nothing guarantees a minimum"));
        }
        if ask.hard || ask.soft {
            rest.push(*ask);
        }
    }
    if let Members::Guest(record, cgroup) = members {
        let (of_cgroup, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|ask| matches!(ask.resource, Resource::Rss | Resource::Nproc));
        if !of_cgroup.is_empty() {
            report.extend(of_guest(&of_cgroup, cgroup)?);
        }
        let (of_sockets, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|ask| ask.resource == Resource::Nsock);
        for ask in of_sockets {
            report.extend(sockets(&ask, record, context));
        }
        let (of_ipc, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|ask| ipc::counts(ask.resource));
        for ask in of_ipc {
            report.extend(tried(ipc::set(&ask, record), context));
        }
        rest = others;
    }
    for ask in &rest {
        report.extend(tried(per_process(ask, members), context));
    }
    Ok(report)
}

fn tried(done: Result<Option<Unenforced>, CliError>, context: &Context) -> Option<Unenforced> {
    done.unwrap_or_else(|error| {
        context.printer.note(format_args!("vc_set_rlimit(): {}", reasons(&error)));
        None
    })
}

/// Totals that its cgroup counts.
fn of_guest(asked: &[Asked], cgroup: &GuestCgroup) -> Result<Vec<Unenforced>, CliError> {
    let mut limits = Limits { raw: Vec::new(), ..cgroup.limits()? };
    let mut report = Vec::new();
    for ask in asked {
        match ask.resource {
            Resource::Rss => {
                let bytes = number(ask.value).map(|pages| Bytes(pages.saturating_mul(PAGE)));
                limits.memory = if ask.hard { bytes } else { limits.memory };
                limits.memory_high = if ask.soft { bytes } else { limits.memory_high };
            }
            _ if ask.hard => limits.pids = number(ask.value),
            _ => report.push(Unenforced::none("nproc.soft", "the total has only a hard limit")),
        }
    }
    report.extend(cgroup.apply(&limits)?);
    Ok(report)
}

/// Internet sockets, which programs in its cgroup count.
fn sockets(ask: &Asked, record: &RunRecord, context: &Context) -> Vec<Unenforced> {
    if !ask.hard {
        return vec![Unenforced::none("nsock.soft", "the total has only a hard limit")];
    }
    record.limit_sockets(number(ask.value)).unwrap_or_else(|error| {
        context.printer.note(format_args!("vc_set_rlimit(): {}", reasons(&error)));
        Vec::new()
    })
}

fn number(value: Rlimit) -> Option<u64> {
    match value {
        Rlimit::Value(number) => Some(number),
        Rlimit::Infinity => None,
    }
}

/// A resource that nothing counts in total: every process gets the limit for itself, and its children inherit it.
fn per_process(ask: &Asked, members: &Members) -> Result<Option<Unenforced>, CliError> {
    let Some((number, unit)) = rlimit(ask.resource, members) else {
        let reason = "this kernel has no such limit for a group of processes";
        return Ok(Some(Unenforced::none(ask.resource.name(), reason)));
    };
    let value = match ask.value {
        Rlimit::Value(value) => value.saturating_mul(unit),
        Rlimit::Infinity => vserver_sys::prlimit::INFINITY,
    };
    let may_raise = caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_RESOURCE).unwrap_or(false);
    let done = processes::limit_all(members, number, value, ask.hard && may_raise)?;
    let mut reasons = vec![match members {
        Members::Guest(..) => "it bounds each process, not the guest as a whole".to_owned(),
        Members::Bare(_) => "it bounds each process, not the context as a whole".to_owned(),
    }];
    if ask.hard && !may_raise {
        reasons.push("only soft limits were set, for hard ones we lack CAP_SYS_RESOURCE".to_owned());
    }
    if done.capped > 0 {
        reasons.push(format!("{} processes have a lower hard limit and stay at that", done.capped));
    }
    Ok(Some(Unenforced::partial(ask.resource.name(), reasons.join("; "))))
}

/// Number for prlimit(2) and bytes per unit of a resource that setrlimit(2) knows. The two numberings are the same.
fn rlimit(resource: Resource, members: &Members) -> Option<(u8, u64)> {
    match resource {
        Resource::As | Resource::Memlock => Some((resource.number(), PAGE)),
        Resource::Openfd => Some((Resource::Nofile.number(), 1)),
        Resource::Cpu | Resource::Fsize | Resource::Data | Resource::Stack | Resource::Core => {
            Some((resource.number(), 1))
        }
        Resource::Nofile | Resource::Locks | Resource::Msgqueue => Some((resource.number(), 1)),
        Resource::Nproc if matches!(members, Members::Bare(_)) => Some((resource.number(), 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_file_is_one_wish_and_its_kin_are_their_own() {
        let value = Some(Rlimit::Value(5));
        let plain = ResourceLimit { min: value, soft: value, hard: value };
        let of = |limit| wishes(Resource::Rss, limit).iter().map(|w| (w.min, w.soft, w.hard)).collect::<Vec<_>>();
        assert_eq!(of(plain), [(false, false, true)]);
        assert_eq!(of(ResourceLimit { min: None, soft: value, hard: None }), [(false, true, false)]);
        let both = ResourceLimit { min: None, soft: value, hard: Some(Rlimit::Infinity) };
        assert_eq!(of(both), [(false, true, false), (false, false, true)]);
    }
}
