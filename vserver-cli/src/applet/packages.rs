//! One command for several guests.

use std::ffi::OsString;

use clap::CommandFactory;
use vserver_types::Exit;

use super::{Applet, context};
use crate::args::{self, LoopArgs, PkgmgmtToolArgs, VesyncArgs, VpkgArgs};
use crate::commands;
use crate::error::CliError;
use crate::printer::Printer;

/// All of them. Source: util-vserver, `commands.md` §9.
pub const APPLETS: [Applet; 11] = [
    Applet { name: "vapt-get", failure: Exit::BeforeExec, run },
    Applet { name: "vrpm", failure: Exit::BeforeExec, run },
    Applet { name: "vyum", failure: Exit::BeforeExec, run },
    Applet { name: "vurpm", failure: Exit::BeforeExec, run },
    Applet { name: "vemerge", failure: Exit::BeforeExec, run },
    Applet { name: "vupdateworld", failure: Exit::BeforeExec, run },
    Applet { name: "vesync", failure: Exit::BeforeExec, run: vesync },
    Applet { name: "vdispatch-conf", failure: Exit::BeforeExec, run },
    Applet { name: "vsomething", failure: Exit::BeforeExec, run },
    Applet { name: "vpkg", failure: Exit::Failure, run: vpkg },
    Applet { name: "pkgmgmt", failure: Exit::Failure, run: pkgmgmt },
];

fn run(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let command = args::loop_command(LoopArgs::command(), printer.tool());
    let args: LoopArgs = args::parse_as(command, &printer, words, Exit::BeforeExec)?;
    commands::packages::run(&args, &context(&args.common, printer))
}

fn vesync(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let command = args::loop_command(VesyncArgs::command(), printer.tool());
    let args: VesyncArgs = args::parse_as(command, &printer, words, Exit::BeforeExec)?;
    let context = context(&args.each.common, printer);
    commands::packages::vesync(&args, &context)
}

fn pkgmgmt(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: PkgmgmtToolArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::pkgmgmt::several(&args, printer)
}

fn vpkg(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VpkgArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::pkg::vpkg(&args, printer)
}
