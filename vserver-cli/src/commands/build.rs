//! `build`.
use crate::args::{self, BuildArgs};
use crate::commands::vserver::Guest;
use crate::context::Context;
use crate::error::CliError;
use std::ffi::OsString;
use vserver_types::Exit;
mod wish;
pub fn run(words: &[OsString], guest: &Guest, context: &Context) -> Result<Exit, CliError> {
    let args: BuildArgs = args::parse(&context.printer, words, Exit::Failure)?;
    let root = wish::root_of(args.confdir.as_deref().unwrap(), &guest.name)?;
    let _ = wish::new_guest(&args, &guest.name, &context.host)?;
    let _ = root;
    Ok(Exit::Success)
}
