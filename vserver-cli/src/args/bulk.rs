//! Several guests at once: `vserver --all …`, `start-vservers`, `stop-vservers`.

use std::num::NonZeroUsize;

use clap::{Args, Parser};

use super::Common;

/// How `vserver` chooses several guests.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Several guests at once (or a NAME with *, ? or [...])")]
pub struct BulkArgs {
    /// All guests; disabled ones are not started
    #[arg(long)]
    pub all: bool,
    /// All guests with this line in apps/init/mark
    #[arg(long, value_name = "MARK")]
    pub mark: Option<String>,
    /// How many at once; as many as suits this host if not given
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// Seconds that each guest may take; one that does not stop is then killed, 0: as long as it wants [default: 600]
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
}

const EXAMPLES: &str = "\
Selected are the named guests, and those that pass all given filters. A guest starts after those in its
apps/init/depends, which are started too, and stops before them.
Exit status: 0 nothing to do or all well, 1 none succeeded, 2 some failed.

Examples:
  start-vservers -m default -j 6 --all --start
  start-vservers -j 1 --all --stop";

/// Starts or stops many guests in the order of their dependencies
#[derive(Parser, Debug)]
#[command(
    name = "start-vservers",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- starts or stops many guests in the order of their dependencies"),
    after_help = EXAMPLES
)]
pub struct StartVserversArgs {
    #[command(flatten)]
    pub common: Common,
    /// Only guests with this line in apps/init/mark
    #[arg(short, long, value_name = "MARK")]
    pub mark: Option<String>,
    /// How many at once
    #[arg(short, value_name = "N", default_value = "99")]
    pub jobs: NonZeroUsize,
    /// Start them
    #[arg(long, overrides_with = "stop")]
    pub start: bool,
    /// Stop them
    #[arg(long)]
    pub stop: bool,
    /// All guests
    #[arg(long)]
    pub all: bool,
    /// Only guests with some mark
    #[arg(long)]
    pub marked: bool,
    /// Only guests without any mark
    #[arg(long)]
    pub unmarked: bool,
    /// Only guests that run
    #[arg(long)]
    pub running: bool,
    /// Only guests that do not run
    #[arg(long)]
    pub stopped: bool,
    /// Seconds that each guest may take, 0: as long as it wants
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    pub timeout: u32,
    /// Accepted for old scripts
    #[arg(long)]
    pub debug: bool,
    /// Accepted for old scripts
    #[arg(short, hide = true)]
    pub c: bool,
    /// Guests
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}
