//! `vwait`.

use clap::Parser;

use super::Common;

/// Waits until a context ends
#[derive(Parser, Debug)]
#[command(
    name = "vwait",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- waits until a context ends"),
    override_usage = "vwait [OPTIONS] [--] XID",
    after_help = "Exit status: 0 it ended, 1 it was killed after the time, 2 the time is over, 127 an error.\n\
                  Example: vwait --timeout 60 web1"
)]
pub struct VwaitArgs {
    #[command(flatten)]
    pub common: Common,
    /// Seconds to wait; forever if not given
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Kill the context when the time is over
    #[arg(long)]
    pub terminate: bool,
    /// Write the outcome as a line to this descriptor
    #[arg(long, value_name = "FD")]
    pub status_fd: Option<i32>,
    /// Number or name of a running context
    #[arg(value_name = "XID")]
    pub xid: Vec<String>,
}
