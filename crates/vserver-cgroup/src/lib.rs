//! A guest's cgroups: what it may use, which devices it may open, which processes it has, what it has used.
//!
//! In every hierarchy in use there are two directories for a guest. `vserver/<name>/` carries limits, device program
//! and totals and stays the host's; `vserver/<name>/guest/` below it holds the processes, is the root of the guest's
//! cgroup namespace and, on v2, may be handed to the guest ([`GuestCgroup::delegate`]). A guest that may write its own
//! directory therefore cannot raise its own limits. Guests may be below another directory than `vserver/`
//! ([`Layout::with_base`]); supervisors and contexts without a guest are there always.
//!
//! | host | limits and totals | devices | kill and freeze |
//! |---|---|---|---|
//! | pure v2 | v2 | BPF on v2 | `cgroup.kill` (5.14), `cgroup.freeze` (5.2) |
//! | hybrid | v1; CPU time from v2 | BPF on v2 | as above: every process is in the v2 hierarchy, too |
//! | pure v1 | v1 | `devices.*` | `freezer.state` and signals |
//!
//! # What it costs to join
//!
//! Writing a pid to `cgroup.procs` waits for an RCU grace period (the write side of `cgroup_threadgroup_rwsem`). The
//! first such write after a pause costs it, those that follow at once do not, so the number of hierarchies hardly
//! matters and the way of joining does. Medians of 60 on Linux 6.18, 2 CPUs, fork included, six v1 hierarchies and v2:
//!
//! | way | µs |
//! |---|---|
//! | plain fork, no joining | 213 |
//! | `0` to each v1 `tasks` | 289 |
//! | `clone3(CLONE_INTO_CGROUP)` (5.7) for v2, `0` to each v1 `tasks` | 434 |
//! | `0` to each `cgroup.procs` | 11 600 |
//!
//! Writing `0` to `tasks` moves only the calling thread, which the kernel does without the lock (since 5.5). [`Entry`]
//! offers the cheap way and the plain one. Making and removing a directory costs 20–80 µs, so hierarchies that serve
//! nobody (`cpuset` and `blkio` without a setting, `cpuacct` where v2 counts CPU time) are left out until needed.
//!
//! # Of cgroups-rs
//!
//! Its controllers for `cpu` and `pids` read the figures back on both versions ([`GuestCgroup::limits`]). It is not used
//! to write, nor for the rest: its `Hierarchy` knows v1 or v2 at `/sys/fs/cgroup` but no hybrid host, it has no CPU
//! burst, its general attribute write is private, it creates directories without reporting failure, and its memory
//! statistics panic on a file that looks different from what they expect.

mod base;
mod blkio;
mod cpu;
mod cpuset;
mod create;
mod device_bpf;
mod device_lines;
mod device_v1;
mod devices;
mod entry;
mod error;
mod files;
mod foresee;
mod freeze;
mod kill;
mod knobs;
mod layout;
mod limits;
mod memory;
mod mountinfo;
mod pids;
mod processes;
mod raw;
mod remove;
mod room;
mod soft;
mod stats;
mod view;

pub use create::GuestCgroup;
pub use device_bpf::DeviceProgram;
pub use devices::{Access, DeviceKind, DevicePolicy, DeviceRule};
pub use entry::Entry;
pub use error::Error;
pub use freeze::Brake;
pub use layout::{Controller, Kind, Layout};
pub use processes::list;
pub use stats::Stats;
pub use view::Memory;
