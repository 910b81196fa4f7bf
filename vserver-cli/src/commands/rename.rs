//! `rename`.

use std::time::Duration;

use vserver_build::{Error, Recovered};
use vserver_runtime::Host;
use vserver_types::{Exit, GuestName, GuestState};

use crate::args::RenameArgs;
use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;
use crate::printer::Printer;

/// How long to wait for another command that holds the lock of one of the names.
const PATIENCE: Duration = Duration::from_secs(300);

/// Renames the guest, and its log and counts with it.
pub fn run(args: &RenameArgs, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let (host, name) = (&context.host, &guest.name);
    let (to, _locks) = other(guest, "renamed", &args.new, context)?;
    let (old, new) = (host.console_log(name), host.console_log(&to));
    let older = (old.with_added_extension("1"), new.with_added_extension("1"));
    let book = (host.traffic_book(name), host.traffic_book(&to));
    let told = vserver_build::rename(&host.confdir, name, &to, vec![(old, new), older, book])
        .map_err(|error| taken(error, guest, "renamed", &to))?;
    for line in told.iter().filter(|_| !context.printer.is_quiet()) {
        context.printer.note(format_args!("{line}"));
    }
    Ok(Exit::Success)
}

/// A second name for a guest that does not run, with the locks of both names: the smaller first, so that two commands
/// cannot wait for each other.
pub(super) fn other(
    guest: &Guest,
    done: &str,
    word: &str,
    context: &Context,
) -> Result<(GuestName, impl Sized), CliError> {
    let (host, name) = (&context.host, &guest.name);
    let failed = |error| guest.failed(error, context);
    let to: GuestName =
        word.parse().map_err(|error: vserver_types::ParseError| CliError::Refused(error.to_string()))?;
    let refused = |why: String| Err(CliError::Refused(format!("guest '{name}' cannot be {done} to '{to}': {why}")));
    if to == *name {
        return refused("that is its own name; choose another one".to_owned());
    }
    let (first, second) = if *name < to { (name, &to) } else { (&to, name) };
    let locks = [host.lock(first, PATIENCE).map_err(failed)?, host.lock(second, PATIENCE).map_err(failed)?];
    let status = vserver_runtime::status(host, name).map_err(failed)?;
    if status.state != GuestState::Stopped {
        return refused(format!("it is {}; stop it with `vserver {name} stop`", status.state));
    }
    if host.confdir.join(to.as_str()).symlink_metadata().is_ok() {
        return refused("there is a configuration of that name; choose another name or delete that guest".to_owned());
    }
    Ok((to, locks))
}

/// Says of what is in the way what can be done about it.
pub(super) fn taken(error: Error, guest: &Guest, done: &str, to: &GuestName) -> CliError {
    match error {
        Error::Exists { root, .. } => CliError::Refused(format!(
            "guest '{}' cannot be {done} to '{to}': '{}' exists already; choose another name or move that away",
            guest.name,
            root.display()
        )),
        other => other.into(),
    }
}

/// Finishes renames that were killed, before anything is done with a guest. Whoever may not, like another user than root,
/// leaves that to those who may.
pub fn recover(host: &Host, printer: &Printer) {
    for Recovered { from, to, outcome } in
        vserver_build::recover(&host.confdir, |name| host.lock(name, Duration::ZERO).ok())
    {
        match outcome {
            Ok(told) => {
                printer
                    .warn(format!("the rename of guest '{from}' to '{to}', which had been killed, is finished now"));
                told.iter().for_each(|line| printer.warn(line));
            }
            Err(error) => {
                let error = CliError::from(error);
                printer.warn(format!(
                    "the rename of guest '{from}' to '{to}' was killed and cannot be finished: {error}"
                ));
            }
        }
    }
}
