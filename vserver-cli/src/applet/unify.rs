//! What shares files between guests.

use std::ffi::OsString;

use vserver_types::Exit;

use super::{Applet, context};
use crate::args::{self, HashifyArgs};
use crate::commands;
use crate::error::CliError;
use crate::printer::Printer;

/// All of them. Source of the statuses: util-vserver, `commands.md` §8.
pub const APPLETS: [Applet; 1] = [Applet { name: "vhashify", failure: Exit::Failure, run: vhashify }];

fn vhashify(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: HashifyArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::unify::hashify(&args, &context(&args.common, printer))
}
