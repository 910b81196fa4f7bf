//! What shows contexts and what acts on one that runs.

use std::ffi::OsString;

use vserver_types::Exit;

use super::{Applet, context};
use crate::args::{self, VinfoArgs, VkillArgs, VlimitArgs, VpsArgs, VschedArgs, VserverStatArgs, VwaitArgs};
use crate::commands;
use crate::context::Context;
use crate::error::CliError;
use crate::printer::Printer;

/// All of them. Source of the statuses: util-vserver, `commands.md` §1, §5 and §6.
pub const APPLETS: [Applet; 9] = [
    Applet { name: "vserver-stat", failure: Exit::Failure, run: vserver_stat },
    Applet { name: "vserver-info", failure: Exit::Failure, run: vserver_info },
    Applet { name: "vps", failure: Exit::Command(254), run: vps },
    Applet { name: "vtop", failure: Exit::BeforeExec, run: vtop },
    Applet { name: "vpstree", failure: Exit::BeforeExec, run: vpstree },
    Applet { name: "vkill", failure: Exit::Failure, run: vkill },
    Applet { name: "vlimit", failure: Exit::BeforeExec, run: vlimit },
    Applet { name: "vsched", failure: Exit::BeforeExec, run: vsched },
    Applet { name: "vwait", failure: Exit::Failure, run: vwait },
];

fn vserver_stat(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VserverStatArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::vserver_stat::run(&args, &context(&args.common, printer))
}

fn vps(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args = VpsArgs::read(&printer, words)?;
    commands::vps::run(&args, &context(&args.common, printer))
}

fn vkill(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VkillArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::vkill::run(&args, &context(&args.common, printer))
}

fn vlimit(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let split = VlimitArgs::split(words).map_err(|fault| CliError::usage("vlimit", &fault, Exit::BeforeExec))?;
    let args: VlimitArgs = args::parse(&printer, &split.0, Exit::BeforeExec)?;
    commands::vlimit::run(&args, &split.1, &context(&args.common, printer))
}

fn vsched(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VschedArgs = args::parse(&printer, words, Exit::BeforeExec)?;
    commands::vsched::run(&args, &context(&args.common, printer))
}

fn vserver_info(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VinfoArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::vserver_info::run(&args, &context(&args.common, printer))
}

/// `chcontext --ctx 1 top` of the original: this host's programs see all contexts already.
fn vtop(words: &[OsString], _: Printer) -> Result<Exit, CliError> {
    Err(commands::chcontext::become_command(&with("top", words)))
}

fn vpstree(words: &[OsString], _: Printer) -> Result<Exit, CliError> {
    Err(commands::chcontext::become_command(&with("pstree", words)))
}

fn with(program: &str, words: &[OsString]) -> Vec<OsString> {
    std::iter::once(program.into()).chain(words.iter().cloned()).collect()
}

fn vwait(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VwaitArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::vwait::run(&args, &Context::new(args.common.confdir.clone(), printer))
}
