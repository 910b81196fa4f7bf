//! `start`, `restart`, `condrestart`.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use vserver_runtime::{Rescue, StartOptions, Started};
use vserver_types::{Exit, GuestState};

use crate::args::{StartArgs, StopArgs};
use crate::commands::stop;
use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Starts the guest; that it runs already is worth a warning and no failure.
pub fn run(args: &StartArgs, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let options = StartOptions {
        strict: args.strict,
        rescue: rescue(args)?,
        default_tty: guest.how.default_tty,
        sync: guest.how.sync,
        trace: guest.how.debug,
        trace_sysv: guest.how.debug_sysv,
        errand: None,
    };
    match vserver_runtime::start(&context.host, &guest.name, &options)
        .map_err(|error| guest.failed(error, context))?
    {
        Started::AlreadyRunning { .. } => {
            context.printer.warn(format_args!("vserver '{}' already running", guest.word));
        }
        Started::Now { unenforced, warnings, details, noisy, .. } => {
            for warning in warnings {
                context.printer.note(warning);
            }
            for item in unenforced {
                context.printer.note(format_args!("{}: {item}", guest.name));
            }
            for line in details.iter().filter(|_| guest.verbose || noisy) {
                context.printer.status(line)?;
            }
        }
    }
    Ok(Exit::Success)
}

/// `--rescue [COMMAND …]`; `--rescue-cmd` is one word.
fn rescue(args: &StartArgs) -> Result<Option<Rescue>, CliError> {
    let words: Vec<String> = args.command.iter().map(text).collect::<Result<_, _>>()?;
    let wanted = args.rescue || args.rescue_init || args.rescue_cmd.is_some();
    if let Some(word) = words.first().filter(|_| !wanted) {
        let option = format!("unexpected argument '{word}' found");
        let fault = if word.starts_with('-') { &option } else { "a command needs --rescue before it" };
        return Err(CliError::usage("vserver NAME start", fault, Exit::Failure));
    }
    let command = args.rescue_cmd.iter().cloned().chain(words).collect();
    Ok(wanted.then_some(Rescue::Command { command, init: args.rescue_init }))
}

fn text(word: &OsString) -> Result<String, CliError> {
    crate::commands::vserver::text(word)
}

/// `--strace`: the same command line below strace(1), which lets go of every process that executes another program: the
/// guest's own programs are not traced, and strace ends with the start.
pub fn traced(guest: &Guest) -> Result<Exit, CliError> {
    let own = std::env::current_exe().map_err(CliError::io("cannot find its own program"))?;
    let path = format!("/tmp/vserver-start.{}", std::process::id());
    // Made here and now, and nothing that was put there before: /tmp is everybody's.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    made.map_err(CliError::io(format!("cannot make the trace file '{path}'")))?;
    let words = std::env::args_os().skip(1).filter(|word| word != "--strace");
    let mut command = Command::new("strace");
    command.args(["-f", "--detach-on=execve", "-o", &path, "--"]).arg(own).args(words);
    let what = format!("cannot trace the start of guest '{}' with strace", guest.name);
    Err(CliError::io(what)(command.exec()))
}

/// Stops it, then starts it.
pub fn restart(guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    stop::run(&StopArgs::default(), guest, context)?;
    run(&StartArgs::default(), guest, context)
}

/// Restarts it if it runs.
pub fn condrestart(guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let status = vserver_runtime::status(&context.host, &guest.name).map_err(|error| guest.failed(error, context))?;
    if status.state == GuestState::Running { restart(guest, context) } else { Ok(Exit::Success) }
}
