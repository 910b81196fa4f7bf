//! `vspace` and `vnamespace`.

use std::ffi::OsString;

use clap::Parser;

use super::Common;

/// Runs a command in new namespaces, or in those of a context
#[derive(Parser, Debug)]
#[command(
    name = "vspace",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- runs a command in other namespaces"),
    override_usage = "vspace (--new | --enter XID | --set) [SPACES] [--] COMMAND [ARGUMENTS]",
    after_help = "SPACES, in order: --mount -M, --fs -F, --ipc -I, --uts -U, --user -S, --pid -P, --net -N, --cgroup, --time;\n\
                  --~SPACE takes one away; --default adds uts and ipc; -m, --mask NUMBER replaces all.\n\
                  `vnamespace` is vspace --mount --fs.\n\
                  A command in a guest's mounts is a program of the guest with the rights of the host's root. For a guest\n\
                  that you do not trust use `vserver NAME exec`.\n\
                  Examples: vspace --new --net --mount -- ip link\n          \
                  vnamespace -e web1 -- cat /proc/mounts"
)]
pub struct VspaceArgs {
    #[command(flatten)]
    pub common: Common,
    /// New namespaces
    #[arg(short, long)]
    pub new: bool,
    /// The namespaces of this context
    #[arg(short, long, value_name = "XID")]
    pub enter: Option<String>,
    /// Those that the caller has become its context's
    #[arg(short, long)]
    pub set: bool,
    /// Accepted: a context has one set of namespaces
    #[arg(short, long, value_name = "NUMBER", hide = true)]
    pub index: Option<u32>,
    /// Command and its arguments
    #[arg(trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
}

/// Runs a command in new mounts, or in those of a context
#[derive(Parser, Debug)]
#[command(
    name = "vnamespace",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- runs a command in other mounts"),
    override_usage = "vnamespace (--new | --enter XID | --set) [SPACES] [--] COMMAND [ARGUMENTS]",
    after_help = "The same as vspace --mount --fs; its help tells of SPACES and of the danger of a guest's programs.\n\
                  Example: vnamespace -e web1 -- cat /proc/mounts"
)]
pub struct VnamespaceArgs {
    #[command(flatten)]
    pub all: VspaceArgs,
}
