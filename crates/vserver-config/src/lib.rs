//! The `/etc/vservers` tree: read into a [`GuestConfig`] with every fault at once, and written for a new guest or over
//! what an old one says. Comments and whatever nothing reads survive that.
//!
//! The format is util-vserver's and stays so, file for file: a tree made by this crate can be used by the original and
//! the other way round. Ours alone are `userns` (`auto` or `off`), `apparmor` and `disk/image` in a
//! guest's directory, and `.defaults/sched/hz`.
//! Nothing below a guest's root is touched, and no line is ever given to a shell.

mod apparmor;
mod boot;
mod bucket;
pub mod catalog;
mod cpus;
mod defaults;
mod describe;
mod error;
mod init;
mod life;
mod limits;
mod list;
mod model;
mod mounts;
mod nearest;
mod network_space;
pub mod order;
mod read;
mod reader;
mod sched;
mod scripts;
mod sharing;
mod storage;
mod switch;
mod write;

pub use apparmor::AppArmor;
pub use boot::{Boot, BootFacts};
pub use defaults::{CACHEBASE, Defaults, FIRST_CONTEXT, FSTAB, HZ, VDIRBASE};
pub use describe::describe;
pub use error::{Clash, Conflict, Diagnostic, Error, Severity};
pub use init::{Init, KillStep, Style};
pub use life::{Handler, default_tty, helper, helper_is_disabled, helper_log, helper_of_end, initial_mtab};
pub use list::{claimed, conflicts, list, list_enabled, list_old, projects};
pub use model::{DeviceMap, DiskLimit, GuestConfig, Interface, IoNice, SYNC_TIMEOUT, Tun, Userns, Uts, Vlan};
pub use mounts::{FstabEntry, MountOptions, mounts, read_fstab};
pub use nearest::distance;
pub use network_space::{
    AntiSpoof, IpvlanMode, LinkKind, MacvlanMode, NamedSpace, NetLink, NetworkSpace, PortForward, Transport, Uplink,
    VlanRange,
};
pub use read::{
    bucket_of, device_maps, parse_limit, personality_type, read, rlimits_of, scope_number, survey, sysctl_of,
};
pub use sched::{Bucket, Sched};
pub use scripts::{Flavour, Script, has_scripts, scripts};
pub use sharing::{Sharing, sharing};
pub use storage::{snapshots_kept, subvolumes};
pub use switch::{Switch, bridge_of, is_name as is_switch_name};
pub use write::{
    Created, Edit, NewCpuSet, NewGuest, NewInterface, create, create_over, duplicate, edit, next_context, relink,
    remove, rename, set_aside, write,
};
