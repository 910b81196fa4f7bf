//! `vserver NAME import` and `vserver NAME export`.

use std::path::PathBuf;

use clap::{ArgAction, Parser};

const SOURCES: &str = "\
SOURCE is
  FILE or -       a tar archive (plain, gz, xz, bz2, zst), - for standard input
  DIRECTORY       a mounted tree, with what is mounted below it
  ssh://[USER@]HOST[:PORT][/PATH]
                  a machine that runs, by rsync; with --again only what has changed since
Owners, modes, times, hard links, holes, extended attributes, ACLs and capabilities of files are kept.

Examples:
  ssh root@old tar -C / --one-file-system --numeric-owner --xattrs --acls --sparse -c . | vserver web1 import -
  vserver web1 import --dry-run ssh://root@old/
  vserver web1 import --context 40012 --interface eth0:192.0.2.12/24 ssh://root@old/";

/// Makes a guest of another machine, after a report of what is left out, rewritten, and what cannot work
#[derive(Parser, Debug)]
#[command(name = "import", bin_name = "vserver NAME import", after_help = SOURCES)]
pub struct ImportArgs {
    /// Print the report and make nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// The report as JSON
    #[arg(long)]
    pub json: bool,
    /// Fetch what has changed into the guest of that name, which does not run (ssh:// only)
    #[arg(long)]
    pub again: bool,
    /// The directory of the source that is the root
    #[arg(long, value_name = "DIRECTORY")]
    pub below: Option<PathBuf>,
    /// It is the tree of a guest (see export): nothing is left out or rewritten
    #[arg(long)]
    pub as_is: bool,
    /// Keep machine-id and ssh host keys: it is the same server, moved
    #[arg(long)]
    pub keep_identity: bool,
    /// Import it although it is this host
    #[arg(long)]
    pub this_host: bool,
    /// Password of root, in the first line of FILE: plain, or a hash that begins with $
    #[arg(long, value_name = "FILE")]
    pub root_password_file: Option<PathBuf>,
    /// Public ssh key that may log in as root
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Option<PathBuf>,
    /// Move an existing tree and configuration to PATH.~<seconds>~
    #[arg(long)]
    pub force: bool,
    /// Keep what a failed import has made
    #[arg(long)]
    pub keep: bool,
    /// Show what rsync says
    #[arg(long)]
    pub debug: bool,
    /// Directory for the tree instead of .defaults/vdirbase
    #[arg(long, value_name = "DIR")]
    pub rootdir: Option<PathBuf>,
    /// A disk of its own
    #[arg(long, value_name = "SIZE")]
    pub disk: Option<String>,
    /// Space that it may take of the file system that it shares with others
    #[arg(long, value_name = "SIZE")]
    pub space: Option<String>,
    /// How many files there may be, on its disk or of the shared file system
    #[arg(long, value_name = "N")]
    pub inodes: Option<u64>,
    /// Context number, 2 to 49151; without it the next free one
    #[arg(long, value_name = "N")]
    pub context: Option<String>,
    /// Host name inside; without it the machine's
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Device of all addresses that name none
    #[arg(long, value_name = "DEV")]
    pub netdev: Option<String>,
    /// Prefix length of all addresses that have none
    #[arg(long, value_name = "LENGTH")]
    pub netprefix: Option<String>,
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
    /// What is imported
    #[arg(value_name = "SOURCE")]
    pub source: String,
}

/// Packs the guest's tree into an archive that `import --as-is` makes the same tree of
#[derive(Parser, Debug)]
#[command(
    name = "export",
    bin_name = "vserver NAME export",
    after_help = "The archive is in POSIX pax format, which GNU tar reads, too; the same tree gives the same bytes.\n\
                  Examples: vserver web1 export web1.tar.zst\n          vserver web1 export - | ssh other vserver web1 import --as-is -"
)]
pub struct ExportArgs {
    /// The archive, compressed as its name ends (.gz, .xz, .bz2, .zst); - for standard output
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}
