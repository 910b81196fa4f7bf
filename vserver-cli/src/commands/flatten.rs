//! `flatten`.

use vserver_types::Exit;

use crate::commands::unify::release;
use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Gives the guest copies of all files that it shares.
pub fn run(guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let (_held, root) = release(&guest.name, context)?;
    let copied = vserver_unify::flatten(&root)?;
    context.printer.status(format_args!(
        "{} files, {} MiB, are the guest's own now",
        copied.files,
        copied.bytes.div_ceil(1 << 20)
    ))?;
    Ok(Exit::Success)
}
