//! `vmemctrl`: the OOM killer's bias on a context that runs.

use std::io::ErrorKind;

use vserver_runtime::bare::Side;
use vserver_types::Exit;

use crate::args::VmemctrlArgs;
use crate::commands::chain::{self, Target};
use crate::context::Context;
use crate::error::CliError;

/// Shows it, or gives it to every process, from which later ones inherit it.
pub fn run(args: &VmemctrlArgs, context: &Context) -> Result<Exit, CliError> {
    if args.get == args.set || args.set && args.badness.is_none() {
        return Err(CliError::usage("vmemctrl", "--get, or --set with --badness, is needed", Exit::BeforeExec));
    }
    let processes = processes(args, context)?;
    match args.badness.filter(|_| args.set) {
        None => {
            let first = processes.first().ok_or_else(|| chain::no_such(Side::Context, args.xid.as_deref()))?;
            let text = std::fs::read_to_string(file(*first))
                .map_err(CliError::io(format!("cannot read {}", file(*first))))?;
            context.printer.line(text.trim())?;
        }
        Some(badness) => {
            let value = badness.clamp(-1000, 1000).to_string();
            for pid in processes {
                match std::fs::write(file(pid), &value) {
                    // It ended meanwhile.
                    Err(error)
                        if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ESRCH) => {}
                    result => result.map_err(CliError::io(format!("cannot write {value} to {}", file(pid))))?,
                }
            }
        }
    }
    chain::go_on(&args.command)
}

fn file(pid: i32) -> String {
    format!("/proc/{pid}/oom_score_adj")
}

/// The first process of the context comes first.
fn processes(args: &VmemctrlArgs, context: &Context) -> Result<Vec<i32>, CliError> {
    let word = args.xid.as_deref();
    match chain::target(context, Side::Context, word)? {
        Target::Guest(record) => {
            let others = record.cgroup()?.map(|cgroup| cgroup.processes()).transpose()?.unwrap_or_default();
            Ok(std::iter::once(record.init).chain(others.into_iter().filter(|pid| *pid != record.init)).collect())
        }
        Target::Bare(bare) => Ok(bare.processes()),
        Target::Host => {
            Err(CliError::Refused("the host has no bias of its own; give a context with --xid".to_owned()))
        }
        Target::Idle(_) => Err(chain::no_such(Side::Context, word)),
    }
}
