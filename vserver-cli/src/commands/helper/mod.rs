//! The small programs of `lib/util-vserver`, which scripts of administrators call.

pub mod chroot_sh;
pub mod exec;
pub mod files;
pub mod h2ext;
pub mod keep_alive;
pub mod lockfile;
pub mod runlevel;
pub mod service;
pub mod sysctl;
pub mod tunctl;
pub mod ulimit;

use std::ffi::OsString;
use std::io;

use vserver_types::Exit;

use crate::context::Context;
use crate::error::CliError;
use crate::manual::plain;

/// The words without a `--` in front.
fn operands(words: &[OsString]) -> &[OsString] {
    match words {
        [dashes, rest @ ..] if dashes == "--" => rest,
        _ => words,
    }
}

/// The command line has other words than the program takes.
fn wrong(context: &Context, exit: Exit) -> CliError {
    let tool = context.printer.tool();
    let takes = plain(tool).map_or("other arguments", |text| text.usage);
    CliError::usage(tool, &format!("these arguments do not fit; it takes {takes}"), exit)
}

/// Makes the working directory the root: from now on no link leads out of it.
fn chroot_here() -> Result<(), CliError> {
    let failed = |errno: nix::errno::Errno| CliError::io("cannot make the working directory the root")(errno.into());
    nix::unistd::chroot(".").map_err(failed)
}

fn failed(what: &str, path: &OsString) -> impl FnOnce(io::Error) -> CliError {
    CliError::io(format!("cannot {what} '{}'", path.to_string_lossy()))
}
