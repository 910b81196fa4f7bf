//! `vserver` and those of its verbs that take few words.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;

use super::BulkArgs;

const EXAMPLES: &str = "\
Commands for one guest:
  build        make a guest; see `vserver NAME build --help`
  start        start it                    stop         stop it
  restart      stop, then start            condrestart  the same, but only if it runs
  status       say whether it runs (0, 3)  running      the same silently (0, 1)
  enter        a login shell inside        exec         run a command inside
  suexec       the same as another user    delete       remove it with all its files
  copy         the same again under a new  rename       give it another name
               name, with an identity of its own
  import       take in a physical server   export       write its files to a tar archive
  plan         print what start would do   check        print all faults, and what becomes of each setting
  unify        share equal files with reference guests, see vunify
  hashify      share equal files with other guests, see vhashify
  flatten      make all its files its own again
  snapshot     keep what it is, and make it that again: create, list, restore, delete
  config       print what is understood of its configuration, as JSON
  chkconfig    switch a service of it on or off
  pkg          install packages inside     pkgmgmt      say who manages its packages
  apt-get, apt-config, apt-cache, rpm      run that program for it
Without a guest:
  list         all guests, with state, addresses, memory and uptime
  doctor       what on this host gets in the way: doctor network

Examples:
  vserver web1 build -m debootstrap --context 40012 --interface eth0:192.0.2.12/24 -- -d bookworm
  vserver web1 start && vserver web1 exec uname -n
  vserver list --json
  vserver --all stop && vserver --all start
  vserver --mark default --jobs 4 start
  vserver 'web*' status";

/// Builds, starts, enters and stops guests
#[derive(Parser, Debug)]
#[command(
    name = "vserver",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- builds, starts, enters and stops guests"),
    override_usage = "vserver [OPTIONS] NAME COMMAND [ARGUMENTS]\n       vserver [OPTIONS] list|doctor\n       vserver [OPTIONS] --all|--mark MARK|'PATTERN' COMMAND [ARGUMENTS]",
    after_help = EXAMPLES
)]
pub struct VserverArgs {
    /// Configuration root instead of $VSERVER_CONFDIR, $UTIL_VSERVER_VARS or /etc/vservers
    #[arg(long, value_name = "DIR")]
    pub confdir: Option<PathBuf>,
    /// No status and question texts; delete does not ask
    #[arg(long)]
    pub silent: bool,
    /// Say more: the context number at start, with status what is not enforced
    #[arg(short, long)]
    pub verbose: bool,
    /// Results as JSON (list, status, check, snapshot list)
    #[arg(long)]
    pub json: bool,
    /// With start: run apps/init/cmd.start-sync, too; start and stop always wait
    #[arg(short, long)]
    pub sync: bool,
    /// Output of post-start, post-stop and postpost-stop scripts goes to apps/init/tty, else to /dev/null
    #[arg(long)]
    pub defaulttty: bool,
    /// Trace sourced scripts on standard error
    #[arg(long)]
    pub debug: bool,
    /// Run the start and stop command of init style sysv under bash -x; the trace goes to the console log
    #[arg(long)]
    pub debug_sysv: bool,
    /// Trace the whole start with strace(1) to /tmp/vserver-start.PID
    #[arg(long)]
    pub strace: bool,
    #[command(flatten)]
    pub bulk: BulkArgs,
    /// Name, command and its arguments
    #[arg(trailing_var_arg = true, hide = true)]
    pub words: Vec<OsString>,
}

/// Lists all guests
#[derive(Parser, Debug)]
#[command(name = "list", bin_name = "vserver list", after_help = "Example: vserver list --json")]
pub struct ListArgs {
    /// As JSON: an array of objects with sizes in bytes and times in seconds
    #[arg(long)]
    pub json: bool,
    /// Configuration root instead of $VSERVER_CONFDIR, $UTIL_VSERVER_VARS or /etc/vservers
    #[arg(long, value_name = "DIR")]
    pub confdir: Option<PathBuf>,
}

/// Looks for what on this host gets in the way of guests: exit status 0 if there is nothing
#[derive(Parser, Debug)]
#[command(name = "doctor", bin_name = "vserver doctor", after_help = "Example: vserver doctor network --json")]
pub struct DoctorArgs {
    /// What to look at
    pub subject: DoctorSubject,
    /// As JSON: an array of objects with severity, what and remedy
    #[arg(long)]
    pub json: bool,
    /// Configuration root instead of $VSERVER_CONFDIR, $UTIL_VSERVER_VARS or /etc/vservers
    #[arg(long, value_name = "DIR")]
    pub confdir: Option<PathBuf>,
}

/// What `doctor` knows.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub enum DoctorSubject {
    /// Services that take guests' ports, forwarding, filters, modules
    Network,
}

/// Starts the guest
#[derive(Parser, Debug, Default)]
#[command(
    name = "start",
    bin_name = "vserver NAME start",
    after_help = "Examples: vserver web1 start --strict\n          vserver web1 start --rescue-init /bin/sleep 900"
)]
pub struct StartArgs {
    /// Refuse to start if this kernel cannot enforce everything that was asked for
    #[arg(long)]
    pub strict: bool,
    /// Run COMMAND in place of the guest's init and return when it has ended
    #[arg(long)]
    pub rescue: bool,
    /// Run COMMAND as the guest's first process and return at once
    #[arg(long)]
    pub rescue_init: bool,
    /// One word in place of COMMAND
    #[arg(long, value_name = "PROGRAM")]
    pub rescue_cmd: Option<String>,
    /// With --rescue: program and arguments, /bin/sleep 900 unless given
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Stops the guest
#[derive(Parser, Debug, Default)]
#[command(name = "stop", bin_name = "vserver NAME stop", after_help = "Example: vserver web1 stop")]
pub struct StopArgs {
    /// Kill at once instead of letting the guest shut down
    #[arg(long)]
    pub kill: bool,
    /// Accepted for old scripts: how a guest was started is known
    #[arg(long)]
    pub rescue_init: bool,
}

/// Says whether the guest runs: exit status 0 if so, 3 if not
#[derive(Parser, Debug)]
#[command(name = "status", bin_name = "vserver NAME status", after_help = "Example: vserver web1 status --json")]
pub struct StatusArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Copies a stopped guest: its tree and its configuration, but with a number, addresses, machine-id and ssh host keys of
/// the copy's own
#[derive(Parser, Debug)]
#[command(
    name = "copy",
    bin_name = "vserver NAME copy",
    after_help = "Without --interface the copy has no address.\nExample: vserver web1 copy web2 --hostname web2.example.org \
                  --interface eth0:192.0.2.13/24"
)]
pub struct CopyArgs {
    /// Name of the copy
    #[arg(value_name = "NEW")]
    pub new: String,
    /// Context number, 2 to 49151; without it the next free one
    #[arg(long, value_name = "N")]
    pub context: Option<String>,
    /// Host name inside; without it that of the original
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Device of all addresses that name none
    #[arg(long, value_name = "DEV")]
    pub netdev: Option<String>,
    /// Prefix length of all addresses that have none
    #[arg(long, value_name = "LENGTH")]
    pub netprefix: Option<String>,
    /// [NAME=][DEV:|nodev:]IP[/MASK|/PREFIX]; once per address
    #[arg(long, value_name = "ADDRESS", action = clap::ArgAction::Append)]
    pub interface: Vec<String>,
}

/// Gives a stopped guest another name: its configuration, its tree and cache if they bear the old name, its run file, its
/// log, and the guests that depend on it
#[derive(Parser, Debug)]
#[command(name = "rename", bin_name = "vserver NAME rename", after_help = "Example: vserver web1 rename www")]
pub struct RenameArgs {
    /// The other name
    #[arg(value_name = "NEW")]
    pub new: String,
}

/// Prints what a start would do, as JSON, and does none of it
#[derive(Parser, Debug)]
#[command(name = "plan", bin_name = "vserver NAME plan", after_help = "Example: vserver web1 plan")]
pub struct PlanArgs {}

/// Reads the guest's configuration and prints every fault with file and line, then what becomes of each setting:
/// honoured, partly or cannot, and by what or why not
#[derive(Parser, Debug)]
#[command(
    name = "check",
    bin_name = "vserver NAME check",
    after_help = "Examples: vserver web1 check\n          vserver web1 check --quiet\n          vserver --all check | grep ^cannot"
)]
pub struct CheckArgs {
    /// Leave out what is honoured
    #[arg(short, long)]
    pub quiet: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Prints what is understood of the guest's configuration, or changes files of it
#[derive(Parser, Debug)]
#[command(
    name = "config",
    bin_name = "vserver NAME config",
    after_help = "FILE is a path below the guest's directory. All changes are made or none; comments, order, owner, mode and links \
                  of a file stay, and what would be a fault is refused. They count from the next start on.\n\n\
                  Example: vserver web1 config --json\n\
                  Example: vserver web1 config --set rlimits/rss.hard=256K --add cflags=virt_mem --drop apps/init/mark=late"
)]
pub struct ConfigArgs {
    /// As JSON, which is the only form
    #[arg(long)]
    pub json: bool,
    /// Remove a file
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub unset: Vec<String>,
    /// Give a file this value; of a list, these items, one per line
    #[arg(long, value_name = "FILE=VALUE", conflicts_with = "json")]
    pub set: Vec<String>,
    /// Take an item out of a list
    #[arg(long, value_name = "FILE=ITEM", conflicts_with = "json")]
    pub drop: Vec<String>,
    /// Put an item into a list
    #[arg(long, value_name = "FILE=ITEM", conflicts_with = "json")]
    pub add: Vec<String>,
}

/// This command takes no arguments
#[derive(Parser, Debug)]
#[command(name = "", bin_name = "vserver", after_help = "Example: vserver web1 running && echo yes")]
pub struct NoArgs {}

#[cfg(test)]
mod tests {
    use super::EXAMPLES;
    use crate::commands::vserver::VERBS;

    #[test]
    fn the_help_names_every_verb() {
        let words: Vec<&str> = EXAMPLES.split(|letter: char| letter.is_whitespace() || letter == ',').collect();
        let missing: Vec<&str> = VERBS.into_iter().filter(|verb| !words.contains(verb)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
