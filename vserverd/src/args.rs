//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Starts marked guests and answers on a unix socket. Guests run without it, too.
#[derive(Debug, Parser)]
#[command(name = "vserverd", version, arg_required_else_help = false)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What the daemon can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Starts the guests of a mark, then answers until it is told to end (SIGTERM, SIGINT). Guests run on.
    Serve(ServeArguments),
}

/// How to serve.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Configuration root, in place of $VSERVER_CONFDIR and /etc/vservers.
    #[arg(long, value_name = "DIR")]
    pub confdir: Option<PathBuf>,
    /// Where to listen, unless systemd hands over a socket.
    #[arg(long, value_name = "PATH", default_value = vserver_api::SOCKET)]
    pub socket: PathBuf,
    /// Which guests to start: those with this line in apps/init/mark.
    #[arg(long, value_name = "MARK", default_value = "default")]
    pub mark: String,
    /// Start no guest.
    #[arg(long)]
    pub no_autostart: bool,
}
