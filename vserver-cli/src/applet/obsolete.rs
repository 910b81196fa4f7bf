//! What util-vserver had and this project answers with a sentence only. Source: util-vserver, `commands.md` §5 and §12.

use std::ffi::OsString;

use vserver_types::Exit;

use super::Applet;
use crate::commands;
use crate::context::Context;
use crate::error::CliError;
use crate::printer::Printer;

const fn refusal(name: &'static str, failure: Exit) -> Applet {
    Applet { name, failure, run }
}

/// All of them.
pub const APPLETS: [Applet; 16] = [
    refusal("chbind-compat", Exit::BeforeExec),
    refusal("chcontext-compat", Exit::BeforeExec),
    refusal("vlogin", Exit::BeforeExec),
    refusal("rebootmgr", Exit::Failure),
    refusal("vreboot", Exit::Failure),
    refusal("vhalt", Exit::Failure),
    refusal("vserver-copy", Exit::Failure),
    refusal("vserverkillall", Exit::Failure),
    refusal("vservers-legacy", Exit::Failure),
    refusal("distrib-info", Exit::Failure),
    refusal("save_s_context", Exit::Failure),
    refusal("showperm", Exit::Failure),
    refusal("parserpmdump", Exit::Failure),
    refusal("listdevip", Exit::Failure),
    refusal("ifspec", Exit::Failure),
    refusal("rootshell", Exit::Failure),
];

fn run(words: &[OsString], printer: Printer) -> Result<Exit, CliError> {
    commands::obsolete::run(words, &Context::new(None, printer))
}
