//! `plan`: what a start would do, as data.

use vserver_types::Exit;

use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Prints the plan as JSON and does nothing of it.
pub fn run(guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let plan = vserver_runtime::plan(&context.host, &guest.name).map_err(|error| guest.failed(error, context))?;
    context.printer.json(&plan)?;
    Ok(Exit::Success)
}
