//! `vsched`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use super::Common;

/// Sets the CPU token bucket of a running context
#[derive(Parser, Debug)]
#[command(
    name = "vsched",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- sets the CPU token bucket of a running context"),
    override_usage = "vsched [--xid XID] [OPTIONS] [[--] COMMAND [ARGUMENTS]]",
    after_help = "What is not given is taken from the guest's configuration. fill-rate / interval is the share of each CPU;\n\
                  tokens-max is the depth of the bucket in ticks. --nice and --ionice are given to every process that runs,\n\
                  and pass on to its children. It holds until the guest stops.\n\
                  Example: vsched --xid web1 --fill-rate 25 --interval 100"
)]
pub struct VschedArgs {
    #[command(flatten)]
    pub common: Common,
    /// Number or name of a running context; without it the caller's own, which needs a COMMAND
    #[arg(long, visible_alias = "ctx", value_name = "XID")]
    pub xid: Option<String>,
    /// Tokens that come per interval
    #[arg(long, alias = "fill_rate", value_name = "N")]
    pub fill_rate: Option<u64>,
    /// Length of the interval in ticks
    #[arg(long, value_name = "N")]
    pub interval: Option<u64>,
    /// Content at the beginning (no effect on a running bucket)
    #[arg(long, value_name = "N")]
    pub tokens: Option<u64>,
    /// Content at which a held guest goes on
    #[arg(long, alias = "tokens_min", value_name = "N")]
    pub tokens_min: Option<u64>,
    /// Depth of the bucket in ticks
    #[arg(long, alias = "tokens_max", value_name = "N")]
    pub tokens_max: Option<u64>,
    /// Bias on the priority, -20 to 19
    #[arg(long, aliases = ["prio_bias", "priority-bias", "priority_bias"], value_name = "N", allow_hyphen_values = true)]
    pub prio_bias: Option<i64>,
    /// Fill rate while the host idles
    #[arg(long, value_name = "N")]
    pub fill_rate2: Option<u64>,
    /// Interval while the host idles
    #[arg(long, value_name = "N")]
    pub interval2: Option<u64>,
    /// Let idle CPU time be used
    #[arg(long, alias = "idle_time")]
    pub idle_time: bool,
    /// Only this CPU's bucket
    #[arg(long, alias = "cpu_id", value_name = "N")]
    pub cpu_id: Option<u32>,
    /// Accepted: there is one bucket
    #[arg(long, alias = "bucket_id", value_name = "N")]
    pub bucket_id: Option<u32>,
    /// Not done any more: use --cpu-id
    #[arg(long, alias = "cpu_mask", value_name = "MASK", hide = true)]
    pub cpu_mask: Option<String>,
    /// Set what the files of this directory say, as of the directory sched, unless it is given here
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// It is no fault if that directory is missing
    #[arg(long)]
    pub missingok: bool,
    /// Nice level of all processes, -20 to 19
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = clap::value_parser!(i32).range(-20..=19))]
    pub nice: Option<i32>,
    /// I/O priority of all processes: 1 real time, 2 best effort, 3 idle; a level of 0 to 7 after a colon
    #[arg(long, value_name = "CLASS[:LEVEL]")]
    pub ionice: Option<String>,
    /// Accepted and ignored: changes always take effect at once
    #[arg(long)]
    pub force: bool,
    /// Command to run afterwards
    #[arg(trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
}
