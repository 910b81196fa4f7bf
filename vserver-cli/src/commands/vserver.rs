//! `vserver`: finds the guest and the verb, and hands over.

use std::ffi::OsString;

use vserver_types::{Exit, GuestName};

use crate::args::{
    self, CheckArgs, ConfigArgs, CopyArgs, DoctorArgs, DoctorSubject, ExportArgs, FlattenArgs, ImportArgs, ListArgs,
    NoArgs, PkgArgs, PlanArgs, RenameArgs, SnapshotArgs, StartArgs, StatusArgs, StopArgs, VserverArgs,
};
use crate::commands::tool::Tool;
use crate::commands::{
    after_exit, build, check, config, copy, delete, doctor, exec, export, flatten, import, list, pkg, pkgmgmt, plan,
    rename, several, snapshot, start, status, stop, unify, vunify,
};
use crate::context::Context;
use crate::error::CliError;
use crate::printer::Printer;
use crate::resolve;

/// The verbs, as the usage line shows them.
pub const VERBS: [&str; 30] = [
    "start",
    "stop",
    "suexec",
    "restart",
    "condrestart",
    "exec",
    "enter",
    "running",
    "status",
    "delete",
    "build",
    "list",
    "plan",
    "check",
    "config",
    "rename",
    "copy",
    "import",
    "export",
    "unify",
    "hashify",
    "flatten",
    "snapshot",
    "chkconfig",
    "pkg",
    "pkgmgmt",
    "apt-get",
    "apt-config",
    "apt-cache",
    "rpm",
];

/// The original's answer to every kind of entering, word for word.
const NOT_RUNNING: &str = "'vserver ... suexec' is supported for running vservers only; aborting...";

/// A guest of a command line.
#[derive(Debug)]
pub struct Guest {
    /// As it was written: messages repeat it.
    pub word: String,
    /// What it means.
    pub name: GuestName,
    /// `--verbose`
    pub verbose: bool,
    /// The options before its name that start and stop heed.
    pub how: How,
}

/// Options of the command line that go before a guest's name.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// `--sync`
    pub sync: bool,
    /// `--defaulttty`
    pub default_tty: bool,
    /// `--debug`
    pub debug: bool,
    /// `--debug-sysv`
    pub debug_sysv: bool,
}

impl Guest {
    /// An error of the runtime in the words and with the status that scripts know.
    pub fn failed(&self, error: vserver_runtime::Error, context: &Context) -> CliError {
        use vserver_runtime::Error;
        match error {
            Error::Config(vserver_config::Error::NoSuchGuest { nearest, .. }) => {
                resolve::no_such_guest(&context.host.confdir, &self.name, nearest.as_deref())
            }
            Error::NotRunning { .. } => match vserver_config::read(&context.host.confdir, &self.name) {
                Err(missing @ vserver_config::Error::NoSuchGuest { .. }) => self.failed(missing.into(), context),
                _ => CliError::known(NOT_RUNNING, Exit::Failure),
            },
            Error::Exec { report } => CliError::known(report, Exit::BeforeExec),
            error => error.into(),
        }
    }
}

/// Runs `vserver`.
pub fn run(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VserverArgs = args::parse(&printer, internal(words)?, Exit::Usage)?;
    let printer = printer.quiet(args.silent);
    if let Some((selection, words)) = several::meant(&args) {
        let verb = words.first().map(text).transpose()?.ok_or_else(usage)?;
        if !VERBS.contains(&verb.as_str()) || verb == "list" {
            return Err(usage());
        }
        let context = Context::new(args.confdir.clone(), printer);
        return several::run(selection, words, &args, args.json, &context);
    }
    let second = args.words.get(1).and_then(|word| word.to_str());
    match args.words.split_first() {
        None => Err(usage()),
        Some((word, rest)) if word == "list" && !second.is_some_and(|verb| VERBS.contains(&verb)) => {
            let own: ListArgs = args::parse(&printer, rest, Exit::Usage)?;
            let context = Context::new(own.confdir.clone().or(args.confdir), printer);
            list::run(args.json || own.json, &context)
        }
        Some((word, rest)) if word == "doctor" && !second.is_some_and(|verb| VERBS.contains(&verb)) => {
            let own: DoctorArgs = args::parse(&printer, rest, Exit::Usage)?;
            let DoctorSubject::Network = own.subject;
            let context = Context::new(own.confdir.clone().or(args.confdir), printer);
            doctor::network(args.json || own.json, &context)
        }
        Some((word, rest)) => {
            let word = text(word)?;
            let (root, name) = resolve::guest_word(&word)?;
            let context = Context::new(root.or_else(|| args.confdir.clone()), printer);
            let (verb, rest) = rest.split_first().ok_or_else(usage)?;
            let name = if verb == "build" || verb == "import" { name } else { by_number(name, &context)? };
            let how =
                How { sync: args.sync, default_tty: args.defaulttty, debug: args.debug, debug_sysv: args.debug_sysv };
            let guest = Guest { word, name, verbose: args.verbose, how };
            dispatch(&text(verb)?, rest, &guest, &args, &context)
        }
    }
}

/// Takes the two options off that scripts of the original gave to itself. Source: util-vserver, `commands.md` §3.
fn internal(words: &[OsString]) -> Result<&[OsString], CliError> {
    match words {
        [word, rest @ ..] if word == "----nonamespace" => internal(rest),
        [word, ..] if word == "----insecure" => {
            let text = "----insecure made a context for a command in a stopped guest; `vserver NAME start --rescue COMMAND` runs one";
            Err(CliError::Refused(text.to_owned()))
        }
        _ => Ok(words),
    }
}

/// A number that no guest is called by means the guest that runs as this context.
fn by_number(name: GuestName, context: &Context) -> Result<GuestName, CliError> {
    let number = name.as_str().parse::<u32>().ok();
    let Some(number) = number.filter(|_| !context.host.confdir.join(name.as_str()).exists()) else {
        return Ok(name);
    };
    let mut running = vserver_runtime::running(&context.host)?.into_iter();
    let found = running.find(|record| record.xid.0 == number && record.confdir == context.host.confdir);
    Ok(found.map_or(name, |record| record.name))
}

fn dispatch(
    verb: &str,
    rest: &[OsString],
    guest: &Guest,
    args: &VserverArgs,
    context: &Context,
) -> Result<Exit, CliError> {
    let printer = &context.printer;
    let nothing = || args::parse::<NoArgs>(printer, rest, Exit::Usage).map(|NoArgs {}| ());
    match verb {
        "build" => build::run(rest, guest, context),
        "start" if args.strace => start::traced(guest),
        "start" => start::run(&args::parse::<StartArgs>(printer, rest, Exit::Failure)?, guest, context),
        "stop" => stop::run(&args::parse::<StopArgs>(printer, rest, Exit::Failure)?, guest, context),
        "restart" => nothing().and_then(|()| start::restart(guest, context)),
        "condrestart" => nothing().and_then(|()| start::condrestart(guest, context)),
        "running" => nothing().and_then(|()| status::running(guest, context)),
        "status" => {
            let own: StatusArgs = args::parse(printer, rest, Exit::Usage)?;
            status::run(args.json || own.json, guest, context)
        }
        "enter" => nothing().and_then(|()| exec::enter(guest, context)),
        "exec" => exec::run(rest, guest, context),
        "suexec" => exec::suexec(rest, guest, context),
        "apt-get" | "apt-config" | "apt-cache" | "rpm" | "chkconfig" => package_tool(verb, rest, guest, context),
        "package-tool" => match rest.split_first() {
            Some((tool, rest)) => package_tool(&text(tool)?, rest, guest, context),
            None => Err(usage()),
        },
        "delete" => nothing().and_then(|()| delete::run(guest, context)),
        "pkg" => pkg::run(&args::parse::<PkgArgs>(printer, rest, Exit::Failure)?.words, guest, context),
        "pkgmgmt" => pkgmgmt::run(&args::parse(printer, rest, Exit::Failure)?, guest, context),
        "plan" => {
            args::parse::<PlanArgs>(printer, rest, Exit::Usage).and_then(|PlanArgs {}| plan::run(guest, context))
        }
        "check" => {
            let own: CheckArgs = args::parse(printer, rest, Exit::Usage)?;
            check::run(&own, args.json || own.json, guest, context)
        }
        "config" => config::run(&args::parse::<ConfigArgs>(printer, rest, Exit::Usage)?, guest, context),
        "rename" => rename::run(&args::parse::<RenameArgs>(printer, rest, Exit::Usage)?, guest, context),
        "copy" => copy::run(&args::parse::<CopyArgs>(printer, rest, Exit::Usage)?, guest, context),
        "import" => import::run(&args::parse::<ImportArgs>(printer, rest, Exit::Failure)?, guest, context),
        "export" => export::run(&args::parse::<ExportArgs>(printer, rest, Exit::Failure)?, guest, context),
        "unify" => is_there(guest, context).and_then(|()| vunify::of_guest(rest, guest, context)),
        "hashify" => is_there(guest, context).and_then(|()| unify::of_guest(rest, guest, context)),
        "flatten" => args::parse::<FlattenArgs>(printer, rest, Exit::Usage)
            .and_then(|FlattenArgs {}| is_there(guest, context))
            .and_then(|()| flatten::run(guest, context)),
        "snapshot" => {
            let own: SnapshotArgs = args::parse(printer, rest, Exit::Usage)?;
            snapshot::run(&own, args.json, guest, context)
        }
        "after-exit" => after_exit::run(rest, guest, context),
        _ => Err(usage()),
    }
}

/// That there is no such guest is said first, in the words and with the status that scripts know.
fn is_there(guest: &Guest, context: &Context) -> Result<(), CliError> {
    vserver_runtime::status(&context.host, &guest.name).map(drop).map_err(|error| guest.failed(error, context))
}

fn package_tool(word: &str, rest: &[OsString], guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let (tool, arguments) = Tool::named(word, rest);
    tool.run(arguments, guest, context)
}

/// A word of the command line as text.
pub fn text(word: &OsString) -> Result<String, CliError> {
    word.to_str().map(str::to_owned).ok_or_else(|| {
        CliError::Refused(format!(
            "the argument '{}' is not UTF-8 text; rename it or quote it",
            word.to_string_lossy()
        ))
    })
}

fn usage() -> CliError {
    let called = std::env::args_os().next().unwrap_or_else(|| "vserver".into());
    let verbs = VERBS.join("|");
    let line = format!("Usage: {} <vserver> {{{verbs}}}", called.to_string_lossy());
    CliError::known(format!("{line}\nTry 'vserver --help' for more information."), Exit::Usage)
}
