//! `build`.

mod wish;

use std::ffi::OsString;

use vserver_config::Defaults;
use vserver_types::Exit;

use crate::args::{self, BuildArgs};
use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;

/// Makes the guest that the options describe.
pub fn run(words: &[OsString], guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let defaults = Defaults::new(&context.host.confdir);
    let mut all: Vec<OsString> = Vec::new();
    if std::env::var_os("NO_DEFAULT_OPTS").is_none_or(|value| value.is_empty()) {
        all.extend(defaults.build_options()?.into_iter().map(OsString::from));
    }
    all.extend_from_slice(words);
    let args: BuildArgs = args::parse(&context.printer, &all, Exit::Failure)?;
    let mut host = context.host.clone();
    if let Some(dir) = &args.confdir {
        host.confdir = wish::root_of(dir, &guest.name)?;
    }
    let Some(method) = &args.method else {
        return Err(CliError::known("No build-method specified", Exit::Failure));
    };
    let (_, notes) = wish::new_guest(&args, &guest.name, &host)?;
    for note in notes {
        context.printer.note(note);
    }
    Err(CliError::known(
        format!("Unknown build-method '{method}'"),
        Exit::Failure,
    ))
}
