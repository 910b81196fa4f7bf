//! `vshelper ACTION XID`: what the patched kernel called when a guest rebooted or halted. Here the guest's supervisor
//! sees that by itself; the command stays for scripts that call it. Source: util-vserver, `behaviours.md` §6.

use std::process::Command;

use vserver_runtime::RunRecord;
use vserver_types::Exit;

use crate::args::VshelperArgs;
use crate::context::Context;
use crate::error::CliError;

/// 0: done, or the context is none of ours; 1: the action is not known, or it failed.
pub fn run(args: &VshelperArgs, context: &Context) -> Result<Exit, CliError> {
    if context.host.confdir.join(".defaults/apps/vshelper/disabled").exists() {
        return Ok(Exit::Success);
    }
    let records = vserver_runtime::running(&context.host)?;
    let Some(guest) = records.into_iter().find(|record| record.xid == args.xid) else {
        return Ok(Exit::Success);
    };
    if context.host.confdir.join(guest.name.as_str()).join("apps/vshelper/disabled").exists() {
        return Ok(Exit::Success);
    }
    match args.action.as_str() {
        "restart" => vserver(&guest, "restart", context),
        "halt" | "poweroff" | "shutdown" => vserver(&guest, "stop", context),
        "startup" | "netup" | "netdown" | "swsusp" | "restart2" | "oom" => Ok(Exit::Success),
        other => Err(CliError::Refused(format!("the action '{other}' for guest '{}' is not known", guest.name))),
    }
}

fn vserver(guest: &RunRecord, verb: &str, context: &Context) -> Result<Exit, CliError> {
    let cannot = format!("cannot run 'vserver {} {verb}'", guest.name);
    let mut command = Command::new(&context.host.vserver);
    command.arg("--defaulttty").arg("--confdir").arg(&guest.confdir).args([guest.name.as_str(), verb]);
    let status = command.status().map_err(CliError::io(cannot))?;
    Ok(if status.success() { Exit::Success } else { Exit::Failure })
}
