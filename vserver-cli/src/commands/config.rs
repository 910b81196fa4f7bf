//! `config`.

use vserver_types::Exit;

use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Prints what is understood of the guest's configuration, as JSON.
pub fn run(guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let confdir = &context.host.confdir;
    let (config, warnings) =
        vserver_config::read(confdir, &guest.name).map_err(|error| guest.failed(error.into(), context))?;
    context.printer.json(&vserver_config::describe(confdir, &config, &warnings))?;
    Ok(Exit::Success)
}
