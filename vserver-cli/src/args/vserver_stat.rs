//! `vserver-stat`.

use clap::Parser;

use super::Common;

/// Shows what each context uses
#[derive(Parser, Debug)]
#[command(
    name = "vserver-stat",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- shows what each context uses"),
    after_help = "Row 0 is the host without its guests. UPTIME is the age of the oldest process.\nWith --net: what guests exchange with others, as IP packets.\nWith --disk: all guests; SHARED is what others have, too, as files or blocks.\nExample: vserver-stat --json"
)]
pub struct VserverStatArgs {
    #[command(flatten)]
    pub common: Common,
    /// Accepted and ignored
    #[arg(short = 'O', long, value_name = "X")]
    pub sort: Option<String>,
    /// Shows what each guest has sent and received over all of its runs
    #[arg(long, conflicts_with = "disk")]
    pub net: bool,
    /// Shows what each guest takes of the disk for itself, and together with others
    #[arg(long)]
    pub disk: bool,
    /// As JSON: sizes in bytes, times in milliseconds
    #[arg(long)]
    pub json: bool,
    /// It takes none
    #[arg(hide = true, value_name = "NAME")]
    pub words: Vec<String>,
}
