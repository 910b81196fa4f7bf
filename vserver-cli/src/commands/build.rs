//! `build`.

mod method;
pub mod progress;
pub(super) mod wish;

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use vserver_build::{BuildRequest, Error, Method};
use vserver_config::Defaults;
use vserver_fs::Flock;
use vserver_runtime::Host;
use vserver_types::{Exit, GuestName, GuestState};

use crate::args::{self, BuildArgs};
use crate::commands::vserver::{Guest, How};
use crate::commands::{delete, import};
use crate::context::Context;
use crate::error::{CliError, chain};
use crate::resolve;

/// How long to wait for another command that holds the lock of the guest that is cloned.
const PATIENCE: Duration = Duration::from_secs(300);

/// `vserver NAME build …`
pub fn run(words: &[OsString], guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let args: BuildArgs = args::parse(&context.printer, &with_defaults(words, &context.host)?, Exit::Failure)?;
    make(&args, guest, context)
}

/// `vserver-build -n NAME …`, which the original's `vserver` called. Source: util-vserver, `commands.md` §4.
pub fn by_itself(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let words = with_defaults(words, &context.host)?;
    let args: BuildArgs = args::parse_as(args::build_command(), &context.printer, &words, Exit::Failure)?;
    let Some(word) = args.name.clone() else {
        return Err(CliError::usage("vserver-build", "-n NAME is needed: whom to build", Exit::Failure));
    };
    let (root, name) = resolve::guest_word(&word)?;
    let context = Context::new(root, context.printer);
    make(&BuildArgs { name: None, ..args }, &Guest { word, name, verbose: false, how: How::default() }, &context)
}

/// Makes the guest that the options describe; silent if it succeeds without a terminal to show progress on.
fn make(args: &BuildArgs, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let printer = &context.printer;
    no_other_name(args, guest)?;
    let afterwards = method::afterwards(args, printer)?;
    let mut host = context.host.clone();
    if let Some(dir) = &args.confdir {
        host.confdir = wish::root_of(dir, &guest.name)?;
    }
    let (method, distribution) = method::choose(args, &Defaults::new(&host.confdir), printer)?;
    if args.guest.force {
        must_be_stopped(guest, &host)?;
    }
    let _source = still(&method, context)?;
    let (new, notes) = wish::new_guest(args, &guest.name, &host)?;
    let (disk, limit) = wish::disk(&args.guest)?;
    let request = BuildRequest {
        confdir: host.confdir.clone(),
        guest: new,
        method,
        distribution,
        force: args.guest.force,
        accept_root: args.i_know_its_there,
        keep: args.keep,
        disk,
        limit,
        access: import::access(&args.guest)?,
        template_age: (!args.fresh).then(|| age(args.template_age)),
    };
    let mut progress = progress::Watch::new(printer, args.debug > 0);
    let built = vserver_build::build(&request, &mut progress);
    progress.end();
    let built = built.map_err(|error| match error {
        Error::Exists { .. } => CliError::known(error.to_string(), Exit::Failure),
        error => error.into(),
    })?;
    for note in notes.iter().chain(&built.notes).filter(|_| !printer.is_quiet()) {
        printer.warn(note);
    }
    fill(&afterwards, args, guest, &Context { host, printer: context.printer })
}

/// Runs the command that is to fill a skeleton. Like every build that fails this one leaves nothing, unless told to.
fn fill(command: &[OsString], args: &BuildArgs, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let Some((program, arguments)) = command.split_first() else { return Ok(Exit::Success) };
    let shown = program.to_string_lossy();
    let why = match Command::new(program).args(arguments).status() {
        Ok(status) if status.success() => return Ok(Exit::Success),
        Ok(status) => format!("the command '{shown}' ended with {status}"),
        Err(error) => format!("the command '{shown}' cannot be run: {}", chain(&error)),
    };
    let name = &guest.name;
    if args.keep || args.i_know_its_there {
        return Err(CliError::Refused(format!("guest '{name}' is there, and not filled: {why}")));
    }
    delete::run(guest, &Context { host: context.host.clone(), printer: context.printer.quiet(true) })?;
    Err(CliError::Refused(format!("guest '{name}' was not built: {why}; with --keep it would stay")))
}

/// An option of the original's that would say something else than the rest.
fn no_other_name(args: &BuildArgs, guest: &Guest) -> Result<(), CliError> {
    if let Some(other) = args.name.as_ref().filter(|other| other.as_str() != guest.name.as_str()) {
        let text =
            format!("guest '{}' cannot be built as '{other}' (-n): its name is the word before `build`", guest.name);
        return Err(CliError::Refused(text));
    }
    Ok(())
}

fn age(days: Option<u32>) -> Duration {
    days.map_or(vserver_build::templates::AGE, |days| Duration::from_secs(u64::from(days) * 86_400))
}

/// The options of `.defaults/apps/build/options` and then `words`, so that those of the command line win.
fn with_defaults(words: &[OsString], host: &Host) -> Result<Vec<OsString>, CliError> {
    let mut all = Vec::new();
    if std::env::var_os("NO_DEFAULT_OPTS").is_none_or(|value| value.is_empty()) {
        all.extend(Defaults::new(&host.confdir).build_options()?.into_iter().map(OsString::from));
    }
    all.extend_from_slice(words);
    Ok(all)
}

/// Holds the guest whose tree is cloned where it is: whoever writes to shared files would write for both.
fn still(method: &Method, context: &Context) -> Result<Option<Flock>, CliError> {
    let Method::Clone(clone) = method else { return Ok(None) };
    let host = &context.host;
    let guests = vserver_config::list(&host.confdir)?.into_iter();
    let own = |name: &GuestName| host.confdir.join(name.as_str()).join("vdir").canonicalize().ok();
    let Some(name) = guests.into_iter().find(|name| own(name).as_ref() == Some(&clone.source)) else {
        return Ok(None);
    };
    let lock = host.lock(&name, PATIENCE)?;
    match vserver_runtime::status(host, &name)?.state {
        GuestState::Stopped => Ok(Some(lock)),
        state => Err(CliError::Refused(format!(
            "guest '{name}' cannot be cloned: it is {state}, and writes to its files; stop it with `vserver {name} stop`"
        ))),
    }
}

/// `--force` moves what is there aside, and nobody moves a running guest's tree.
pub(super) fn must_be_stopped(guest: &Guest, host: &Host) -> Result<(), CliError> {
    let name = &guest.name;
    match vserver_runtime::status(host, name) {
        Ok(status) if status.state != GuestState::Stopped => Err(CliError::Refused(format!(
            "guest '{name}' cannot be built anew: it is {}; stop it with `vserver {name} stop`",
            status.state
        ))),
        // No such guest, or one that cannot be read: there is nothing to stop.
        _ => Ok(()),
    }
}
