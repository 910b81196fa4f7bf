//! `vdlimit` and `vdu`.

use std::path::PathBuf;

use clap::{ArgAction, Parser};

use super::Common;

/// Shows and sets what a guest may use of a file system
#[derive(Parser, Debug)]
#[command(
    name = "vdlimit",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- shows and sets what a guest may use of a file system"),
    override_usage = "vdlimit --xid XID [--set LIMIT=VALUE]… DIR…\n       vdlimit --xid XID --remove DIR…",
    after_help = "LIMIT: space_total and space_used in KiB, inodes_total, inodes_used, reserved in percent. VALUE: a number in C\n\
                  notation, -1 for no limit. What is used is counted by the kernel: a given value is only compared.\n\
                  For a guest with a disk of its own (disk/image) DIR is its root directory, and a larger space_total makes\n\
                  it grow. Example: vdlimit --xid web1 --set space_total=4194304 --set inodes_total=200000 /vservers"
)]
pub struct VdlimitArgs {
    #[command(flatten)]
    pub common: Common,
    /// Number of a context or name of a guest
    #[arg(short = 'x', long, value_name = "XID")]
    pub xid: Option<String>,
    /// Accepted for old scripts
    #[arg(short, long, value_name = "FLAGS")]
    pub flags: Option<String>,
    /// A limit, each once
    #[arg(short, long, value_name = "LIMIT=VALUE", action = ArgAction::Append)]
    pub set: Vec<String>,
    /// Take all limits away
    #[arg(short = 'd', long)]
    pub remove: bool,
    /// Directories of file systems
    #[arg(value_name = "DIR")]
    pub directories: Vec<PathBuf>,
}

/// Counts what a guest's files use
#[derive(Parser, Debug)]
#[command(
    name = "vdu",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- counts what a guest's files use"),
    override_usage = "vdu --xid XID [--space] [--inodes] [--blocksize BYTES] [--script] DIR…\n       vdu --shares [--blocksize BYTES] [--script] DIR…",
    after_help = "One line for each DIR: its name (not with --script), the space in blocks, the inodes, as asked for. Only files\n\
                  that carry the guest's tag count, see lsxid. With --shares the space of files of the directory alone, and that of files\n\
                  with further names elsewhere, as vhashify makes them, or of blocks that others have, too; tags do not count then.\n\
                  Example: vdu --shares /vservers/*\n\
                  Example: vdu --xid web1 --space --inodes /vservers/web1"
)]
pub struct VduArgs {
    #[command(flatten)]
    pub common: Common,
    /// Number of a context or name of a guest
    #[arg(long, value_name = "XID")]
    pub xid: Option<String>,
    /// What files take that are its own, and what those take that are shared with others
    #[arg(long, conflicts_with_all = ["xid", "space", "inodes"])]
    pub shares: bool,
    /// Space
    #[arg(long)]
    pub space: bool,
    /// Inodes
    #[arg(long)]
    pub inodes: bool,
    /// Bytes in a block
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    pub blocksize: u64,
    /// Numbers only
    #[arg(long)]
    pub script: bool,
    /// Where to count
    #[arg(value_name = "DIR")]
    pub directories: Vec<PathBuf>,
}
