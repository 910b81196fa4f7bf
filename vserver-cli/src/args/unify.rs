//! `vhashify` and what goes with it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser};

use super::Common;

/// What `vhashify`, `vunify` and `vcopy` have in common.
#[derive(Args, Clone, Debug)]
pub struct WalkArgs {
    /// Change nothing; say what would be done (vhashify: and what disk and page cache that saves)
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Say what is done; twice: with reasons; further levels say more
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// Trees and exclude lists by their paths, without any guest
    #[arg(long)]
    pub manually: bool,
    /// Accepted for old scripts: mounts below a tree are never entered
    #[arg(short = 'x', long)]
    pub one_file_system: bool,
}

/// Makes equal files of guests one, through a store of all files that are shared
#[derive(Parser, Debug)]
#[command(
    name = "vhashify",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- makes equal files of guests one, through a store of all files that are shared"),
    override_usage = "vhashify [OPTIONS] GUEST…\n       vhashify --manually --destination STORE [OPTIONS] (PATH EXCLUDE-LIST)…",
    after_help = "Guests must be stopped. A guest whose files are shared runs over an overlay from then on: whatever it writes becomes\n\
                  its own. What may be shared say apps/vunify/exclude and the packages' configuration files; the directory\n\
                  apps/vunify must be there. `vserver NAME flatten` makes all files of a guest its own again.\n\
                  Example: vhashify --dry-run web1 web2\n\
                  Example: find /vservers/.hash -type f -links 1 -delete"
)]
pub struct HashifyArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub walk: WalkArgs,
    /// Look again at files that are shared already
    #[arg(long)]
    pub refresh: bool,
    /// Files may differ in their time of modification
    #[arg(long)]
    pub ignore_mtime: bool,
    /// Accepted for old scripts: a new entry of the store is always the guest's own file, which nobody has open
    #[arg(long)]
    pub sledgehammer: bool,
    /// Accepted for old scripts
    #[arg(long)]
    pub insecure: bool,
    /// The store, instead of those in apps/vunify/hash
    #[arg(long, value_name = "STORE")]
    pub destination: Option<PathBuf>,
    /// Guests; with --manually pairs of a tree and an exclude list
    #[arg(value_name = "GUEST")]
    pub words: Vec<OsString>,
}

/// Makes files of a guest one with those of its reference guests
#[derive(Parser, Debug)]
#[command(
    name = "vunify",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- makes files of a guest one with those of its reference guests"),
    override_usage = "vunify [OPTIONS] GUEST\n       vunify --manually [OPTIONS] PATH EXCLUDE-LIST (REFERENCE-PATH EXCLUDE-LIST)…",
    after_help = "Files of the same path are shared that are equal in everything, content included. The reference guests are the links\n\
                  apps/vunify/refserver.*; all guests must be stopped. vhashify needs no reference guest and finds more.\n\
                  Example: vunify --dry-run web1"
)]
pub struct UnifyArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub walk: WalkArgs,
    /// The other way: what is one with a reference becomes the guest's own
    #[arg(short = 'R', long)]
    pub revert: bool,
    /// The guest; with --manually pairs of a tree and an exclude list, the first of which is changed
    #[arg(value_name = "GUEST")]
    pub words: Vec<OsString>,
}

/// Fills the tree of a guest with the files of another one
#[derive(Parser, Debug)]
#[command(
    name = "vcopy",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- fills the tree of a guest with the files of another one"),
    override_usage = "vcopy [OPTIONS] DESTINATION SOURCE\n       vcopy --manually [OPTIONS] PATH EXCLUDE-LIST SOURCE-PATH EXCLUDE-LIST",
    after_help = "What both exclude lists share is shared, what one of them keeps is copied, what one of them marks with ~ is left out.\n\
                  Both guests must be stopped. `vserver NEW build -m clone` makes a whole guest.\n\
                  Example: vserver web2 build -m skeleton && vcopy web2 web1"
)]
pub struct CopyTreeArgs {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub walk: WalkArgs,
    /// Refuse a destination that has no directory apps/vunify, instead of making it
    #[arg(long)]
    pub strict: bool,
    /// Two guests; with --manually two pairs of a tree and an exclude list
    #[arg(value_name = "GUEST")]
    pub words: Vec<OsString>,
}

/// Makes a second tree of the same files
#[derive(Parser, Debug)]
#[command(
    name = "vclone",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- makes a second tree of the same files"),
    override_usage = "vclone [OPTIONS] SOURCE DESTINATION",
    after_help = "What is in the destination already stays. Both trees are to be run copy-on-write from then on, which vserver does.\n\
                  Example: vclone -X /etc/vservers/.clone-exclude /vservers/web1 /vservers/web2"
)]
pub struct CloneTreeArgs {
    #[command(flatten)]
    pub common: Common,
    /// Accepted for old scripts: the tag comes with the guest's start
    #[arg(long, value_name = "XID")]
    pub xid: Option<String>,
    /// What is left out, an exclude list
    #[arg(short = 'X', long, value_name = "FILE")]
    pub exclude_from: Option<PathBuf>,
    /// Say what is done
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// The tree that is there, whose guest does not run
    #[arg(value_name = "SOURCE")]
    pub source: PathBuf,
    /// An absolute path
    #[arg(value_name = "DESTINATION")]
    pub destination: PathBuf,
}

/// Makes all files of a stopped guest its own again
#[derive(Parser, Debug)]
#[command(
    name = "flatten",
    bin_name = "vserver NAME flatten",
    after_help = "Example: vserver web1 flatten && vserver web1 start"
)]
pub struct FlattenArgs {}
