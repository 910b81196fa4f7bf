//! `chbind`, `ncontext`, `naddress`, `nattribute`: network contexts.

use std::ffi::OsString;

use clap::{ArgAction, Parser};

use super::Common;

/// Holds a command to addresses
#[derive(Parser, Debug)]
#[command(
    name = "chbind",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- holds a command to addresses"),
    override_usage = "chbind [OPTIONS] [--] COMMAND [ARGUMENTS]",
    after_help = "The command and all that it starts bind, use and hear only these addresses, whatever is configured. A network\n\
                  context that runs is joined; then the other options change nothing.\n\
                  Example: chbind --ip 127.0.0.5 /usr/sbin/sshd"
)]
pub struct ChbindArgs {
    #[command(flatten)]
    pub common: Common,
    /// Number of the network context; without it a new one gets a free number
    #[arg(long, value_name = "NID")]
    pub nid: Option<String>,
    #[command(flatten)]
    pub addresses: Addresses,
    /// Network capability, as in the file ncapabilities
    #[arg(long, value_name = "CAP", action = ArgAction::Append, allow_hyphen_values = true)]
    pub ncap: Vec<String>,
    /// Network flag, as in the file nflags
    #[arg(long, value_name = "FLAG", action = ArgAction::Append, allow_hyphen_values = true)]
    pub flag: Vec<String>,
    /// The capabilities of a guest: raw_icmp
    #[arg(long)]
    pub secure: bool,
    /// When joining: return as soon as the command has been executed
    #[arg(long)]
    pub disconnect: bool,
    /// No message
    #[arg(long)]
    pub silent: bool,
    /// Command and its arguments
    #[arg(trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
}

/// The options that name addresses; a device of this host stands for its primary address.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Addresses {
    /// Address, with or without length, or a device
    #[arg(long, value_name = "IP[/LEN]|DEV", action = ArgAction::Append)]
    pub ip: Vec<String>,
    /// Broadcast address, or a device
    #[arg(long, value_name = "IP|DEV")]
    pub bcast: Option<String>,
    /// What 127.0.0.1 really is, or a device
    #[arg(long, value_name = "IP|DEV")]
    pub lback: Option<String>,
}

/// Makes or joins a network context
#[derive(Parser, Debug)]
#[command(
    name = "ncontext",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- makes or joins a network context"),
    override_usage = "ncontext (--create [--nid NID] | --migrate --nid NID | --migrate-self) [OPTIONS] [--] COMMAND [ARGUMENTS]",
    after_help = "A new one has no address but its private loopback: naddress adds some.\n\
                  Example: ncontext --create -- naddress --add --ip 127.0.0.5 -- sshd"
)]
pub struct NcontextArgs {
    #[command(flatten)]
    pub common: Common,
    /// Make a new one
    #[arg(long, conflicts_with_all = ["migrate", "migrate_self"])]
    pub create: bool,
    /// Join that of --nid
    #[arg(long)]
    pub migrate: bool,
    /// Stay where one is
    #[arg(long)]
    pub migrate_self: bool,
    /// Number of the network context
    #[arg(long, value_name = "NID")]
    pub nid: Option<String>,
    #[command(flatten)]
    pub common_options: Joining,
    /// Command and its arguments
    #[arg(trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
}

/// How vcontext and ncontext speak and wait.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Joining {
    /// Return as soon as the command has been executed
    #[arg(long)]
    pub disconnect: bool,
    /// No message
    #[arg(long)]
    pub silent: bool,
    /// No message if it exists already
    #[arg(long)]
    pub silentexist: bool,
    /// Before the command: tell this unix socket, and wait until it is closed
    #[arg(long, value_name = "FILE")]
    pub syncsock: Option<std::path::PathBuf>,
    /// What is told
    #[arg(long, value_name = "TEXT", default_value = "ok")]
    pub syncmsg: String,
}

/// Changes the addresses of a running network context
#[derive(Parser, Debug)]
#[command(
    name = "naddress",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- changes the addresses of a network context"),
    override_usage = "naddress (--add|--remove|--set) [--nid NID] [OPTIONS] [--] [COMMAND [ARGUMENTS]]",
    after_help = "Holds at once for everything in the context, until it ends. The address is not put on a device: ip(8) does that.\n\
                  Example: naddress --add --nid web1 --ip 192.0.2.13"
)]
pub struct NaddressArgs {
    #[command(flatten)]
    pub common: Common,
    /// Add them
    #[arg(long)]
    pub add: bool,
    /// Take them away
    #[arg(long)]
    pub remove: bool,
    /// Take all away and add these
    #[arg(long)]
    pub set: bool,
    /// Number or name; without it the caller's own
    #[arg(long, value_name = "NID")]
    pub nid: Option<String>,
    #[command(flatten)]
    pub addresses: Addresses,
    /// A whole network
    #[arg(long, value_name = "IP/LEN|DEV", action = ArgAction::Append)]
    pub mask: Vec<String>,
    /// All addresses between two
    #[arg(long, value_name = "FIRST-LAST[/LEN]", action = ArgAction::Append)]
    pub range: Vec<String>,
    /// No message
    #[arg(long)]
    pub silent: bool,
    /// Command to run afterwards
    #[arg(trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
}

/// Shows or changes the capabilities and flags of a running network context
#[derive(Parser, Debug)]
#[command(
    name = "nattribute",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- shows or changes network capabilities and flags"),
    override_usage = "nattribute [--nid NID] [--get | --set] [OPTIONS] [--] [COMMAND [ARGUMENTS]]",
    after_help = "Changes hold at once, until the context ends.\nExample: nattribute --nid web1 --set --flag '~lback_remap'"
)]
pub struct NattributeArgs {
    #[command(flatten)]
    pub common: Common,
    /// Number or name; without it the caller's own
    #[arg(long, value_name = "NID")]
    pub nid: Option<String>,
    /// Show them
    #[arg(long, conflicts_with = "set")]
    pub get: bool,
    /// Change them (this is the default)
    #[arg(long)]
    pub set: bool,
    /// Network capabilities, as in the file ncapabilities
    #[arg(long, value_name = "LIST", action = ArgAction::Append, allow_hyphen_values = true)]
    pub ncap: Vec<String>,
    /// Network flags, as in the file nflags
    #[arg(long, value_name = "LIST", action = ArgAction::Append, allow_hyphen_values = true)]
    pub flag: Vec<String>,
    /// Those of a guest; resets what came before it on the command line
    #[arg(long)]
    pub secure: bool,
    /// How fast a guest sends, as in the file traffic/egress: AVERAGE [PEAK [BURST]], or none
    #[arg(long, value_name = "SHAPE")]
    pub egress: Option<String>,
    /// How fast it receives, as in the file traffic/ingress
    #[arg(long, value_name = "SHAPE")]
    pub ingress: Option<String>,
    /// Command to run afterwards
    #[arg(trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
}
