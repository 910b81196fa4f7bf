//! `rename`.

use std::path::Path;
use std::time::Duration;

use vserver_build::Error;
use vserver_types::{Exit, GuestName, GuestState};

use crate::args::RenameArgs;
use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// How long to wait for another command that holds the lock of one of the names.
const PATIENCE: Duration = Duration::from_secs(300);

/// Renames the guest, and its log with it.
pub fn run(args: &RenameArgs, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let (host, name) = (&context.host, &guest.name);
    let (to, _locks) = other(guest, "renamed", &args.new, context)?;
    let told =
        vserver_build::rename(&host.confdir, name, &to).map_err(|error| taken(error, guest, "renamed", &to))?;
    for ending in ["", "1"] {
        let log = |name: &GuestName| match ending {
            "" => host.console_log(name),
            ending => host.console_log(name).with_added_extension(ending),
        };
        rename(&log(name), &log(&to))?;
    }
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

fn rename(from: &Path, to: &Path) -> Result<(), CliError> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(CliError::io(format!("cannot rename '{}'", from.display()))(error))
        }
        _ => Ok(()),
    }
}
