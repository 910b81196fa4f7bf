//! What `build` and `import` are both told of the guest that they make.

use std::path::PathBuf;

use clap::{ArgAction, Args};

/// Options of a new guest's configuration and of the place of its tree.
#[derive(Args, Clone, Debug, Default)]
pub struct NewGuestArgs {
    /// Move an existing tree and configuration to PATH.~<seconds>~
    #[arg(long)]
    pub force: bool,
    /// Password of root, in the first line of FILE: plain, or a hash that begins with $
    #[arg(long, value_name = "FILE")]
    pub root_password_file: Option<PathBuf>,
    /// Public ssh key that may log in as root
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Option<PathBuf>,
    /// Directory for the tree instead of .defaults/vdirbase
    #[arg(long, value_name = "DIR")]
    pub rootdir: Option<PathBuf>,
    /// A disk of its own of this size (512M, 20G), an image beside the tree
    #[arg(long, value_name = "SIZE", conflicts_with = "space")]
    pub disk: Option<String>,
    /// What the tree may take of the file system that it shares with others
    #[arg(long, value_name = "SIZE")]
    pub space: Option<String>,
    /// How many files there may be, on its disk or of the shared file system
    #[arg(long, value_name = "N")]
    pub inodes: Option<u64>,
    /// Context number, 2 to 49151; without it the next free one
    #[arg(long, value_name = "N")]
    pub context: Option<String>,
    /// Host name inside; an import without it keeps the machine's
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Device of all addresses that name none
    #[arg(long, value_name = "DEV")]
    pub netdev: Option<String>,
    /// Network mask of all addresses that have none
    #[arg(long, value_name = "MASK", conflicts_with = "netprefix")]
    pub netmask: Option<String>,
    /// Prefix length of all addresses that have none
    #[arg(long, value_name = "LENGTH")]
    pub netprefix: Option<String>,
    /// Broadcast address
    #[arg(long, value_name = "ADDRESS")]
    pub netbcast: Option<String>,
    /// [NAME=][DEV:|nodev:]IP[/MASK|/PREFIX]; once per address
    #[arg(long, value_name = "ADDRESS", action = ArgAction::Append)]
    pub interface: Vec<String>,
    /// Context flags, separated by commas
    #[arg(long, value_name = "LIST", action = ArgAction::Append)]
    pub flags: Vec<String>,
    /// Init style: plain, sysv, …; without it chosen by the tree
    #[arg(long, value_name = "STYLE")]
    pub initstyle: Option<String>,
    /// User namespace: auto (the default) or off
    #[arg(long, value_name = "WHEN", value_parser = ["auto", "off"])]
    pub userns: Option<String>,
}
