//! `snapshot`.

use std::time::Duration;

use vserver_build::snapshots::{self, NewSnapshot};
use vserver_types::{Exit, GuestState};

use crate::args::{SnapshotArgs, SnapshotVerb};
use crate::commands::build::progress::Watch;
use crate::commands::import::report::size;
use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// How long to wait for another command that holds the guest's lock.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs the verb.
pub fn run(args: &SnapshotArgs, as_json: bool, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let (confdir, name) = (&context.host.confdir, &guest.name);
    let failed = |error| guest.failed(error, context);
    // Says of a guest that is not there what everything says.
    let status = || vserver_runtime::status(&context.host, name).map_err(failed);
    if let SnapshotVerb::List { json } = &args.verb {
        status()?;
        return list(as_json || *json, guest, context);
    }
    let _lock = context.host.lock(name, PATIENCE).map_err(failed)?;
    let state = status()?.state;
    match &args.verb {
        SnapshotVerb::List { .. } => {}
        SnapshotVerb::Create { label, keep } => {
            let keep = keep.map_or_else(|| vserver_config::snapshots_kept(confdir, name), |keep| Ok(Some(keep)))?;
            let wish = NewSnapshot { label: label.clone(), keep, is_busy: state != GuestState::Stopped };
            let made = watched(context, |watch| snapshots::create(confdir, name, &wish, watch))?;
            context.printer.line(&made.label)?;
            for label in &made.removed {
                context
                    .printer
                    .note(format_args!("snapshot '{label}' of guest '{name}' was one too many and is deleted"));
            }
        }
        SnapshotVerb::Restore { label, discard } => {
            if state != GuestState::Stopped {
                return Err(CliError::Refused(format!(
                    "guest '{name}' cannot be made what it was while it is {state}; stop it with `vserver {name} stop`"
                )));
            }
            let kept = watched(context, |watch| snapshots::restore(confdir, name, label, *discard, watch))?;
            if let Some(kept) = kept {
                context
                    .printer
                    .status(format_args!("guest '{name}' is as in '{label}'; what it was is snapshot '{kept}'"))?;
            }
        }
        SnapshotVerb::Delete { labels } => snapshots::delete(confdir, name, labels)?,
    }
    Ok(Exit::Success)
}

fn watched<T>(
    context: &Context,
    work: impl FnOnce(&mut Watch<'_>) -> Result<T, vserver_build::Error>,
) -> Result<T, CliError> {
    let mut watch = Watch::new(&context.printer, false);
    let done = work(&mut watch);
    watch.end();
    Ok(done?)
}

fn list(as_json: bool, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let all = snapshots::list(&context.host.confdir, &guest.name)?;
    if as_json {
        context.printer.json(&all)?;
        return Ok(Exit::Success);
    }
    let mut text = format!("{:<28} {:>10} {:>10} HOW\n", "LABEL", "SIZE", "OWN");
    for one in &all {
        let (whole, own) = (size(one.size_bytes), size(one.own_bytes));
        text.push_str(&format!("{:<28} {whole:>10} {own:>10} {}\n", one.label, one.how));
    }
    context.printer.text(&text)?;
    Ok(Exit::Success)
}
