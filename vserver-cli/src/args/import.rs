//! `vserver NAME import` and `vserver NAME export`.

use std::path::PathBuf;

use clap::Parser;

use super::NewGuestArgs;

const SOURCES: &str = "\
SOURCE is
  FILE or -       a tar archive (plain, gz, xz, bz2, zst), - for standard input
  FILE            the image of a disk (qcow2, vmdk, vhdx, vdi, raw): its root partition
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
    /// Keep what a failed import has made
    #[arg(long)]
    pub keep: bool,
    /// Show what rsync says
    #[arg(long)]
    pub debug: bool,
    #[command(flatten)]
    pub guest: NewGuestArgs,
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
