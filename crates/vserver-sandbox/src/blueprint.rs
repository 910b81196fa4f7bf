//! Everything that the walls of one guest are made of, as data and descriptors, before anything is made.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vserver_types::{CapSet, Ulimit};

use crate::nested::Around;
use crate::seccomp;

/// What every process of a guest is held to, its first one and every one that is put into it later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Confinement {
    /// Whether the guest has a user namespace; without it uid 0 inside is the host's.
    pub userns: bool,
    /// Bounding set, and permitted and effective set of root.
    pub caps: CapSet,
    /// seccomp filters in the order of their installation.
    pub filters: Vec<seccomp::Program>,
    /// The last filter: calls that its supervisor answers, if there are any.
    pub asking: Option<seccomp::Program>,
    /// Per-process limits.
    pub ulimits: Vec<Ulimit>,
    /// Nice level, −20 to 19.
    pub nice: Option<i32>,
    /// I/O priority as ioprio_set(2) takes it.
    pub ionice: Option<i32>,
    /// Bias on the OOM killer's choice, −1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Its processes may lower that bias by themselves.
    #[serde(default)]
    pub oom_adjust: bool,
    /// Execution domain and flags, personality(2).
    pub personality: Option<u32>,
    /// AppArmor label, if the guest gets one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// The way into a guest's cgroups, opened by whoever knows the hierarchies.
#[derive(Debug, Default)]
pub struct Doors {
    /// Directory of the v2 cgroup, for a process to be born in.
    pub birthplace: Option<OwnedFd>,
    /// `tasks` files of v1 hierarchies, to write "0" into.
    pub tasks: Vec<OwnedFd>,
}

/// Namespaces that a guest is born into, because they were there before it.
#[derive(Debug)]
pub struct Rooms {
    /// Its network namespace.
    pub network: OwnedFd,
    /// Its user namespace, mapped, if that one owns the network namespace.
    pub user: Option<OwnedFd>,
}

/// The first program of a guest.
#[derive(Debug)]
pub struct Entry {
    /// Its arguments, the first of which is also its path in the guest unless there is an image.
    pub argv: Vec<String>,
    /// Its whole environment, `NAME=VALUE`.
    pub env: Vec<String>,
    /// A sealed memfd to execute in place of a file of the guest.
    pub image: Option<OwnedFd>,
    /// A descriptor that the program finds as number 3 (where our own init reports how the start command ended).
    pub report: Option<OwnedFd>,
}

/// A root from which programs of the host work on a guest's tree, as the guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workshop {
    /// Where the guest's tree is mounted, relative to that root. Who goes there by chroot(2) finds `/dev`, `/proc` and
    /// `/sys` there too.
    pub guest: PathBuf,
    /// Which of the mounts are the host's: their owners are not mapped, so that what only the host's root may read stays
    /// closed.
    pub foreign: Vec<PathBuf>,
}

/// A node of a guest's `/dev` beyond those that every guest has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceNode {
    /// Its name below `/dev`.
    pub path: PathBuf,
    /// A block device; otherwise a character device.
    pub block: bool,
    /// Major number.
    pub major: u64,
    /// Minor number.
    pub minor: u64,
    /// Permission bits.
    pub mode: u32,
}

/// One guest, ready to be raised.
#[derive(Debug)]
pub struct Blueprint {
    /// Where it is made.
    pub around: Around,
    /// It may make guests itself.
    pub prolific: bool,
    /// The guest's tree on the host.
    pub tree: OwnedFd,
    /// Where it writes if its tree has files of others, too: the directory with `upper` and `work`.
    pub layers: Option<OwnedFd>,
    /// First host uid of its range; `None` is the classic mode.
    pub base: Option<u32>,
    /// The way into its cgroups.
    pub doors: Doors,
    /// What it is born into; `None` is the host's network and a user namespace of its own.
    pub rooms: Option<Rooms>,
    /// Host name and domain name inside.
    pub hostname: Option<String>,
    /// NIS domain name inside.
    pub domainname: Option<String>,
    /// Uptime counts from the guest's start.
    pub virt_uptime: bool,
    /// Mount the guest's own cgroup2 subtree at `/sys/fs/cgroup`.
    pub cgroupfs: bool,
    /// What is mounted below the tree and comes along, as paths relative to it, parents first.
    pub mounts: Vec<PathBuf>,
    /// Where the guest's own tree lies, if the tree above is not it but a place to work on it.
    pub workshop: Option<Workshop>,
    /// Names below `/dev` that are not as every guest has them, and what is there instead, if anything.
    pub devices: Vec<(PathBuf, Option<DeviceNode>)>,
    /// It has files in the places of loop devices, as its supervisor mounts files for it.
    pub images: bool,
    /// Files below `/proc/sys` of the guest's own namespaces, and what is written to them.
    pub sysctls: Vec<(String, String)>,
    /// What in its `/proc` and `/sys` tells of itself, if anything does.
    pub view: Option<View>,
    /// The directory that is its `/proc/net`, mounted nowhere, if that tells of itself.
    pub network: Option<OwnedFd>,
    /// What its processes are held to.
    pub confinement: Confinement,
    /// Where the supervisor hears of calls that it has to answer.
    pub petitions: Option<OwnedFd>,
    /// Its first program.
    pub entry: Entry,
    /// What puts it on hold before it executes that, if it shall begin so.
    pub brake: Option<Brake>,
}

/// Files that tell of the guest, served by a process of the host's, in place of those that tell of the host.
#[derive(Debug)]
pub struct View {
    /// The directory that has them, mounted nowhere.
    pub files: OwnedFd,
    /// Which of them are to be found in `/proc`, under the same names.
    pub proc: Vec<&'static str>,
    /// `online` is to be found in `/sys/devices/system/cpu`.
    pub cpus: bool,
}

/// What the first process writes, and where, to stop all processes of its cgroup, itself among them.
#[derive(Debug)]
pub struct Brake {
    /// A cgroup's `cgroup.freeze` (Linux 5.2) or `freezer.state`.
    pub file: OwnedFd,
    /// The word that stops.
    pub stop: &'static str,
}
