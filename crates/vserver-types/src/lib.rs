//! The vocabulary of the project: names, numbers, sets and limits. Everything here parses and prints; nothing does I/O.
//!
//! Administrators know these words from Linux-VServer (`xid`, `nid`, `bcaps`, `cflags`, …) and they keep their names.

mod caps;
mod cgroup_base;
mod exit;
mod flag_effects;
mod flag_tables;
mod flags;
mod guest;
mod limits;
mod net;
mod number;
mod quantity;
mod report;
mod traffic;

pub use caps::{CapSet, Capability};
pub use cgroup_base::CgroupBase;
pub use exit::Exit;
pub use flag_effects::{Effect, Verdict};
pub use flags::{ContextCaps, ContextFlags, FlagEdit, FlagKind, FlagListError, NetCaps, NetFlags};
pub use guest::{GuestName, GuestState, Nid, Xid, XidKind};
pub use limits::{CpuBucket, CpuSet, Limits, Resource, ResourceLimit, Rlimit, Ulimit};
pub use net::GuestAddress;
pub use number::{c_integer, c_number, c_pattern};
pub use quantity::{Bytes, ParseError};
pub use report::{Enforcement, Unenforced};
pub use traffic::{Counts, Shape, ShapeError, Traffic};
