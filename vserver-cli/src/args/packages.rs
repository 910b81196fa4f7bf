//! The tools that run one command for several guests, one guest after the other.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Command, Parser};

use super::Common;

const RULES: &str = "\
Filters are intersected; they never mean guests that are disabled or have no tree.
Exit status: that of the last guest, 255 if there was none.";
const TOOL: &str = "\
A guest that does not run gets a context for the tool, with all that holds the guest, which ends with the tool.";

/// One of the tools, what it does, and how it is called.
macro_rules! tool {
    ($name:literal, $does:literal, $example:literal) => {
        ($name, $does, concat!(env!("CARGO_PKG_VERSION"), " -- ", $does), $example)
    };
}

const TOOLS: [(&str, &str, &str, &str); 9] = [
    tool!(
        "vapt-get",
        "runs apt-get (or $APT_GET) for several guests, one after the other",
        "vapt-get --running -- update && vapt-get --running -- -y upgrade"
    ),
    tool!("vrpm", "runs rpm for several guests, one after the other", "vrpm web1 web2 -- -qa"),
    tool!("vyum", "runs dnf, or yum, for several guests, one after the other", "vyum --all -- -y update"),
    tool!(
        "vurpm",
        "runs a program of urpmi for several guests, one after the other",
        "vurpm urpmi.update web1 web2 -- -a"
    ),
    tool!("vemerge", "runs emerge for several guests, one after the other", "vemerge web1 -- --pretend nginx"),
    tool!(
        "vupdateworld",
        "updates all packages of several Gentoo guests, one after the other",
        "vupdateworld --running -- --ask=n"
    ),
    tool!(
        "vesync",
        "renews the package metadata of several Gentoo guests, and before that an overlay",
        "vesync --all --overlay /srv/overlay --overlay-host rsync://overlay.example.org/main"
    ),
    tool!(
        "vdispatch-conf",
        "runs dispatch-conf for several Gentoo guests, one after the other",
        "vdispatch-conf --running"
    ),
    tool!(
        "vsomething",
        "runs a COMMAND of the host for several guests, whose names it gets, one after the other",
        "vsomething vserver --mark default -- exec uptime"
    ),
];

/// The definition `command` as `tool` shows it.
pub fn loop_command(command: Command, tool: &str) -> Command {
    let Some((_, does, version, example)) = TOOLS.into_iter().find(|(name, ..)| *name == tool) else {
        return command;
    };
    let rules = if tool == "vsomething" { RULES.to_owned() } else { format!("{TOOL}\n{RULES}") };
    let about = does.chars().take(1).flat_map(char::to_uppercase).chain(does.chars().skip(1)).collect::<String>();
    command.about(about).version(version).after_help(format!("{rules}\n\nExample:\n  {example}"))
}

/// Runs a command for several guests, one after the other
#[derive(Parser, Debug)]
#[command(name = "vsomething", version)]
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

/// Renews the package metadata of several Gentoo guests
#[derive(Parser, Debug)]
#[command(name = "vesync", version)]
pub struct VesyncArgs {
    #[command(flatten)]
    pub each: LoopArgs,
    /// Directory of the host with an overlay that guests mount: fetched by rsync before the guests' turn
    #[arg(long, value_name = "DIR", requires = "overlay_host")]
    pub overlay: Option<PathBuf>,
    /// Where the overlay is fetched from, as rsync understands it
    #[arg(long, value_name = "SOURCE", requires = "overlay")]
    pub overlay_host: Option<String>,
    /// Nothing but the overlay
    #[arg(long, requires = "overlay")]
    pub overlay_only: bool,
}

/// Installs packages in a guest, or lists its configuration files
#[derive(Parser, Debug)]
#[command(
    name = "pkg",
    bin_name = "vserver NAME pkg",
    after_help = "Exit status: that of the guest's tool; 1 if this cannot be done, 2 if the kind of distribution is not known.\n\
                  Example: vserver web1 pkg install -- -y nginx"
)]
pub struct PkgArgs {
    #[command(flatten)]
    pub words: PkgWords,
}

/// What `pkg` and `vpkg` are told.
#[derive(Args, Debug)]
pub struct PkgWords {
    /// install, or get-conffiles
    #[arg(value_name = "ACTION")]
    pub action: String,
    /// Packages, and after -- options for the tool
    #[arg(value_name = "PACKAGE")]
    pub packages: Vec<OsString>,
}

/// Installs packages in a guest, or lists its configuration files
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
    pub words: PkgWords,
}

/// Changes who manages the packages of several stopped guests
#[derive(Parser, Debug)]
#[command(
    name = "pkgmgmt",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- changes who manages the packages of guests"),
    after_help = "The same as `vserver NAME pkgmgmt` for each of them.\n\
                  Exit status: 0 if all was done, 1 if not for some, 2 if for none.\n\n\
                  Example: pkgmgmt --externalize -- web1 web2",
    group = ArgGroup::new("direction").required(true)
)]
pub struct PkgmgmtToolArgs {
    #[command(flatten)]
    pub common: Common,
    /// The host's tools from now on
    #[arg(long, group = "direction")]
    pub externalize: bool,
    /// The guests' own tools
    #[arg(long, group = "direction")]
    pub internalize: bool,
    /// Accepted for old scripts: nothing is asked
    #[arg(short = 'y')]
    pub yes: bool,
    /// internalize: keep the guest's database if there are two; externalize: put aside what the host has already
    #[arg(long)]
    pub force: bool,
    /// The guests
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
}

/// Tells or changes who manages the packages of a stopped guest: its own tools, or the host's
#[derive(Parser, Debug)]
#[command(
    name = "pkgmgmt",
    bin_name = "vserver NAME pkgmgmt",
    after_help = "externalize moves the database of rpm, and the settings of rpm, dnf or apt, to the host; internalize moves the\n\
                  database back. The guest must be stopped.\n\
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
    /// internalize: keep the guest's database if there are two; externalize: put aside what the host has already
    #[arg(long)]
    pub force: bool,
}
