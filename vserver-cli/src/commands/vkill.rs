//! `vkill`: signals for processes of a context.

use std::os::fd::AsFd;

use nix::sys::signal::Signal;
use vserver_runtime::RunRecord;
use vserver_types::Exit;

use crate::args::VkillArgs;
use crate::context::Context;
use crate::error::{CliError, chain};
use crate::resolve::{self, Meant};

/// Signals each process, complains about each that it could not, and fails if there was one.
pub fn run(args: &VkillArgs, context: &Context) -> Result<Exit, CliError> {
    let signal = signal_number(&args.signal)?;
    let target = match &args.xid {
        None => None,
        Some(word) => match resolve::context_word(context, word)? {
            Meant::Guest(record) => Some(record),
            Meant::Idle => return Err(resolve::unresolved(word)),
            Meant::Host if args.pids.is_empty() => {
                let reason = "that would be every process of this host; name the processes".to_owned();
                return Err(CliError::Refused(reason));
            }
            Meant::Host => None,
        },
    };
    let failures = match (&target, args.pids.as_slice()) {
        (None, []) => return Err(CliError::Refused("No pid specified".to_owned())),
        (Some(record), [] | [0]) => signal_all(record, signal)?,
        (_, pids) => pids.iter().filter_map(|pid| signal_one(*pid, target.as_deref(), signal).err()).collect(),
    };
    for failure in &failures {
        context.printer.warn(format_args!("vkill: {}", chain(failure)));
    }
    Ok(if failures.is_empty() { Exit::Success } else { Exit::Failure })
}

/// Every process of the context; new ones that appear meanwhile may be missed, as with kill(2) on a group.
fn signal_all(record: &RunRecord, signal: i32) -> Result<Vec<CliError>, CliError> {
    let pids = record.cgroup()?.map(|cgroup| cgroup.processes()).transpose()?.unwrap_or_default();
    let sent = pids.into_iter().filter_map(|pid| signal_member(pid, record, signal).err());
    Ok(sent.filter(|error| !has_ended(error)).collect())
}

/// One process by its host number; with a context, 1 means that context's init, and others must belong to it.
fn signal_one(pid: i32, target: Option<&RunRecord>, signal: i32) -> Result<(), CliError> {
    match target {
        Some(record) if pid == 1 => signal_member(record.init, record, signal),
        Some(record) => signal_member(pid, record, signal),
        None if pid > 0 => {
            let process =
                vserver_sys::pidfd::open(pid).map_err(CliError::io(format!("cannot find process {pid}")))?;
            send(process.as_fd(), pid, signal)
        }
        None => Err(CliError::Refused(format!("{pid} is not a process number"))),
    }
}

/// Holds the process by a descriptor first, then looks whose it is: the number cannot change its meaning in between.
fn signal_member(pid: i32, record: &RunRecord, signal: i32) -> Result<(), CliError> {
    let process = vserver_sys::pidfd::open(pid).map_err(CliError::io(format!("cannot find process {pid}")))?;
    let name = &record.name;
    if vserver_monitor::owner(pid, std::slice::from_ref(&record.cgroup_base))?.as_ref() != Some(name) {
        return Err(CliError::Refused(format!("process {pid} does not belong to guest '{name}'; see `vps`")));
    }
    send(process.as_fd(), pid, signal)
}

fn send(process: std::os::fd::BorrowedFd<'_>, pid: i32, signal: i32) -> Result<(), CliError> {
    vserver_sys::pidfd::signal(process, signal).map_err(CliError::io(format!("cannot signal process {pid}")))
}

/// Whether the process had ended: for "every process" that is what was wanted.
fn has_ended(error: &CliError) -> bool {
    match error {
        CliError::Io { source, .. } => source.raw_os_error() == Some(nix::libc::ESRCH),
        CliError::Monitor(_) => true,
        _ => false,
    }
}

/// A number up to 64, or a name with or without `SIG`.
fn signal_number(text: &str) -> Result<i32, CliError> {
    let invalid = || CliError::Refused(format!("Invalid signal specified: '{text}'"));
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=64).contains(&number) { Ok(number) } else { Err(invalid()) };
    }
    let name = if text.starts_with("SIG") { text.to_owned() } else { format!("SIG{text}") };
    name.parse::<Signal>().map(|signal| signal as i32).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_name_and_number() {
        for (text, number) in
            [("9", 9), ("KILL", 9), ("SIGTERM", 15), ("IO", 29), ("STKFLT", 16), ("64", 64), ("0", 0)]
        {
            assert_eq!(signal_number(text).unwrap(), number, "{text}");
        }
        for bad in ["", "kill", "65", "-1", "SIGNONSENSE"] {
            assert!(signal_number(bad).is_err(), "{bad}");
        }
    }
}
