//! Contexts without a guest: what `chcontext`, `vcontext`, `chbind` and `ncontext` make around a single command.
//!
//! A bare context is a directory below `vserver/.contexts` in the cgroup v2 hierarchy, `x<xid>` for a context and
//! `n<nid>` for a network context, and a record of its words. Who is in the directory or below is in the context. Tools
//! chain by `exec`, so directories nest: `.contexts/x40012/n40012` is a process in both. A network context carries the
//! address programs; those of all directories above hold too. The last process takes its context along ([`watch`]).

mod enter;
mod record;
mod spaces;
mod watch;

use std::net::IpAddr;
use std::path::PathBuf;

use vserver_cgroup::Layout;
use vserver_net::private_loopback;
use vserver_types::{CapSet, ContextCaps, ContextFlags, NetCaps, NetFlags, Nid, Xid};

pub use enter::{release, set_hold};
pub use record::Bare;
pub use spaces::{is_apart, join_spaces, leave_spaces};

use crate::attributes::Attributes;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::NetworkPlan;

/// Which of its two contexts a process is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The security context: its number is an xid.
    Context,
    /// The network context: its number is a nid.
    Network,
}

impl Side {
    const fn letter(self) -> char {
        match self {
            Self::Context => 'x',
            Self::Network => 'n',
        }
    }

    /// The directory or record of the context `number`.
    fn name(self, number: u32) -> String {
        format!("{}{number}", self.letter())
    }

    /// The number in such a name.
    fn number(self, name: &str) -> Option<u32> {
        name.strip_prefix(self.letter())?.parse().ok()
    }
}

/// `vserver/.contexts` of the v2 hierarchy.
fn top() -> Result<PathBuf> {
    let layout = Layout::detect().map_err(failed("find the cgroup hierarchies"))?;
    let mount = layout.v2_mount().ok_or_else(|| {
        failed("make a context")(std::io::Error::other(
            "there is no cgroup v2 hierarchy; mount one (mount -t cgroup2 none /sys/fs/cgroup/unified)",
        ))
    })?;
    Ok(mount.join("vserver/.contexts"))
}

/// For `map_err`: what was tried, without a guest.
pub(crate) fn failed<E>(action: impl Into<String>) -> impl FnOnce(E) -> Error
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let action = action.into();
    move |source| Error::Context { action, source: source.into() }
}

/// The words of a new context that nobody has restricted.
pub fn new_attributes() -> Attributes {
    Attributes {
        bcaps: CapSet::ALL,
        ccaps: ContextCaps(0),
        cflags: ContextFlags(0),
        umask: 0,
        ncaps: NetCaps(0),
        nflags: NetFlags(NetFlags::KERNEL_DEFAULT),
    }
}

/// What sockets of a new network context are held to: no address yet, only a private loopback.
pub fn new_network(nid: u32) -> NetworkPlan {
    let mut network = NetworkPlan {
        addresses: Vec::new(),
        loopback: private_loopback(Nid(nid)),
        broadcast: None,
        raw_icmp: false,
        lback_remap: true,
        lback_allow: false,
        hide_lback: true,
        hide_netif: true,
        multicast: false,
        low_ports: false,
    };
    let words = new_attributes();
    network.follow(words.ncaps, words.ccaps, words.nflags);
    network
}

/// The primary address of a device of this host, for options that take the name of one in place of an address.
pub fn address_of(device: &str) -> Result<Option<IpAddr>> {
    let all = vserver_net::addresses_on_host().map_err(failed("list the host's addresses"))?;
    Ok(all.into_iter().find(|(name, _)| name == device).map(|(_, network)| network.ip()))
}

/// Whether a guest has this number.
fn taken_by_guest(host: &Host, side: Side, number: u32) -> Result<bool> {
    let guests = crate::list::running(host)?;
    Ok(guests.iter().any(|guest| match side {
        Side::Context => guest.xid == Xid(number),
        Side::Network => guest.nid == Nid(number),
    }))
}
