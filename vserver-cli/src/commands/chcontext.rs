//! `chcontext`: a command in a running context.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command as Process;

use vserver_runtime::{Command, Host, User};
use vserver_types::Exit;

use crate::args::ChcontextArgs;
use crate::commands::exec::environment;
use crate::commands::vserver::{Guest, text};
use crate::context::Context;
use crate::error::CliError;
use crate::resolve::{self, Meant};

/// Joins the context and becomes the command, as far as that can be: for the host really, for a guest by passing everything on.
pub fn run(args: &ChcontextArgs, context: &Context) -> Result<Exit, CliError> {
    if args.command.is_empty() {
        return Err(CliError::usage("chcontext", "a command is needed", Exit::BeforeExec));
    }
    let Some(word) = &args.xid else {
        return Err(no_new_context("without --xid"));
    };
    match resolve::context_word(context, word)? {
        Meant::Host(_) => Err(become_command(&args.command)),
        Meant::Idle => Err(no_new_context(&format!("context '{word}' does not run"))),
        Meant::Guest(record) => {
            let argv = args.command.iter().map(text).collect::<Result<_, _>>()?;
            let command = Command { argv, env: environment(), user: User::Root };
            let guest = Guest {
                word: word.clone(),
                name: record.name,
                verbose: false,
                how: crate::commands::vserver::How::default(),
            };
            // A context is found by its number wherever it was configured.
            let host = Host { confdir: record.confdir, ..context.host.clone() };
            vserver_runtime::exec(&host, &guest.name, &command).map_err(|error| guest.failed(error, context))
        }
    }
}

/// Replaces this process. Comes back only with the reason why not.
pub fn become_command(words: &[OsString]) -> CliError {
    let Some((program, arguments)) = words.split_first() else {
        return CliError::Refused("there is no command".to_owned());
    };
    let error = Process::new(program).args(arguments).exec();
    CliError::Io { what: format!("cannot execute '{}'", program.to_string_lossy()), source: error }
}

fn no_new_context(why: &str) -> CliError {
    CliError::Refused(format!(
        "{why}: a new context outside of a guest cannot be made yet; use --xid with a running guest (see `vserver list`)"
    ))
}
