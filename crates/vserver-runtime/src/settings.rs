//! What a supervisor is born with: a memfd at a fixed number, beside the descriptors that it works on.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vserver_sandbox::blueprint::Confinement;
use vserver_types::GuestName;

/// Descriptor numbers at the supervisor's start.
pub mod fds {
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
    /// The first of the doors into its cgroups: the v2 directory if there is one, then the `tasks` files.
    pub const DOORS: i32 = 8;
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

/// Everything that a supervisor has to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Its guest.
    pub name: GuestName,
    /// Configuration root, for the command that cleans up.
    pub confdir: PathBuf,
    /// The program that cleans up.
    pub vserver: PathBuf,
    /// pid of the guest's first process.
    pub init: i32,
    /// First host uid of its range; 0 in classic mode.
    pub base: u32,
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
    /// How it is asked to end.
    pub stop: StopPlan,
    /// Environment of the stop command.
    pub stop_env: Vec<String>,
    /// What follows.
    pub killseq: Vec<KillStep>,
    /// After this time it is killed.
    pub stop_timeout: Duration,
}
