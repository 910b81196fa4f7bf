//! `vkill`.

use clap::Parser;

use super::Common;

/// Sends a signal to processes of a context
#[derive(Parser, Debug)]
#[command(
    name = "vkill",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- sends a signal to processes of a context"),
    after_help = "Process numbers are the host's, as vps shows them; with --xid, 1 is the guest's init, and no number at all\n\
                  means every process of the context.\nExample: vkill --xid web1 -s HUP 2345"
)]
pub struct VkillArgs {
    #[command(flatten)]
    pub common: Common,
    /// Number or name of a running context
    #[arg(short = 'c', long, value_name = "XID")]
    pub xid: Option<String>,
    /// Signal by number or name
    #[arg(short, value_name = "SIGNAL", default_value = "TERM")]
    pub signal: String,
    /// Process numbers
    #[arg(value_name = "PID")]
    pub pids: Vec<i32>,
}
