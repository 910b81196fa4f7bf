//! `exec`, `suexec`, `enter`.

use std::ffi::OsString;

use vserver_runtime::{Command, User};
use vserver_types::Exit;

use crate::commands::vserver::{Guest, text};
use crate::context::Context;
use crate::error::CliError;

/// Runs a command in the guest with our environment, standard input, output and error, and passes its status on.
pub fn run(words: &[OsString], guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    execute(words, User::Root, guest, context)
}

/// The same as the user that the first word names or numbers.
pub fn suexec(words: &[OsString], guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let (user, words) = words
        .split_first()
        .filter(|(_, command)| !command.is_empty())
        .ok_or_else(|| CliError::usage("vserver", "suexec needs a user and a command", Exit::Usage))?;
    let user = text(user)?;
    let user = user.parse().map_or(User::Name(user), User::Id);
    execute(words, user, guest, context)
}

/// A login shell on a terminal of the guest's own.
pub fn enter(guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    vserver_runtime::enter(&context.host, &guest.name).map_err(|error| guest.failed(error, context))
}

/// The environment of this process; what is not text is made so.
pub fn environment() -> Vec<(String, String)> {
    let text = |word: OsString| word.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

fn execute(words: &[OsString], user: User, guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let words = match words {
        [dashes, rest @ ..] if dashes == "--" => rest,
        all => all,
    };
    let argv = words.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    if argv.is_empty() {
        return Err(CliError::usage("vserver", "exec needs a command", Exit::Usage));
    }
    let command = Command { argv, env: environment(), user };
    vserver_runtime::exec(&context.host, &guest.name, &command).map_err(|error| guest.failed(error, context))
}
