//! `import`: report, then the guest.

mod access;
pub mod report;

use std::path::Path;
use std::time::Duration;

use vserver_build::{BuildRequest, Error, Import, ImportSource, LimitWish, Method, Survey};
use vserver_types::{Exit, GuestState};

use crate::args::ImportArgs;
use crate::commands::build::{must_be_stopped, progress, wish};
use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

pub use access::access;

/// How long to wait for another command that holds the guest's lock.
const PATIENCE: Duration = Duration::from_secs(300);

/// Imports a machine, or says what that would be.
pub fn run(args: &ImportArgs, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let printer = &context.printer;
    if args.guest.force && !args.dry_run {
        must_be_stopped(guest, &context.host)?;
    }
    let (request, notes) = request(args, guest, context)?;
    let mut watch = progress::Watch::new(printer, args.debug);
    watch.as_json = args.json;
    if args.dry_run {
        let survey = vserver_build::look(&request, &mut watch);
        watch.end();
        return show(&survey.map_err(said)?, args, context);
    }
    if args.again {
        let survey = again(&request, guest, context, &mut watch);
        watch.end();
        return show(&survey?, args, context);
    }
    let built = vserver_build::build(&request, &mut watch);
    watch.end();
    let built = built.map_err(said)?;
    for note in notes.iter().chain(&built.notes).filter(|_| !printer.is_quiet()) {
        printer.warn(note);
    }
    Ok(Exit::Success)
}

fn show(survey: &Survey, args: &ImportArgs, context: &Context) -> Result<Exit, CliError> {
    match args.json {
        true => context.printer.json(survey)?,
        false => context.printer.text(&report::text(survey))?,
    }
    Ok(Exit::Success)
}

fn said(error: Error) -> CliError {
    match error {
        Error::Exists { .. } => CliError::known(error.to_string(), Exit::Failure),
        error => error.into(),
    }
}

/// With the guest's lock, and only while it does not run.
fn again(
    request: &BuildRequest,
    guest: &Guest,
    context: &Context,
    watch: &mut progress::Watch<'_>,
) -> Result<Survey, CliError> {
    let (host, name) = (&context.host, &guest.name);
    let failed = |error| guest.failed(error, context);
    let _lock = host.lock(name, PATIENCE).map_err(failed)?;
    let status = vserver_runtime::status(host, name).map_err(failed)?;
    if status.state != GuestState::Stopped {
        return Err(CliError::Refused(format!(
            "guest '{name}' cannot be imported again: it is {}; stop it with `vserver {name} stop`",
            status.state
        )));
    }
    Ok(vserver_build::repeat(request, watch)?)
}

fn request(args: &ImportArgs, guest: &Guest, context: &Context) -> Result<(BuildRequest, Vec<String>), CliError> {
    let (new, notes) = match args.again {
        // The guest is there, with its number and addresses.
        true => (vserver_config::NewGuest::new(guest.name.clone()), Vec::new()),
        false => wish::guest_of(&args.guest, &guest.name, &context.host)?,
    };
    let (disk, limit) = if args.dry_run { (None, LimitWish::default()) } else { wish::disk(&args.guest)? };
    let import = Import {
        source: source(&args.source)?,
        below: args.below.as_deref().map(below).transpose()?.unwrap_or_default(),
        as_is: args.as_is,
        keep_identity: args.keep_identity || args.as_is,
        this_host: args.this_host || args.as_is,
    };
    let request = BuildRequest {
        confdir: context.host.confdir.clone(),
        guest: new,
        method: Method::Import(import),
        distribution: None,
        force: args.guest.force,
        accept_root: false,
        keep: args.keep,
        disk,
        limit,
        access: access(&args.guest)?,
        template_age: None,
    };
    Ok((request, notes))
}

fn source(word: &str) -> Result<ImportSource, CliError> {
    if word.starts_with("ssh://") {
        return Ok(ImportSource::Ssh(word.parse()?));
    }
    let path = Path::new(word);
    let found = if word == "-" {
        false
    } else {
        path.metadata().map_err(CliError::io(format!("cannot import '{word}'")))?.is_dir()
    };
    Ok(match found {
        true => ImportSource::Tree(path.to_owned()),
        false if word != "-" && vserver_build::is_image(path) => ImportSource::Image(path.to_owned(), None),
        false => ImportSource::Tar(path.to_owned()),
    })
}

/// A directory of the source.
pub(super) fn below(path: &Path) -> Result<std::path::PathBuf, CliError> {
    use std::path::Component::{CurDir, Normal, RootDir};
    if path.components().all(|part| matches!(part, Normal(_) | CurDir | RootDir)) {
        return Ok(path.components().filter(|part| matches!(part, Normal(_))).collect());
    }
    Err(CliError::Refused(format!("--below '{}' is a directory of the source and cannot hold '..'", path.display())))
}
