//! `vserver-stat`.

use clap::Parser;

use super::Common;

/// Shows what each context uses
#[derive(Parser, Debug)]
#[command(
    name = "vserver-stat",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- shows what each context uses"),
    after_help = "Row 0 is the host without its guests. UPTIME is the age of the oldest process.\nExample: vserver-stat --json"
)]
pub struct VserverStatArgs {
    #[command(flatten)]
    pub common: Common,
    /// Accepted and ignored
    #[arg(short = 'O', long, value_name = "X")]
    pub sort: Option<String>,
    /// As JSON: sizes in bytes, times in milliseconds
    #[arg(long)]
    pub json: bool,
}
