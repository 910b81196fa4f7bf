//! The guest's own `/proc/net`: of the host's network stack, what is its own (`hide_netif`).
//!
//! ```text
//!  tcp, udp, unix, …      the host's table, with the guest's sockets only
//!  dev, route, if_inet6…  those of a shadow (vserver_net::shadow), which has the guest's devices, addresses and routes only
//! ```
//!
//! Executed by the supervisor when the guest asks, and ends when it asks no more, or when something else is to be shown. A thread
//! in a network namespace of its own gets the tables of that one.

mod names;
mod owner;
mod serve;
mod stack;
mod table;

use vserver_cgroup::{GuestCgroup, Layout};
use vserver_runtime::settings::{Shown, fds};
use vserver_sys::fd;

use owner::Owner;
use stack::Stack;

/// `NAME CGROUPS BASE SHOWN`: the guest, where its cgroups are, the first of its uids, 0 in classic mode, and what it is shown.
pub fn run(arguments: &[String]) -> Option<()> {
    let [name, cgroups, base, shown] = arguments else { return None };
    let (name, cgroups, base) = (name.parse().ok()?, cgroups.parse().ok()?, base.parse().ok()?);
    let shown: Option<Shown> = serde_json::from_str(shown).ok()?;
    let (device, lease) = (fd::inherited(fds::FUSE).ok()?, fd::inherited(fds::LEASE).ok()?);
    let layout = Layout::detect().ok()?.with_base(&cgroups);
    let owner = Owner::new(base, shown.as_ref(), GuestCgroup::open(&layout, &name)?);
    let mut stack = Stack::new(owner, shown).ok()?;
    serve::serve(&device, &lease, &mut stack).ok()
}
