//! `chcontext`.

use std::ffi::OsString;

use clap::{ArgAction, Parser};

use super::Common;

/// Runs a command in a new or a running context
#[derive(Parser, Debug)]
#[command(
    name = "chcontext",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- runs a command in a new or a running context"),
    override_usage = "chcontext [OPTIONS] [--] COMMAND [ARGUMENTS]",
    after_help = "Contexts 0 and 1 are the host: the command runs there as it is. A context that runs is joined; then --cap,\n\
                  --flag, --secure, --hostname, --domainname and --spaces change nothing. A new one has its own mounts,\n\
                  names and IPC, and ends with its last process.\n\
                  Examples: chcontext --xid web1 uptime\n          \
                  chcontext --secure --hostname build chbind --ip 127.0.0.5 make"
)]
pub struct ChcontextArgs {
    #[command(flatten)]
    pub common: Common,
    /// Number or name of the context; without it a new one gets a free number
    #[arg(long, visible_alias = "ctx", value_name = "XID")]
    pub xid: Option<String>,
    /// No message
    #[arg(long)]
    pub silent: bool,
    /// Return as soon as the command has been executed
    #[arg(long)]
    pub disconnect: bool,
    /// Capability to add (with --secure) or, with !, to take away
    #[arg(long, value_name = "[!]CAP", action = ArgAction::Append, allow_hyphen_values = true)]
    pub cap: Vec<String>,
    /// Only the capabilities of a guest
    #[arg(long)]
    pub secure: bool,
    /// NIS domain name inside
    #[arg(long, value_name = "NAME")]
    pub domainname: Option<String>,
    /// Host name inside
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Context flag, as in the file cflags
    #[arg(long, value_name = "FLAG", action = ArgAction::Append)]
    pub flag: Vec<String>,
    /// Options of vspace in place of the default namespaces, as in "--mount --uts"
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    pub spaces: Option<String>,
    /// Command and its arguments
    #[arg(trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
}
