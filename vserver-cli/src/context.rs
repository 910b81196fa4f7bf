//! Where a command works and how it speaks.

use std::path::PathBuf;

use vserver_runtime::Host;

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
    /// With this configuration root, else `VSERVER_CONFDIR`, else `/etc/vservers`.
    pub fn new(confdir: Option<PathBuf>, printer: Printer) -> Self {
        Self { host: Host::new(confdir), printer }
    }
}
