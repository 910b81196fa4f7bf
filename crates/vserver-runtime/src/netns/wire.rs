//! A macvlan or VLAN device for a guest that may change its own links (`NET_ADMIN`).
//!
//! The kernel lets whoever governs a macvlan make more of them on the same device of the host, under any Ethernet address and
//! without a filter, and take filters off what is inside. So such a guest gets a pair instead, and the device stays
//! on the host, joined to its end: each frame of the one goes out by the other. What judges the guest is at that end.
//!
//! ```text
//!  eth0 ─ vm40000-0 (macvlan) ─ joined ─ vp40000-0 ═══ eth0 inside
//! ```

use std::os::fd::{AsFd, BorrowedFd};

use vserver_config::{LinkKind, NetLink};
use vserver_net::space::{self, Child, Link};
use vserver_types::Capability;

use super::links::Made;
use super::{guarding, mac};
use crate::plan::Plan;

/// Whether this link must not be inside. One that is held to nothing may.
pub fn is_needed(plan: &Plan, link: &NetLink) -> bool {
    let alone = matches!(link.kind, LinkKind::Macvlan { .. } | LinkKind::Vlan { .. });
    alone && plan.attributes.bcaps.contains(Capability::NET_ADMIN) && guarding::is_held(plan, link)
}

/// The two devices on the host: the end of the pair, and the one that hangs on the parent. Few enough letters for any number.
pub fn names(plan: &Plan, link: &NetLink) -> [String; 2] {
    let number = plan.space.links().iter().position(|own| own.guest == link.guest).unwrap_or_default();
    ["vp", "vm"].map(|kind| format!("{kind}{}-{number}", plan.xid.0))
}

/// Makes both, and joins them.
pub fn make(
    plan: &Plan,
    link: &NetLink,
    (child, parent): (Child, &str),
    [end, outer]: &[String; 2],
    network: BorrowedFd<'_>,
) -> Made {
    let failed =
        |source| vserver_net::Error::Netlink { request: "opening the host's network namespace".to_owned(), source };
    let home = space::own_space().map_err(failed)?;
    space::put_child(child, parent, Link { name: outer, mtu: link.mtu, mac: mac::of(plan, link) }, home.as_fd())?;
    // What is inside looks as the device itself would.
    let (mac, mtu) = (space::mac_of(outer)?, space::mtu_of(outer)?);
    space::give_pair(end, Link { name: &link.guest, mtu: Some(mtu), mac: Some(mac) }, network)?;
    guarding::wired(plan, link, end, outer, mac)?;
    space::set_up_as_a_wire(outer)?;
    space::set_up_as_a_wire(end)
}
