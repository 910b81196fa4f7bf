//! What init scripts and systemd call.

use std::path::PathBuf;

use clap::Parser;

use super::Common;

/// Starts and stops the guests of a mark for an init script
#[derive(Parser, Debug)]
#[command(
    name = "vserver-wrapper",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- starts and stops the guests of a mark for an init script"),
    after_help = "\
Environment: MARK (default), NUMPARALLEL (6), LOCKFILE (vservers-MARK, in /var/lock/subsys or /var/run).
Exit status of start and stop: 0 if some guest succeeded or there was nothing to do, 1 if none did; of status: 0 if
they have been started, 1 if not.

Example: MARK=web vserver-wrapper start"
)]
pub struct VserverWrapperArgs {
    #[command(flatten)]
    pub common: Common,
    /// What to do
    #[arg(value_parser = ["start", "stop", "restart", "condrestart", "status"], hide_possible_values = false)]
    pub action: String,
}

/// Succeeds and says why there is nothing to do
#[derive(Parser, Debug)]
#[command(
    name = "vprocunhide",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- succeeds and says why there is nothing to do"),
    after_help = "\
What guests see of /proc is decided for each of them at its start.

Example: vprocunhide"
)]
pub struct VprocunhideArgs {
    #[command(flatten)]
    pub common: Common,
}

/// Does to a running guest what it asked its kernel for
#[derive(Parser, Debug)]
#[command(
    name = "vshelper",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- does to a running guest what it asked its kernel for"),
    after_help = "\
Guests' supervisors see reboots and halts by themselves; this is for scripts that call it. Actions: restart; halt,
poweroff, shutdown; startup, netup, netdown, swsusp, restart2 and oom do nothing. A context that does not run is no failure.

Example: vshelper restart 40012"
)]
pub struct VshelperArgs {
    #[command(flatten)]
    pub common: Common,
    /// What the guest asked for
    pub action: String,
    /// The number of its context
    pub xid: vserver_types::Xid,
}

/// Tells systemd which guests boot, and in which order
#[derive(Parser, Debug)]
#[command(
    name = "systemd-vserver-generator",
    version = concat!(env!("CARGO_PKG_VERSION"), " -- tells systemd which guests boot, and in which order"),
    after_help = "\
Called by systemd at boot and by `systemctl daemon-reload`. Reads apps/init/mark and apps/init/depends of all guests.
Exit status: 0, 64 wrong command line, 71 something could not be read or written.

Example: systemd-vserver-generator /tmp/units /tmp/units /tmp/units"
)]
pub struct GeneratorArgs {
    #[command(flatten)]
    pub common: Common,
    /// Where the units go
    pub normal: PathBuf,
    /// Unused
    pub early: PathBuf,
    /// Unused
    pub late: PathBuf,
}
