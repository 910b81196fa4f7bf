//! `vshelper ACTION XID`: what the patched kernel called when a guest rebooted or halted. Here the guest's supervisor
//! sees that by itself; the command stays for scripts that call it. Source: util-vserver, `behaviours.md` §6.

use std::ffi::OsString;
use std::process::Command;

use vserver_runtime::RunRecord;
use vserver_types::{Exit, Xid};

use crate::context::Context;
use crate::error::CliError;

/// 0: done, or the context is none of ours; 1: the action is not known, or it failed.
pub fn run(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let text = |index: usize| words.get(index).and_then(|word| word.to_str());
    let (Some(action), Some(xid)) = (text(0), text(1)) else {
        let fault = "the action and the number of the context are needed: vshelper restart 40012";
        return Err(CliError::usage("vshelper", fault, Exit::Failure));
    };
    let Ok(xid) = xid.parse::<Xid>() else {
        let fault = format!("'{xid}' is not the number of a context");
        return Err(CliError::usage("vshelper", &fault, Exit::Failure));
    };
    if context.host.confdir.join(".defaults/apps/vshelper/disabled").exists() {
        return Ok(Exit::Success);
    }
    let records = vserver_runtime::running(&context.host)?;
    let Some(guest) = records.into_iter().find(|record| record.xid == xid) else {
        return Ok(Exit::Success);
    };
    if context.host.confdir.join(guest.name.as_str()).join("apps/vshelper/disabled").exists() {
        return Ok(Exit::Success);
    }
    match action {
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
