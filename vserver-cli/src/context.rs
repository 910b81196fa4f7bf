//! Where a command works and how it speaks.

use std::path::PathBuf;

use nix::unistd::{SysconfVar, sysconf};
use vserver_runtime::Host;

use crate::commands::rename;
use crate::printer::Printer;

/// Handed to every command.
#[derive(Debug)]
pub struct Context {
    /// The directories.
    pub host: Host,
    /// The words.
    pub printer: Printer,
}

impl Context {
    /// With this configuration root, where no rename is half done any more, else `VSERVER_CONFDIR`, else `/etc/vservers`.
    pub fn new(confdir: Option<PathBuf>, printer: Printer) -> Self {
        let host = Host::new(confdir);
        rename::recover(&host, &printer);
        Self { host, printer }
    }
}

/// How many CPUs this host has on line: what a fill rate "of each CPU" is multiplied by.
pub fn cpus() -> u32 {
    sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten().and_then(|count| u32::try_from(count).ok()).unwrap_or(1)
}
