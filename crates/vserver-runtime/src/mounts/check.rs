//! fsck before anything is mounted.

use std::process::Command;

use vserver_config::GuestConfig;

use crate::error::{Error, Result};
use crate::interrupt::Interrupts;
use crate::scripts::run_command;

/// Checks the file systems of `fstab` that ask for it. Status 1, "errors corrected", is a success, as was meant.
pub fn check(config: &GuestConfig, interrupts: &Interrupts) -> Result<()> {
    if config.fstab.iter().all(|entry| entry.pass == 0 || entry.remote) {
        return Ok(());
    }
    let mut command = Command::new("fsck");
    command.args(["-s", "-n", "-A", "-T"]).env("FSTAB_FILE", config.dir.join("fstab"));
    let status = run_command(&mut command, Some(interrupts), &config.name)?;
    match status.code() {
        Some(0 | 1) => Ok(()),
        _ => Err(Error::Taken {
            name: config.name.clone(),
            what: format!("the check of its file systems failed: fsck ended with {status}"),
        }),
    }
}
