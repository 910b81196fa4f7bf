//! `vrsetup`: only an answer.

use vserver_types::Exit;

use crate::error::CliError;

/// Refuses. Source: util-vserver, `commands.md` §7.
pub fn run() -> Result<Exit, CliError> {
    Err(CliError::Refused(
        "vroot devices need a kernel module that no kernel has any more; quotas are set on the host: write dlimits/ into the \
         guest's configuration, or use vdlimit"
            .to_owned(),
    ))
}
