//! `vmount` and `secure-mount`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser};

use super::Common;

/// What both mount, and how.
#[derive(Args, Clone, Debug, Default)]
pub struct Mounting {
    /// Options, separated by commas; nodev unless dev is said
    #[arg(short, value_name = "OPTIONS", action = ArgAction::Append)]
    pub options: Vec<String>,
    /// Type of the file system
    #[arg(short = 't', value_name = "TYPE")]
    pub fstype: Option<String>,
    /// Show a directory or file in a second place
    #[arg(long)]
    pub bind: bool,
    /// The same with all that is mounted below
    #[arg(long)]
    pub rbind: bool,
    /// Take a mount from its place
    #[arg(long = "move")]
    pub moved: bool,
    /// Write no line into /etc/mtab
    #[arg(short)]
    pub no_mtab: bool,
    /// Everything that the fstab has
    #[arg(short)]
    pub all: bool,
    /// Source and place
    #[arg(value_name = "SOURCE PLACE")]
    pub words: Vec<String>,
}

/// Mounts into running guests
#[derive(Parser, Debug)]
#[command(
    name = "vmount",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- mounts into running guests"),
    override_usage = "vmount GUEST... -- [-o OPTIONS] [-t TYPE] [--bind|--rbind|--move] [-n] SOURCE PLACE\n       vmount GUEST... -- -a",
    after_help = "SOURCE is a path of the host, or what the type of file system takes; PLACE is a path of the guest, and is made if it is\n\
                  missing. -a mounts what is in the guest's fstab and not mounted. The mount is the guest's alone: the host does not\n\
                  see it, and it ends with the guest; for every start write it into the guest's fstab.\n\
                  Example: vmount web1 web2 -- --bind -o ro /srv/pictures /srv/pictures"
)]
pub struct VmountArgs {
    #[command(flatten)]
    pub common: Common,
    /// Guests that run
    #[arg(value_name = "GUEST", required = true)]
    pub guests: Vec<String>,
    /// What to mount
    #[arg(last = true, value_name = "MOUNT", allow_hyphen_values = true)]
    pub rest: Vec<std::ffi::OsString>,
}

/// What stands after `--`
#[derive(Parser, Debug)]
#[command(name = "vmount", bin_name = "vmount GUEST... --", after_help = "Example: vmount web1 -- --bind /srv /srv")]
pub struct VmountRest {
    #[command(flatten)]
    pub mounting: Mounting,
}

/// Mounts in a directory that links cannot lead out of
#[derive(Parser, Debug)]
#[command(
    name = "secure-mount",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- mounts in a directory that links cannot lead out of"),
    override_usage = "secure-mount [OPTIONS] SOURCE PLACE\n       secure-mount [OPTIONS] -a",
    after_help = "With --chroot PLACE is below the working directory, and is made there if it is missing. The environment variable\n\
                  MOUNT names another program than mount for types that need one.\n\
                  Example: cd /vservers/web1 && secure-mount --chroot --bind /srv/pictures /srv/pictures"
)]
pub struct SecureMountArgs {
    #[command(flatten)]
    pub mounting: Mounting,
    /// PLACE is below the working directory
    #[arg(long)]
    pub chroot: bool,
    /// Accepted for old scripts: it is so always
    #[arg(long)]
    pub secure: bool,
    /// Another file than /etc/mtab
    #[arg(long, value_name = "FILE")]
    pub mtab: Option<PathBuf>,
    /// Another file than /etc/fstab
    #[arg(long, value_name = "FILE")]
    pub fstab: Option<PathBuf>,
    /// Whether -a mounts the entry for /
    #[arg(long, value_name = "yes|no|only", value_parser = ["yes", "no", "only"], default_value = "yes")]
    pub rootfs: String,
    /// Look into PLACE afterwards, so that an automounter acts
    #[arg(long)]
    pub trigger_automount: bool,
}
