//! `delete`.

use vserver_runtime::StopOptions;
use vserver_types::{Exit, GuestState};

use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Asks, unless `--silent`; stops the guest if it is not stopped; removes its tree and its configuration.
pub fn run(guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let failed = |error| guest.failed(error, context);
    let status = vserver_runtime::status(&context.host, &guest.name).map_err(failed)?;
    let question = format!("Are you sure you want to delete the vserver {} (y/N) ", guest.word);
    if !context.printer.is_quiet() && !matches!(context.printer.ask(&question).as_str(), "y" | "Y") {
        return Ok(Exit::Usage);
    }
    if status.state != GuestState::Stopped {
        vserver_runtime::stop(&context.host, &guest.name, &StopOptions { kill: false }).map_err(failed)?;
    }
    vserver_runtime::delete(&context.host, &guest.name).map_err(failed)?;
    Ok(Exit::Success)
}
