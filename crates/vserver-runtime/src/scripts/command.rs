//! Programs of the host.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::Command;

use vserver_types::GuestName;

use super::child::{self, Ended};
use crate::error::{Error, Result};
use crate::interrupt::Interrupts;

/// Standard input, output and error; a regular file takes output only.
pub(super) fn redirect(command: &mut Command, tty: &Path) -> std::io::Result<()> {
    let (input, output) = match tty.is_file() {
        true => (File::open("/dev/null")?, OpenOptions::new().append(true).open(tty)?),
        false => (File::open(tty)?, OpenOptions::new().write(true).open(tty)?),
    };
    command.stdin(input).stdout(output.try_clone()?).stderr(output);
    Ok(())
}

/// Runs a command of the host and waits for it.
pub(crate) fn run_command(
    command: &mut Command,
    interrupts: Option<&Interrupts>,
    name: &GuestName,
) -> Result<std::process::ExitStatus> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let cannot = |error| Error::layer(format!("run {shown}"), name)(error);
    let mut child = vserver_sys::command::independent(command).spawn().map_err(cannot)?;
    match child::wait(&mut child, interrupts, None).map_err(cannot)? {
        Some(Ended::Status(status)) => Ok(status),
        Some(Ended::TooLong) => Err(cannot(std::io::ErrorKind::TimedOut.into())),
        Some(Ended::Interrupted) | None => Err(Error::Interrupted { name: name.clone() }),
    }
}
