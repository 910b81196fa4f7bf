//! What a guest may use.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Bytes;

/// A resource with a number, as `vlimit` and `rlimits/` name it. Source: util-vserver, `flags.md` §7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Resource {
    /// CPU time in seconds.
    Cpu = 0,
    /// Largest file in bytes.
    Fsize = 1,
    /// Data segment in bytes.
    Data = 2,
    /// Stack in bytes.
    Stack = 3,
    /// Core file in bytes.
    Core = 4,
    /// Resident pages.
    Rss = 5,
    /// Processes and threads.
    Nproc = 6,
    /// File descriptors.
    Nofile = 7,
    /// Locked pages.
    Memlock = 8,
    /// Pages of address space.
    As = 9,
    /// File locks.
    Locks = 10,
    /// Bytes in POSIX message queues.
    Msgqueue = 12,
    /// Sockets.
    Nsock = 16,
    /// Open descriptors.
    Openfd = 17,
    /// Anonymous pages.
    Anon = 18,
    /// Pages of shared memory.
    Shmem = 19,
    /// Semaphore arrays.
    Semary = 20,
    /// Semaphores.
    Nsems = 21,
    /// Directory entries in the cache.
    Dentry = 22,
}

impl Resource {
    /// All of them, in the order of their numbers.
    pub const ALL: [Resource; 19] = [
        Self::Cpu,
        Self::Fsize,
        Self::Data,
        Self::Stack,
        Self::Core,
        Self::Rss,
        Self::Nproc,
        Self::Nofile,
        Self::Memlock,
        Self::As,
        Self::Locks,
        Self::Msgqueue,
        Self::Nsock,
        Self::Openfd,
        Self::Anon,
        Self::Shmem,
        Self::Semary,
        Self::Nsems,
        Self::Dentry,
    ];

    /// The name of its file and of its long option.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Fsize => "fsize",
            Self::Data => "data",
            Self::Stack => "stack",
            Self::Core => "core",
            Self::Rss => "rss",
            Self::Nproc => "nproc",
            Self::Nofile => "nofile",
            Self::Memlock => "memlock",
            Self::As => "as",
            Self::Locks => "locks",
            Self::Msgqueue => "msgqueue",
            Self::Nsock => "nsock",
            Self::Openfd => "openfd",
            Self::Anon => "anon",
            Self::Shmem => "shmem",
            Self::Semary => "semary",
            Self::Nsems => "nsems",
            Self::Dentry => "dentry",
        }
    }

    /// The resource with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.name() == name)
    }

    /// Its number in the kernel patch and for `vlimit --<number>`.
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One bound of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rlimit {
    /// So many units.
    Value(u64),
    /// `inf`.
    Infinity,
}

/// The bounds of one resource of a whole guest; `None` keeps what there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimit {
    /// Guaranteed (never enforced by the original).
    pub min: Option<Rlimit>,
    /// Soft bound.
    pub soft: Option<Rlimit>,
    /// Hard bound.
    pub hard: Option<Rlimit>,
}

/// A per-process limit of the guest's first process (`ulimits/`), in the units of setrlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Which one; a [`Resource`] with a number below 11.
    pub resource: Resource,
    /// Soft bound; `None` keeps what there is, clamped to the hard one.
    pub soft: Option<Rlimit>,
    /// Hard bound.
    pub hard: Rlimit,
}

/// CPU token bucket, as time: in each `period` the guest may use `quota` of CPU time in total, and what it left unused
/// is saved up to `burst`. The kernel wants 1 ms ≤ period ≤ 1 s and burst ≤ quota. Source: `Documentation/scheduler/sched-bwc.rst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuBucket {
    /// CPU time per period, over all CPUs.
    pub quota: Duration,
    /// The period.
    pub period: Duration,
    /// Depth of the bucket beyond one period's quota.
    pub burst: Duration,
}

/// CPUs and memory nodes that a guest may use, in the kernel's list format (`0-3,7`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuSet {
    /// `cpuset.cpus`
    pub cpus: Option<String>,
    /// `cpuset.mems`
    pub mems: Option<String>,
    /// Nobody else may use these CPUs.
    pub cpu_exclusive: bool,
    /// Nobody else may use these nodes.
    pub mem_exclusive: bool,
}

/// Everything that the guest's cgroup holds it to. `None` means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Hard memory limit (`memory.max`, v1 `memory.limit_in_bytes`).
    pub memory: Option<Bytes>,
    /// Reclaim pressure begins here (`memory.high`, v1 `memory.soft_limit_in_bytes`).
    pub memory_high: Option<Bytes>,
    /// Swap on top of memory (`memory.swap.max`, v1 `memsw` − memory). 0 is "no swap".
    pub swap: Option<Bytes>,
    /// Processes and threads (`pids.max`).
    pub pids: Option<u64>,
    /// CPU token bucket.
    pub cpu: Option<CpuBucket>,
    /// Relative share, 1–10000, 100 is normal (`cpu.weight`, v1 `cpu.shares` = weight × 1024 / 100).
    pub cpu_weight: Option<u32>,
    /// CPUs and memory nodes.
    pub cpuset: Option<CpuSet>,
    /// Control files of `cgroup/`, name and value, in order, as configured (v1 or v2 names).
    pub raw: Vec<(String, String)>,
}
