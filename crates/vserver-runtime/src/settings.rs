//! What a supervisor is born with: a memfd at a fixed number, beside the descriptors that it works on.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vserver_sandbox::blueprint::Confinement;
use vserver_sandbox::nested::Around;
use vserver_types::{CgroupBase, GuestName, Ulimit};

/// Descriptor numbers at the supervisor's start.
pub mod fds {
    /// The keeper's first: the guest's outer mount namespace, if it has one.
    pub const OUTER: i32 = 3;
    /// The keeper's second: what lets wildcard sockets of the guest hear all of its addresses, if there are several.
    pub const STEERING: i32 = 4;
    /// The keeper's third: what rings when a datagram socket of the guest was bound; then what is to be run.
    pub const BELL: i32 = 5;
    /// The keeper's fourth.
    pub const ITERATOR: i32 = 6;
    /// The first of the server of the guest's own files in `/proc`: `/dev/fuse`.
    pub const FUSE: i32 = 3;
    /// The second of the server of its own `/proc/net`: that one ends when this has no writer any more.
    pub const LEASE: i32 = 4;
    /// [`super::Settings`] as JSON.
    pub const SETTINGS: i32 = 3;
    /// The listening control socket.
    pub const CONTROL: i32 = 4;
    /// pidfd of the guest's first process.
    pub const INIT: i32 = 5;
    /// Master of the console.
    pub const CONSOLE: i32 = 6;
    /// The guest's devpts instance.
    pub const PTS: i32 = 7;
    /// The first of the doors into its cgroups: the v2 directory if there is one, then the `tasks` files. After them, if
    /// processes of the guest have calls answered, the two ends of the way for listeners; then, if sysinfo(2) is one of them,
    /// where the answer is read; then the root of its own disk, if it has one with quotas; then `/dev/fuse` of its own
    /// `/proc/net`.
    pub const DOORS: i32 = 8;
}

/// Why a guest ended: the supervisor's exit status tells its keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It asked for a reboot.
    Reboot,
    /// It asked for a halt or to be powered off: the kernel does not tell which.
    Halt,
    /// Its first process ended without a word.
    Shutdown,
    /// It was stopped from outside.
    Stopped,
}

impl Ending {
    const ALL: [Self; 4] = [Self::Reboot, Self::Halt, Self::Shutdown, Self::Stopped];

    /// The event's name, as helpers know it. Source: util-vserver, `behaviours.md` §6.
    pub fn event(self) -> &'static str {
        match self {
            Self::Reboot => "restart",
            Self::Halt => "halt",
            Self::Shutdown => "shutdown",
            Self::Stopped => "stopped",
        }
    }

    /// The one of this name.
    pub fn from_event(event: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ending| ending.event() == event)
    }

    /// The supervisor's exit status.
    pub fn status(self) -> u8 {
        64 + self as u8
    }

    /// What the end of a supervisor means. `None`: the guest was never raised, its launcher says why. A supervisor that
    /// died takes its guest along.
    pub fn from_status(status: Option<i32>) -> Option<Self> {
        match status {
            Some(1 | 2) => None,
            status => {
                Some(Self::ALL.into_iter().find(|e| Some(e.status().into()) == status).unwrap_or(Self::Shutdown))
            }
        }
    }
}

/// What a stop wants done, as the configuration is then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopOrders {
    /// How the guest is asked to end.
    pub stop: StopPlan,
    /// Environment of the stop command.
    pub stop_env: Vec<String>,
    /// What follows.
    pub killseq: Vec<KillStep>,
    /// After this time it is killed.
    pub stop_timeout: Duration,
}

/// How a guest is asked to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopPlan {
    /// This signal to its first process.
    Signal(i32),
    /// This command inside, then the kill sequence.
    Command(Vec<String>),
    /// The kill sequence at once.
    KillSequence,
}

/// A signal to all processes of a guest, and the time that they have afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillStep {
    /// Signal number.
    pub signal: i32,
    /// Pause afterwards.
    pub wait: Duration,
}

/// What a guest is shown of the host's network stack (`hide_netif`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its addresses, with the devices that carry them.
    pub addresses: Vec<IpAddr>,
    /// What the loopback device has.
    pub localhost: Ipv4Addr,
    /// Its private loopback address.
    #[serde(default)]
    pub loopback: Option<Ipv4Addr>,
    /// That one is shown as 127.0.0.1.
    #[serde(default)]
    pub hide_lback: bool,
}

/// Everything that a supervisor has to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Its guest.
    pub name: GuestName,
    /// Where its cgroups are, in every hierarchy.
    pub cgroup_base: CgroupBase,
    /// pid of the guest's first process.
    pub init: i32,
    /// First host uid of its range; 0 in classic mode.
    pub base: u32,
    /// Where it was made.
    #[serde(default)]
    pub around: Around,
    /// The guest has a time namespace of its own.
    pub virt_uptime: bool,
    /// The first door is a v2 directory.
    pub birthplace: bool,
    /// So many doors are `tasks` files.
    pub tasks: usize,
    /// The console's log.
    pub log: PathBuf,
    /// Largest size of one log file, bytes; there are two.
    pub log_limit: u64,
    /// What every process of the guest is held to.
    pub confinement: Confinement,
    /// How far the guest's root may raise hard limits.
    #[serde(default)]
    pub hard_limits: Vec<Ulimit>,
    /// After the doors comes a file with what sysinfo(2) answers.
    #[serde(default)]
    pub sysinfo: bool,
    /// The last is the root of the disk whose quotas are its own; this is its device, as its table of mounts has it.
    #[serde(default)]
    pub disk: Option<PathBuf>,
    /// The very last is the device of its own `/proc/net`, if it has one; this is the program that serves it.
    #[serde(default)]
    pub window: Option<PathBuf>,
    /// Block devices that it may use are mounted for it (`binary_mount`).
    #[serde(default)]
    pub disks: bool,
    /// Files of its own are mounted for it (`admin_cloop`).
    #[serde(default)]
    pub images: bool,
    /// Its memory is looked at when it forks (`fork_rss`).
    #[serde(default)]
    pub forks: bool,
    /// What its processes are shown of the host's network stack, unless that is everything.
    #[serde(default)]
    pub shown: Option<Shown>,
    /// How it is ended, unless the stop says otherwise.
    pub orders: StopOrders,
}
