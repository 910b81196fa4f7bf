//! Programs of `lib/util-vserver` that take options.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Parser};

use super::Common;

/// Writes the settings that the entries of a directory hold, for the namespaces that the caller is in
#[derive(Parser, Debug)]
#[command(
    name = "vsysctl",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- sets sysctl values of the caller's own namespaces"),
    override_usage = "vsysctl [--xid XID] [--dir DIR] [--missingok] [--] COMMAND [ARGUMENTS]",
    after_help = "DIR is like the directory sysctl of a guest: entries with the files setting and value. A setting that belongs to\n\
                  the whole host, or to namespaces that the caller shares with it, is refused before anything is written.\n\
                  Example: chcontext --silent -- vsysctl --dir /etc/vservers/web1/sysctl -- ipcs -l"
)]
pub struct VsysctlArgs {
    #[command(flatten)]
    pub common: Common,
    /// Accepted: the settings are those of the caller's namespaces
    #[arg(long, value_name = "XID")]
    pub xid: Option<String>,
    /// Where the entries are
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// It is no fault if that directory is missing
    #[arg(long)]
    pub missingok: bool,
    /// Command and its arguments
    #[arg(trailing_var_arg = true, hide = true)]
    pub command: Vec<OsString>,
}

/// Keeps the context that it is called in alive until it is told otherwise
#[derive(Parser, Debug)]
#[command(
    name = "keep-ctx-alive",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- keeps a context alive"),
    override_usage = "keep-ctx-alive --socket FILE [--timeout SECONDS] | keep-ctx-alive --socket FILE --quit TEXT",
    after_help = "Prints the number of the context and goes on in the background, until somebody connects to the socket or the time\n\
                  is over.\n\
                  Example: chcontext --silent -- keep-ctx-alive --socket /run/keep.sock --timeout 60"
)]
pub struct KeepAliveArgs {
    #[command(flatten)]
    pub common: Common,
    /// Unix socket that is made, or written to
    #[arg(long, value_name = "FILE")]
    pub socket: Option<PathBuf>,
    /// End after this time
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Tell the one at the socket to end
    #[arg(long, value_name = "TEXT")]
    pub quit: Option<String>,
}

/// Says how archives are unpacked, by their content
#[derive(Parser, Debug)]
#[command(
    name = "h2ext",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- says how to unpack a file"),
    override_usage = "h2ext [-q] [-d FILE] ARCHIVE...",
    after_help = "Known are archives of tar, cpio and dump, plain or compressed by gzip, bzip2, xz or zstd; anything else is an\n\
                  unknown format. A file of descriptions is taken and not needed.\n\
                  Example: h2ext guest.tar.gz"
)]
pub struct H2extArgs {
    #[command(flatten)]
    pub common: Common,
    /// Accepted: what archives look like is built in
    #[arg(short, long = "desc", value_name = "FILE")]
    pub desc: Option<PathBuf>,
    /// Without the names of the files
    #[arg(short = 'q', long = "silent")]
    pub quiet: bool,
    /// Archives
    #[arg(hide = true, action = ArgAction::Append)]
    pub files: Vec<PathBuf>,
}

/// Makes, changes and removes tun and tap devices
#[derive(Parser, Debug)]
#[command(
    name = "tunctl",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- controls tun and tap devices"),
    override_usage = "tunctl [--tun | --tap] [OPTIONS] DEVICE...",
    after_help = "With --nid the ids are a guest's, and its root is the owner if no user is named; the guest needs tun_create in its\n\
                  ncapabilities, or a device of its own in its configuration. A device that is not persistent goes when nobody\n\
                  uses it: at once, if it is not in use. One without owner and group is for everybody who may open /dev/net/tun.\n\
                  Example: tunctl --tap --persist --nid web1 tap7"
)]
pub struct TunctlArgs {
    #[command(flatten)]
    pub common: Common,
    /// A device for packets (this is the default)
    #[arg(long, overrides_with = "tap")]
    pub tun: bool,
    /// A device for Ethernet frames
    #[arg(long, overrides_with = "tun")]
    pub tap: bool,
    /// Keep it when nobody uses it
    #[arg(long, overrides_with = "no_persist")]
    pub persist: bool,
    /// Do not keep it
    #[arg(long = "~persist", overrides_with = "persist")]
    pub no_persist: bool,
    /// Accepted: kernels of today take no notice of it
    #[arg(long)]
    pub checksum: bool,
    /// Accepted: kernels of today take no notice of it
    #[arg(long = "~checksum")]
    pub no_checksum: bool,
    /// Number or name of the guest that may use it
    #[arg(long, value_name = "NID")]
    pub nid: Option<String>,
    /// The same, and no failure if that cannot be
    #[arg(long, value_name = "NID", conflicts_with = "nid")]
    pub nid_failure_ok: Option<String>,
    /// User who may use it
    #[arg(long, value_name = "UID")]
    pub uid: Option<u32>,
    /// Group that may use it; with a user both must fit
    #[arg(long, value_name = "GID")]
    pub gid: Option<u32>,
    /// Type of its link, as a number; it must be down
    #[arg(long, value_name = "TYPE")]
    pub linktype: Option<u16>,
    /// Node to use
    #[arg(long, value_name = "PATH", default_value = "/dev/net/tun")]
    pub device: PathBuf,
    /// Names of devices
    #[arg(hide = true, action = ArgAction::Append)]
    pub names: Vec<String>,
}
