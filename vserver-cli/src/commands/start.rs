//! `start`, `restart`, `condrestart`.

use vserver_runtime::{StartOptions, Started};
use vserver_types::{Exit, GuestState};

use crate::args::{StartArgs, StopArgs};
use crate::commands::stop;
use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Starts the guest; that it runs already is worth a warning and no failure.
pub fn run(args: &StartArgs, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let options = StartOptions { strict: args.strict, ..StartOptions::default() };
    match vserver_runtime::start(&context.host, &guest.name, &options)
        .map_err(|error| guest.failed(error, context))?
    {
        Started::AlreadyRunning { .. } => {
            context.printer.warn(format_args!("vserver '{}' already running", guest.word));
        }
        Started::Now { xid, unenforced, warnings } => {
            for warning in warnings {
                context.printer.note(warning);
            }
            for item in unenforced {
                context.printer.note(format_args!("{}: {item}", guest.name));
            }
            if guest.verbose {
                context.printer.status(format_args!("New security context is {xid}"))?;
            }
        }
    }
    Ok(Exit::Success)
}

/// Stops it, then starts it.
pub fn restart(guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    stop::run(&StopArgs { kill: false }, guest, context)?;
    run(&StartArgs { strict: false }, guest, context)
}

/// Restarts it if it runs.
pub fn condrestart(guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let status = vserver_runtime::status(&context.host, &guest.name).map_err(|error| guest.failed(error, context))?;
    if status.state == GuestState::Running { restart(guest, context) } else { Ok(Exit::Success) }
}
