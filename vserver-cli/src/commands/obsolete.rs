//! Programs of util-vserver that have no place any more: each says what does its work now.

use std::ffi::OsString;

use vserver_types::Exit;

use crate::context::Context;
use crate::error::CliError;
use crate::manual;

/// Refuses, with the sentence of the manual.
pub fn run(_: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let tool = context.printer.tool();
    let about = manual::plain(tool).map_or("it does nothing any more", |plain| plain.about);
    Err(CliError::Refused(about.to_owned()))
}
