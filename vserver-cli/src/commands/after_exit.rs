//! `after-exit`: not for people. A supervisor whose guest has ended becomes this command.

use std::ffi::OsString;

use vserver_runtime::Ending;
use vserver_types::Exit;

use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Cleans up, and starts the guest again if its last word was `reboot`.
pub fn run(words: &[OsString], guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let ending = match words {
        [word] if word == "reboot" => Ending::Reboot,
        [word] if word == "halt" => Ending::Halt,
        _ => {
            return Err(CliError::usage("vserver", "after-exit needs reboot or halt", Exit::Usage));
        }
    };
    vserver_runtime::after_exit(&context.host, &guest.name, ending).map_err(|error| guest.failed(error, context))?;
    Ok(Exit::Success)
}
