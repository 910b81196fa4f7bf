//! What shares files between guests.

use std::ffi::OsString;

use vserver_types::Exit;

use super::{Applet, context};
use crate::args::{self, CloneTreeArgs, CopyTreeArgs, HashifyArgs, UnifyArgs};
use crate::commands;
use crate::error::CliError;
use crate::printer::Printer;

/// All of them. Source of the statuses: util-vserver, `commands.md` §8.
pub const APPLETS: [Applet; 4] = [
    Applet { name: "vhashify", failure: Exit::Failure, run: vhashify },
    Applet { name: "vunify", failure: Exit::Failure, run: vunify },
    Applet { name: "vcopy", failure: Exit::Failure, run: vcopy },
    Applet { name: "vclone", failure: Exit::Failure, run: vclone },
];

fn vhashify(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: HashifyArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::unify::hashify(&args, &context(&args.common, printer))
}

fn vunify(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: UnifyArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::vunify::run(&args, &context(&args.common, printer))
}

fn vclone(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: CloneTreeArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::vclone::run(&args, &context(&args.common, printer))
}

fn vcopy(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: CopyTreeArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::vcopy::run(&args, &context(&args.common, printer))
}
