//! `vprocunhide`: kept for init scripts and units that call it. Source: util-vserver, `commands.md` §10.

use vserver_types::Exit;

use crate::args::VprocunhideArgs;
use crate::context::Context;
use crate::error::CliError;

const WHY: &str =
    "nothing to do: each guest has a /proc of its own, in which what must not be seen is masked at its start";

/// Succeeds and says why nothing is done; a list of one's own is named, for it has no effect.
pub fn run(_args: &VprocunhideArgs, context: &Context) -> Result<Exit, CliError> {
    context.printer.note(WHY);
    let files = context.host.confdir.join(".defaults/apps/vprocunhide/files");
    if files.exists() {
        context.printer.note(format_args!("{} is not read", files.display()));
    }
    Ok(Exit::Success)
}
