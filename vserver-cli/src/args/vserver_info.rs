//! `vserver-info`.

use clap::Parser;

use super::Common;

/// Tells one fact about a guest, a context, a process or this host
#[derive(Parser, Debug)]
#[command(
    name = "vserver-info",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- tells one fact about a guest, a context, a process or this host"),
    override_usage = "vserver-info [-q] [--json] GUEST|XID|PID|- TAG [ARGUMENTS]\n       vserver-info -l",
    after_help = "A value that is not there gives no output and exit status 1. Tags: vserver-info -l.\n\
                  PROC shows a context as /proc/virtual did: info, status, limit or cvirt.\n\
                  Examples: vserver-info - SYSINFO\n          vserver-info web1 RUNNING\n          \
                  vserver-info web1 CONTEXT\n          vserver-info 40012 PROC status"
)]
pub struct VinfoArgs {
    #[command(flatten)]
    pub common: Common,
    /// No output, only the exit status
    #[arg(short)]
    pub quiet: bool,
    /// List the tags
    #[arg(short)]
    pub list: bool,
    /// As JSON: an object with the tag and its value
    #[arg(long)]
    pub json: bool,
    /// What it is about, the tag, its arguments
    #[arg(value_name = "WORD", hide = true)]
    pub words: Vec<String>,
}
