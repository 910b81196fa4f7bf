//! `vuname`, `vmemctrl`, `vdevmap`, `vtag`, `reducecap`, `capchroot`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Parser};

use super::Common;

/// Shows or changes the names of a running context
#[derive(Parser, Debug)]
#[command(
    name = "vuname",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- shows or changes the names of a context"),
    override_usage = "vuname [--get] --xid XID [TAG…] | vuname --set --xid XID -t TAG=VALUE… [COMMAND [ARGUMENTS]]",
    after_help = "TAG is context, sysname, nodename, release, version, machine or domainname, or the beginning of one; context is\n\
                  the guest's configuration directory. Only nodename and domainname can be changed.\n\
                  Example: vuname --xid 40012 context"
)]
pub struct VunameArgs {
    #[command(flatten)]
    pub common: Common,
    /// Show them (this is the default)
    #[arg(short, long, conflicts_with = "set")]
    pub get: bool,
    /// Change them
    #[arg(short, long)]
    pub set: bool,
    /// Number or name of a running context
    #[arg(long, value_name = "XID")]
    pub xid: Option<String>,
    /// What to change
    #[arg(short, long = "tag", value_name = "TAG=VALUE", action = ArgAction::Append)]
    pub tag: Vec<String>,
    /// Change to what the files of this directory say, as of the directory uts
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// It is no fault if that directory is missing
    #[arg(long)]
    pub missingok: bool,
    /// Tags to show; or a command to run afterwards
    #[arg(trailing_var_arg = true, hide = true)]
    pub words: Vec<OsString>,
}

/// Shows or changes how readily the processes of a context are killed when memory is short
#[derive(Parser, Debug)]
#[command(
    name = "vmemctrl",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- bias of the OOM killer"),
    override_usage = "vmemctrl (--get | --set --badness N) [--xid XID] [--] [COMMAND [ARGUMENTS]]",
    after_help = "From -1000 (never) to 1000 (first); numbers beyond are taken as the nearest of these.\n\
                  Example: vmemctrl --set --xid web1 --badness 500"
)]
pub struct VmemctrlArgs {
    #[command(flatten)]
    pub common: Common,
    /// Show it
    #[arg(long, conflicts_with = "set")]
    pub get: bool,
    /// Change it
    #[arg(long)]
    pub set: bool,
    /// Number or name; without it the caller's own
    #[arg(long, value_name = "XID")]
    pub xid: Option<String>,
    /// The bias
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub badness: Option<i64>,
    /// Command to run afterwards
    #[arg(trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
}

/// Lets a running guest open a device, or not any more
#[derive(Parser, Debug)]
#[command(
    name = "vdevmap",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- devices of a context"),
    override_usage = "vdevmap --xid XID (--set | --unset) --device DEVICE [--open] [--create]",
    after_help = "Holds until the guest stops; for every start: apps/vdevmap/, which makes the node, too. The device's node must be in the guest's tree,\n\
                  and be usable there: behind a user namespace nodes of a file system are not.\n\
                  Example: vdevmap --xid web1 --set --open --device /dev/fuse"
)]
pub struct VdevmapArgs {
    #[command(flatten)]
    pub common: Common,
    /// Number or name of a running guest
    #[arg(long, value_name = "XID")]
    pub xid: String,
    /// Allow it
    #[arg(long, conflicts_with = "unset")]
    pub set: bool,
    /// Take it away
    #[arg(long)]
    pub unset: bool,
    /// As a number: 1 create, 2 open
    #[arg(long, value_name = "N")]
    pub flags: Option<u32>,
    /// Reading and writing
    #[arg(long)]
    pub open: bool,
    /// mknod(2)
    #[arg(long)]
    pub create: bool,
    /// Its node on the host
    #[arg(long, value_name = "PATH")]
    pub device: Option<PathBuf>,
    /// Cannot be done by this kernel
    #[arg(long, hide = true)]
    pub remap: bool,
    /// Cannot be done by this kernel
    #[arg(long, value_name = "PATH", hide = true)]
    pub target: Option<PathBuf>,
}

/// Runs a command; processes have no tag
#[derive(Parser, Debug)]
#[command(
    name = "vtag",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- tags of processes"),
    override_usage = "vtag (--create | --migrate) --tag TAG [--silent] [--] COMMAND [ARGUMENTS]",
    after_help = "A file gets its tag, the project id, from the directory that it is made in (see chxid). With --silent the command\n\
                  runs nevertheless.\nExample: vtag --migrate --tag 40012 --silent -- tar xf web.tar"
)]
pub struct VtagArgs {
    #[command(flatten)]
    pub common: Common,
    /// A new one
    #[arg(long, conflicts_with = "migrate")]
    pub create: bool,
    /// One that is there
    #[arg(long)]
    pub migrate: bool,
    /// Its number, or a guest's name
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// No message, and no failure
    #[arg(long)]
    pub silent: bool,
    /// No message if it exists already
    #[arg(long)]
    pub silentexist: bool,
    /// Command and its arguments
    #[arg(trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
}

/// Shows the capabilities of a process
#[derive(Parser, Debug)]
#[command(
    name = "reducecap",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- capabilities of a process"),
    override_usage = "reducecap --show [--pid PID]",
    after_help = "To take capabilities away: chcontext --cap '!CAP' -- COMMAND\nExample: reducecap --show --pid 1"
)]
pub struct ReducecapArgs {
    #[command(flatten)]
    pub common: Common,
    /// Show the capabilities
    #[arg(long)]
    pub show: bool,
    /// Of this process in place of the caller
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Not done any more
    #[arg(long, hide = true)]
    pub secure: bool,
    /// Not done any more
    #[arg(long, hide = true, action = ArgAction::Append, allow_hyphen_values = true)]
    pub flag: Vec<String>,
    /// Not done any more
    #[arg(long, hide = true, action = ArgAction::Append, allow_hyphen_values = true)]
    pub cap: Vec<String>,
    /// Not done any more
    #[arg(trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
}
