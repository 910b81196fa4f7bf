//! `stop`.

use vserver_runtime::{StopOptions, Stopped};
use vserver_types::Exit;

use crate::args::StopArgs;
use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Stops the guest; that it does not run is worth a warning and no failure.
pub fn run(args: &StopArgs, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let options = StopOptions { kill: args.kill, default_tty: guest.how.default_tty };
    match vserver_runtime::stop(&context.host, &guest.name, &options).map_err(|error| guest.failed(error, context))? {
        Stopped::WasNotRunning => context.printer.warn(format_args!("vserver '{}' is not running", guest.word)),
        Stopped::Now { report } => {
            for line in report {
                context.printer.note(format_args!("{}: {line}", guest.name));
            }
        }
    }
    Ok(Exit::Success)
}
