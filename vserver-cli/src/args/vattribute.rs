//! `vattribute` and `vcontext`.

use std::ffi::OsString;

use clap::{ArgAction, Parser};

use super::Common;
use super::chbind::Joining;

/// Shows or changes the capabilities and flags of a running context
#[derive(Parser, Debug)]
#[command(
    name = "vattribute",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- shows or changes capabilities and flags"),
    override_usage = "vattribute [--xid XID] [--get | --set] [OPTIONS] [--] [COMMAND [ARGUMENTS]]",
    after_help = "Of a guest that runs these change at once: sched_pause, sched_hard, private, raw_icmp. What else is asked for\n\
                  needs a restart, and is said.\nExample: vattribute --xid web1 --set --flag sched_pause"
)]
pub struct VattributeArgs {
    #[command(flatten)]
    pub common: Common,
    /// Number or name; without it the caller's own
    #[arg(long, value_name = "XID")]
    pub xid: Option<String>,
    /// Show them
    #[arg(long, conflicts_with = "set")]
    pub get: bool,
    /// Change them (this is the default)
    #[arg(long)]
    pub set: bool,
    /// Capabilities, as in the file bcapabilities
    #[arg(long, value_name = "LIST", action = ArgAction::Append, allow_hyphen_values = true)]
    pub bcap: Vec<String>,
    /// Context capabilities, as in the file ccapabilities
    #[arg(long, value_name = "LIST", action = ArgAction::Append, allow_hyphen_values = true)]
    pub ccap: Vec<String>,
    /// Context flags, as in the file cflags
    #[arg(long, value_name = "LIST", action = ArgAction::Append, allow_hyphen_values = true)]
    pub flag: Vec<String>,
    /// Namespaces that may be made, as in the file umask
    #[arg(long, value_name = "LIST", action = ArgAction::Append, allow_hyphen_values = true)]
    pub umask: Vec<String>,
    /// Those of a guest; resets what came before it on the command line
    #[arg(long)]
    pub secure: bool,
    /// Command to run afterwards
    #[arg(trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
}

/// Makes or joins a context
#[derive(Parser, Debug)]
#[command(
    name = "vcontext",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- makes or joins a context"),
    override_usage = "vcontext (--create [--xid XID] | --migrate --xid XID | --migrate-self) [OPTIONS] [--] COMMAND [ARGUMENTS]",
    after_help = "A command that is to join a guest is run by the guest's supervisor, with pipes in place of our descriptors.\n\
                  Example: vcontext --create -- vattribute --set --bcap '~SYS_MODULE' -- /bin/sh"
)]
pub struct VcontextArgs {
    #[command(flatten)]
    pub common: Common,
    /// Make a new one
    #[arg(long, conflicts_with_all = ["migrate", "migrate_self"])]
    pub create: bool,
    /// Join that of --xid
    #[arg(long)]
    pub migrate: bool,
    /// Stay where one is
    #[arg(long)]
    pub migrate_self: bool,
    /// Number or name of the context
    #[arg(long, visible_alias = "ctx", value_name = "XID")]
    pub xid: Option<String>,
    /// Make the current directory the root
    #[arg(long)]
    pub chroot: bool,
    /// Run as this user, by number (in a guest by name, too)
    #[arg(long, value_name = "UID")]
    pub uid: Option<String>,
    /// Execution domain, as in the first line of the file personality
    #[arg(long, value_name = "TYPE")]
    pub personality_type: Option<String>,
    /// Its flags
    #[arg(long, value_name = "FLAGS")]
    pub personality_flags: Option<String>,
    /// Close what is open above standard error
    #[arg(long)]
    pub closefd: bool,
    #[command(flatten)]
    pub common_options: Joining,
    /// Accepted: a guest's root is always reached by pivoting
    #[arg(long, hide = true)]
    pub pivot_root: bool,
    /// Accepted: a context has one set of mounts
    #[arg(long, hide = true)]
    pub namespace: bool,
    /// Accepted: the first process of a PID namespace is its init
    #[arg(long, alias = "fakeinit", hide = true)]
    pub initpid: bool,
    /// Accepted: set-up ends by itself
    #[arg(long, hide = true)]
    pub endsetup: bool,
    /// Accepted: `vserver NAME enter` has a terminal of the guest
    #[arg(long, hide = true)]
    pub vlogin: bool,
    /// Command and its arguments
    #[arg(trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
}
