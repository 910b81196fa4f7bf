//! tun and tap devices: made when a guest starts, removed when it stops. `Documentation/networking/tuntap.rst`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use netlink_packet_core::Nla;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoData, InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use nix::errno::Errno;
use vserver_sys::tun::{self, Kind};

use super::{Added, is, netlink};
use crate::Error;

/// The node through which programs of the host get at their devices.
pub const TUN_NODE: &str = "/dev/net/tun";
/// `IFLA_TUN_OWNER` and `IFLA_TUN_GROUP` of `include/uapi/linux/if_link.h`: absent if there is none (4.20).
const OWNER: u16 = 1;
const GROUP: u16 = 2;

/// One device and to whom it belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunPlan {
    /// It carries Ethernet frames, not packets.
    pub tap: bool,
    /// The host's uid that may use it.
    pub owner: Option<u32>,
    /// The host's group that may use it; with an owner both must fit.
    pub group: Option<u32>,
    /// Type of the link, `ARPHRD_*`.
    pub link_type: Option<u16>,
}

/// Makes the persistent device `dev`, which whoever fits its owner and group may use; without both everybody may who can
/// open `/dev/net/tun`. Needs `CAP_NET_ADMIN`. One that is there already is left as it is.
///
/// # Errors
/// [`Error::NoTun`] without the kernel module, or [`Error::Netlink`] with what the kernel said. Then nothing is left.
pub fn add_tun(dev: &str, plan: TunPlan) -> Result<Added, Error> {
    let node = open(Path::new(TUN_NODE)).map_err(|source| Error::NoTun { dev: dev.to_owned(), source })?;
    match tun::attach(node.as_fd(), dev, kind(plan.tap), true) {
        Ok(()) => {}
        Err(error) if is(&error, Errno::EBUSY) || is(&error, Errno::EEXIST) => return Ok(Added::WasThere),
        Err(source) => return Err(Error::Netlink { request: format!("making the tun device {dev}"), source }),
    }
    // It goes with the descriptor until it is told to stay: a failure leaves nothing.
    let done = belong(&node, plan).and_then(|()| tun::set_persistent(node.as_fd(), true));
    done.map_err(|source| Error::Netlink { request: format!("setting up the tun device {dev}"), source })?;
    Ok(Added::Now)
}

/// What tunctl changes of a device, new or there already, through the node `node`; `None` leaves a thing as it is.
///
/// # Errors
/// [`Error::NoTun`] if the node cannot be opened, [`Error::Netlink`].
pub fn change_tun(node: &Path, dev: &str, plan: TunPlan, persistent: Option<bool>) -> Result<(), Error> {
    let node = open(node).map_err(|source| Error::NoTun { dev: dev.to_owned(), source })?;
    let failed = |what: &str| {
        let request = format!("{what} the tun device {dev}");
        move |source| Error::Netlink { request, source }
    };
    tun::attach(node.as_fd(), dev, kind(plan.tap), false).map_err(failed("attaching to"))?;
    belong(&node, plan).map_err(failed("setting up"))?;
    persistent
        .map_or(Ok(()), |stays| tun::set_persistent(node.as_fd(), stays))
        .map_err(failed("keeping or giving up"))
}

/// tun and tap devices of this network namespace that have neither owner nor group.
///
/// # Errors
/// [`Error::Netlink`].
pub fn tuns_of_nobody() -> Result<Vec<String>, Error> {
    let all = netlink::dump(RouteNetlinkMessage::GetLink(LinkMessage::default()));
    let all = all.map_err(|source| Error::Netlink { request: "listing the devices".to_owned(), source })?;
    Ok(all.into_iter().filter_map(name_if_nobodys).collect())
}

fn name_if_nobodys(answer: RouteNetlinkMessage) -> Option<String> {
    let RouteNetlinkMessage::NewLink(link) = answer else { return None };
    let (mut name, mut nobodys) = (None, false);
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text),
            LinkAttribute::LinkInfo(infos) => {
                let tun = infos.contains(&LinkInfo::Kind(InfoKind::Tun));
                let owned = infos.iter().any(|info| match info {
                    LinkInfo::Data(InfoData::Tun(parts)) => {
                        parts.iter().any(|one| [OWNER, GROUP].contains(&one.kind()))
                    }
                    _ => false,
                });
                nobodys = tun && !owned;
            }
            _ => {}
        }
    }
    name.filter(|_| nobodys)
}

fn open(node: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(node)
}

fn belong(node: &File, plan: TunPlan) -> io::Result<()> {
    let node = node.as_fd();
    plan.link_type.map_or(Ok(()), |kind| tun::set_link_type(node, kind))?;
    plan.owner.map_or(Ok(()), |uid| tun::set_owner(node, uid))?;
    plan.group.map_or(Ok(()), |gid| tun::set_group(node, gid))
}

fn kind(tap: bool) -> Kind {
    if tap { Kind::Tap } else { Kind::Tun }
}
