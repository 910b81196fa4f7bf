//! `after-exit`: not for people. A keeper whose guest has ended becomes this command.

use std::ffi::OsString;
use std::fs::OpenOptions;

use nix::unistd::{dup2_stderr, dup2_stdout};
use vserver_runtime::Ending;
use vserver_types::Exit;

use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Runs the stop scripts, cleans up, and starts the guest again if its last word was `reboot`.
pub fn run(words: &[OsString], guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let ending = match words {
        [word] => word.to_str().and_then(Ending::from_event),
        _ => None,
    };
    let fault = "after-exit needs restart, halt, shutdown or stopped";
    let ending = ending.ok_or_else(|| CliError::usage("vserver", fault, Exit::Usage))?;
    speak_to_log(context);
    context.printer.note(format_args!("{} {} of guest '{}'", now(), ending.event(), guest.name));
    let report = vserver_runtime::after_exit(&context.host, &guest.name, ending)
        .map_err(|error| guest.failed(error, context))?;
    for line in report {
        context.printer.note(format_args!("{}: {line}", guest.name));
    }
    Ok(Exit::Success)
}

/// Nobody is there to listen: what is said goes to the helper's log file, if the host has one.
fn speak_to_log(context: &Context) {
    let log = vserver_config::helper_log(&context.host.confdir);
    if let Some(file) = log.and_then(|path| OpenOptions::new().append(true).create(true).open(path).ok()) {
        dup2_stdout(&file).and_then(|()| dup2_stderr(&file)).ok();
    }
}

/// Seconds since 1970: no time zone belongs to a log.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
