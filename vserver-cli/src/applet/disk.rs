//! Tags and attributes of files, and what guests may fill.

use std::ffi::OsString;

use vserver_types::Exit;

use super::{Applet, context};
use crate::args::{
    self, ChxidArgs, LsxidArgs, SecureMountArgs, SetattrArgs, ShowattrArgs, VdlimitArgs, VduArgs, VmountArgs,
};
use crate::commands;
use crate::context::Context;
use crate::error::CliError;
use crate::printer::Printer;

/// All of them. Source of the statuses: util-vserver, `commands.md` §7.
pub const APPLETS: [Applet; 9] = [
    Applet { name: "lsxid", failure: Exit::Failure, run: lsxid },
    Applet { name: "chxid", failure: Exit::Failure, run: chxid },
    Applet { name: "showattr", failure: Exit::Failure, run: showattr },
    Applet { name: "setattr", failure: Exit::Failure, run: setattr },
    Applet { name: "vdlimit", failure: Exit::Failure, run: vdlimit },
    Applet { name: "vdu", failure: Exit::Failure, run: vdu },
    Applet { name: "vmount", failure: Exit::Failure, run: vmount },
    Applet { name: "secure-mount", failure: Exit::Failure, run: secure_mount },
    Applet { name: "vrsetup", failure: Exit::Failure, run: |_, _| commands::vrsetup::run() },
];

fn lsxid(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: LsxidArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::lsxid::run(&args, &context(&args.common, printer))
}

fn chxid(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: ChxidArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::chxid::run(&args, &context(&args.common, printer))
}

fn showattr(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: ShowattrArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::showattr::run(&args, &context(&args.common, printer))
}

fn setattr(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let split = args::split_attributes(words).map_err(|fault| CliError::usage("setattr", &fault, Exit::Failure))?;
    let args: SetattrArgs = args::parse(&printer, &split.0, Exit::Failure)?;
    commands::setattr::run(&args, split.1, &context(&args.common, printer))
}

fn vdlimit(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VdlimitArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::vdlimit::run(&args, &context(&args.common, printer))
}

fn vdu(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VduArgs = args::parse(&printer, words, Exit::BeforeExec)?;
    commands::vdu::run(&args, &context(&args.common, printer))
}

fn vmount(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VmountArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::vmount::run(&args, &context(&args.common, printer))
}

fn secure_mount(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: SecureMountArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::secure_mount::run(&args, &Context::new(None, printer))
}
