//! `check`.

use vserver_types::Exit;

use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Prints every fault of the configuration with file and line: 0 if there is none that forbids a start.
pub fn run(guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let (exit, findings) = match vserver_config::read(&context.host.confdir, &guest.name) {
        Ok((_, warnings)) => (Exit::Success, warnings),
        Err(vserver_config::Error::Invalid { diagnostics }) => (Exit::Failure, diagnostics),
        Err(error) => return Err(guest.failed(error.into(), context)),
    };
    for finding in findings {
        context.printer.line(finding)?;
    }
    Ok(exit)
}
