//! A guest's life, in one direction:
//!
//! ```text
//! configuration ─ Plan::from_config ─► Plan ─ prepare ─► Prepared ─ launch ─► running ─ stop ─► teardown ─► nothing
//! ```
//!
//! Every front end — the command line, the daemon — goes through this library; there is no second implementation. A
//! guest's state changes only under its lock, a file that is locked as long as its holder lives.

pub mod bare;
pub mod control;
pub mod fuse;
pub mod plan;
pub mod settings;
pub mod window;

mod addresses;
mod apparmor;
mod appraise;
mod attributes;
mod become_keeper;
mod become_supervisor;
mod beside;
mod builder;
mod change;
mod choose;
mod compat_state;
mod devices;
mod disk;
mod early;
mod errand;
mod error;
mod exec;
mod furnish;
mod helper;
mod hold;
mod host;
mod image;
mod init_style;
mod inspect;
mod interrupt;
mod keep;
mod late_mount;
mod launch;
mod list;
mod mounts;
mod netns;
mod old_locks;
mod prepare;
mod quotas;
mod record;
mod relay;
mod scripts;
mod shared;
mod sockets;
mod stage;
mod start;
mod stop;
mod switch;
mod teardown;
mod terminal;
mod traffic;
mod unapplied;
pub mod vars;
mod view;
mod workshop;

pub use apparmor::AppArmorPlan;
pub use appraise::{Appraisal, appraise};
pub use attributes::Attributes;
pub use change::{change_attributes, change_devices, change_network};
pub use devices::DevicePlan;
pub use disk::{Disk, DiskPlan, LimitPlan, disk, grow_disk};
pub use errand::{Errand, run_errand};
pub use error::{Error, Result};
pub use exec::{Command, User, enter, exec};
pub use host::{CONFDIR_VARIABLE, Host};
pub use init_style::{First, InitPlan, Preparation, Rescue};
pub use inspect::inspect;
pub use late_mount::{Late, mount_into};
pub use list::{Status, cgroup_bases, running, status};
pub use mounts::{mount_on, mtab_line};
pub use plan::{NetworkPlan, Plan};
pub use record::{AddedAddress, RunRecord, start_time, start_time_in};
pub use scripts::Trust;
pub use settings::Ending;
pub use start::{StartOptions, Started, plan, start};
pub use stop::{StopOptions, Stopped, after_exit, is_put_away, stop};
pub use switch::{SwitchState, create_switch, delete_switch, switches};
pub use traffic::{Passed, change_traffic, passed};
pub use unapplied::is_namespaced;
pub use vserver_sandbox::nested::Around;
pub use workshop::{GUEST, Lent, Toolbox};
