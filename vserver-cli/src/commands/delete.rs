//! `delete`.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use vserver_runtime::StopOptions;
use vserver_types::{Exit, GuestState};

use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// How long to wait for another command that holds the guest's lock.
const PATIENCE: Duration = Duration::from_secs(300);

/// Asks, unless `--silent`; stops the guest if it is not stopped; removes its tree, its log and its configuration.
pub fn run(guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let failed = |error| guest.failed(error, context);
    let (host, name) = (&context.host, &guest.name);
    let status = vserver_runtime::status(host, name).map_err(failed)?;
    let question = format!("Are you sure you want to delete the vserver {} (y/N) ", guest.word);
    if !context.printer.is_quiet() && !matches!(context.printer.ask(&question).as_str(), "y" | "Y") {
        return Ok(Exit::Usage);
    }
    if status.state != GuestState::Stopped {
        vserver_runtime::stop(host, name, &StopOptions::default()).map_err(failed)?;
    }
    let _lock = host.lock(name, PATIENCE).map_err(failed)?;
    // Under the lock: a start that came between must not lose its tree.
    if vserver_runtime::status(host, name).map_err(failed)?.processes > 0 {
        return Err(CliError::Refused(format!("guest '{name}' cannot be deleted: it has been started meanwhile")));
    }
    for line in vserver_build::delete(&host.confdir, name)?.iter().filter(|_| !context.printer.is_quiet()) {
        context.printer.warn(line);
    }
    let log = host.console_log(name);
    remove(&log)?;
    remove(&log.with_added_extension("1"))?;
    remove(&host.traffic_book(name))?;
    // Whoever waits for these locks finds no guest any more, so their files may lose their names.
    remove(&host.lock_file(name))?;
    remove(&host.lock_dir.join(host.old_lock(name)))?;
    Ok(Exit::Success)
}

fn remove(path: &Path) -> Result<(), CliError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(CliError::io(format!("cannot remove '{}'", path.display()))(error))
        }
        _ => Ok(()),
    }
}
