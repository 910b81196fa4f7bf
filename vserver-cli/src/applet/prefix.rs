//! The context tools: programs that do their work and then become the command that stands behind it.

use std::ffi::OsString;

use vserver_types::Exit;

use super::{Applet, context};
use crate::args::{
    self, ChbindArgs, ChcontextArgs, NaddressArgs, NattributeArgs, NcontextArgs, ReducecapArgs, VattributeArgs,
    VcontextArgs, VdevmapArgs, VmemctrlArgs, VnamespaceArgs, VspaceArgs, VtagArgs, VunameArgs,
};
use crate::commands;
use crate::error::CliError;
use crate::printer::Printer;

/// All of them. Source of the statuses: util-vserver, `commands.md` §5.
pub const APPLETS: [Applet; 15] = [
    Applet { name: "chcontext", failure: Exit::BeforeExec, run: chcontext },
    Applet { name: "chbind", failure: Exit::BeforeExec, run: chbind },
    Applet { name: "vcontext", failure: Exit::BeforeExec, run: vcontext },
    Applet { name: "ncontext", failure: Exit::BeforeExec, run: ncontext },
    Applet { name: "vattribute", failure: Exit::Failure, run: vattribute },
    Applet { name: "nattribute", failure: Exit::Failure, run: nattribute },
    Applet { name: "naddress", failure: Exit::BeforeExec, run: naddress },
    Applet { name: "vspace", failure: Exit::BeforeExec, run: vspace },
    Applet { name: "vnamespace", failure: Exit::BeforeExec, run: vnamespace },
    Applet { name: "vuname", failure: Exit::BeforeExec, run: vuname },
    Applet { name: "vmemctrl", failure: Exit::BeforeExec, run: vmemctrl },
    Applet { name: "vdevmap", failure: Exit::Failure, run: vdevmap },
    Applet { name: "vtag", failure: Exit::BeforeExec, run: vtag },
    Applet { name: "reducecap", failure: Exit::BeforeExec, run: reducecap },
    Applet { name: "capchroot", failure: Exit::Failure, run: |_, _| commands::obsolete_caps::capchroot() },
];

fn chcontext(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: ChcontextArgs = args::parse(&printer, words, Exit::BeforeExec)?;
    commands::chcontext::run(&args, &context(&args.common, printer.quiet(args.silent)))
}

fn chbind(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: ChbindArgs = args::parse(&printer, words, Exit::BeforeExec)?;
    commands::chbind::run(&args, &context(&args.common, printer.quiet(args.silent)))
}

fn vcontext(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VcontextArgs = args::parse(&printer, words, Exit::BeforeExec)?;
    commands::vcontext::run(&args, &context(&args.common, printer))
}

fn ncontext(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: NcontextArgs = args::parse(&printer, words, Exit::BeforeExec)?;
    commands::ncontext::run(&args, &context(&args.common, printer))
}

fn vattribute(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VattributeArgs = args::parse(&printer, &commands::vattribute::after_secure(words), Exit::BeforeExec)?;
    commands::vattribute::run(&args, &context(&args.common, printer))
}

fn nattribute(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: NattributeArgs = args::parse(&printer, &commands::vattribute::after_secure(words), Exit::BeforeExec)?;
    commands::nattribute::run(&args, &context(&args.common, printer))
}

fn naddress(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: NaddressArgs = args::parse(&printer, words, Exit::BeforeExec)?;
    commands::naddress::run(&args, &context(&args.common, printer))
}

fn vspace(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let (mask, rest) = commands::vspace::mask(words)?;
    let args: VspaceArgs = args::parse(&printer, &rest, Exit::BeforeExec)?;
    commands::vspace::run(&args, mask, &context(&args.common, printer))
}

/// `vspace --mount --fs`
fn vnamespace(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let both = ["--mount", "--fs"].map(OsString::from);
    let words: Vec<OsString> = both.into_iter().chain(words.iter().cloned()).collect();
    let (mask, rest) = commands::vspace::mask(&words)?;
    let VnamespaceArgs { all: args } = args::parse(&printer, &rest, Exit::BeforeExec)?;
    commands::vspace::run(&args, mask, &context(&args.common, printer))
}

fn vuname(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VunameArgs = args::parse(&printer, words, Exit::BeforeExec)?;
    commands::vuname::run(&args, &context(&args.common, printer))
}

fn vmemctrl(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VmemctrlArgs = args::parse(&printer, words, Exit::BeforeExec)?;
    commands::vmemctrl::run(&args, &context(&args.common, printer))
}

fn vdevmap(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VdevmapArgs = args::parse(&printer, words, Exit::Failure)?;
    commands::vdevmap::run(&args, &context(&args.common, printer))
}

fn vtag(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: VtagArgs = args::parse(&printer, words, Exit::BeforeExec)?;
    commands::obsolete_caps::vtag(&args)
}

fn reducecap(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    let args: ReducecapArgs = args::parse(&printer, words, Exit::BeforeExec)?;
    commands::obsolete_caps::reducecap(&args, &context(&args.common, printer))
}
