//! `chcontext`.

use std::ffi::OsString;

use clap::{ArgAction, Parser};

use super::Common;

/// Runs a command in a running context
#[derive(Parser, Debug)]
#[command(
    name = "chcontext",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- runs a command in a running context"),
    override_usage = "chcontext --xid XID [OPTIONS] [--] COMMAND [ARGUMENTS]",
    after_help = "Contexts 0 and 1 are the host: the command runs there as it is.\n\
                  When joining, --cap, --flag, --secure, --hostname, --domainname and --spaces change nothing.\n\
                  Example: chcontext --xid web1 uptime"
)]
pub struct ChcontextArgs {
    #[command(flatten)]
    pub common: Common,
    /// Number or name of the context
    #[arg(long, visible_alias = "ctx", value_name = "XID")]
    pub xid: Option<String>,
    /// No message
    #[arg(long)]
    pub silent: bool,
    /// For a new context
    #[arg(long, value_name = "[!]CAP", action = ArgAction::Append, hide = true)]
    pub cap: Vec<String>,
    /// For a new context
    #[arg(long, hide = true)]
    pub secure: bool,
    /// For a new context
    #[arg(long, value_name = "NAME", hide = true)]
    pub domainname: Option<String>,
    /// For a new context
    #[arg(long, value_name = "NAME", hide = true)]
    pub hostname: Option<String>,
    /// For a new context
    #[arg(long, value_name = "FLAG", action = ArgAction::Append, hide = true)]
    pub flag: Vec<String>,
    /// For a new context
    #[arg(long, value_name = "OPTIONS", hide = true)]
    pub spaces: Option<String>,
    /// Command and its arguments
    #[arg(trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
}
