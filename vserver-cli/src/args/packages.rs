//! The tools that run one command for several guests, one guest after the other.

use std::ffi::OsString;

use clap::Parser;

use super::Common;

const EXAMPLES: &str = "\
Filters are intersected; they never mean guests that are disabled or have no tree. A guest must run, except for
vsomething, which runs its COMMAND on the host with the guest's name as first argument.
Exit status: that of the last guest, 255 if there was none.

Examples:
  vapt-get --running -- update
  vrpm web1 web2 -- -qa
  vsomething vserver --mark default -- exec uptime";

/// Runs a command for several guests, one after the other
#[derive(Parser, Debug)]
#[command(
    name = "vsomething",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- runs a command for several guests, one after the other"),
    after_help = EXAMPLES
)]
pub struct LoopArgs {
    #[command(flatten)]
    pub common: Common,
    /// Nothing but the output of the command
    #[arg(short, long)]
    pub quiet: bool,
    /// Accepted for old scripts
    #[arg(long)]
    pub debug: bool,
    /// All guests
    #[arg(long)]
    pub all: bool,
    /// Guests that run
    #[arg(long)]
    pub running: bool,
    /// Guests that do not run
    #[arg(long)]
    pub stopped: bool,
    /// Guests with some mark
    #[arg(long)]
    pub marked: bool,
    /// Guests without any mark
    #[arg(long)]
    pub unmarked: bool,
    /// Guests with one of the marks A,B; !A or ~A: without
    #[arg(long, value_name = "A,B")]
    pub mark: Vec<String>,
    /// Guests; first the command, for vsomething and vurpm
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// What the command gets
    #[arg(last = true, value_name = "ARGUMENT")]
    pub parameters: Vec<OsString>,
}

impl LoopArgs {
    /// Whether guests are chosen by what they are and not by name.
    pub fn filters(&self) -> bool {
        self.all || self.running || self.stopped || self.marked || self.unmarked || !self.mark.is_empty()
    }
}

/// Installs packages in a running guest with its own tools, or lists its configuration files
#[derive(Parser, Debug)]
#[command(
    name = "pkg",
    bin_name = "vserver NAME pkg",
    after_help = "Exit status: that of the guest's tool; 1 if this cannot be done, 2 if the kind of distribution is not known.\n\
                  Example: vserver web1 pkg install -- -y nginx"
)]
pub struct PkgArgs {
    /// install, or get-conffiles
    #[arg(value_name = "ACTION")]
    pub action: String,
    /// Packages, and after -- options for the tool
    #[arg(value_name = "PACKAGE")]
    pub packages: Vec<OsString>,
}

/// Installs packages in a running guest with its own tools, or lists its configuration files
#[derive(Parser, Debug)]
#[command(
    name = "vpkg",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- installs packages in a guest"),
    after_help = "The same as `vserver NAME pkg`.\nExample: vpkg web1 get-conffiles"
)]
pub struct VpkgArgs {
    #[command(flatten)]
    pub common: Common,
    /// The guest
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub pkg: PkgArgs,
}

/// Tells or changes who manages the packages of a stopped guest: its own tools, or the host's
#[derive(Parser, Debug)]
#[command(
    name = "pkgmgmt",
    bin_name = "vserver NAME pkgmgmt",
    after_help = "Management from the host is not done any more, so externalize is always refused.\n\
                  Exit status of is-internal: 0 if it is, 1 if not; of the others: 2 if it was not done.\n\n\
                  Example: vserver web1 pkgmgmt is-internal || vserver web1 pkgmgmt internalize"
)]
pub struct PkgmgmtArgs {
    /// internalize, externalize, or is-internal
    #[arg(value_name = "ACTION", value_parser = ["internalize", "externalize", "is-internal"])]
    pub action: String,
    /// Accepted for old scripts: nothing is asked
    #[arg(short = 'y')]
    pub yes: bool,
    /// Internalize also if the host still has package data of the guest
    #[arg(long)]
    pub force: bool,
}
