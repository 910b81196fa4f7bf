//! `export`.

use std::io::{IsTerminal, stdout};
use std::path::Path;
use std::time::Duration;

use vserver_build::Output;
use vserver_types::{Exit, GuestState};

use crate::args::ExportArgs;
use crate::commands::build::progress;
use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// How long to wait for another command that holds the guest's lock.
const PATIENCE: Duration = Duration::from_secs(300);

/// Packs the guest's tree.
pub fn run(args: &ExportArgs, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let (host, printer, name) = (&context.host, &context.printer, &guest.name);
    let failed = |error| guest.failed(error, context);
    let output = match args.file == Path::new("-") {
        true if stdout().is_terminal() => {
            return Err(CliError::Refused(
                "an archive is not written to a terminal; name a file, or use a pipe".to_owned(),
            ));
        }
        true => Output::Standard,
        false => Output::File(args.file.clone()),
    };
    let _lock = host.lock(name, PATIENCE).map_err(failed)?;
    let status = vserver_runtime::status(host, name).map_err(failed)?;
    if status.state != GuestState::Stopped && host.confdir.join(name.as_str()).join("disk/image").exists() {
        return Err(CliError::Refused(format!(
            "guest '{name}' cannot be packed: its disk is in use while it is {}; stop it with `vserver {name} stop`",
            status.state
        )));
    }
    let shared = status.record.as_ref().is_some_and(|record| record.shared_tree.is_some());
    match status.state {
        GuestState::Stopped => vserver_build::settle(&host.confdir, name)?,
        state if shared => {
            return Err(CliError::Refused(format!(
                "guest '{name}' cannot be packed: it shares files, and what it has written comes into its tree when it stops, but it is \
                 {state}; stop it with `vserver {name} stop`"
            )));
        }
        _ => {}
    }
    if status.state == GuestState::Stopped {
        vserver_build::settle(&host.confdir, name)?;
    }
    let mut watch = progress::Watch::new(printer, false);
    let packed = vserver_build::export(&host.confdir, name, &output, &mut watch);
    watch.end();
    let report = packed?;
    for left in report.skipped.iter().filter(|_| !printer.is_quiet()) {
        printer.warn(format_args!("'{}' {}", left.entry, left.reason));
    }
    if status.state != GuestState::Stopped && !printer.is_quiet() {
        printer
            .warn(format_args!("guest '{name}' was {}: what changed meanwhile may not fit together", status.state));
    }
    Ok(Exit::Success)
}
