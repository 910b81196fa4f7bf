//! tun and tap devices. `Documentation/networking/tuntap.rst`, `include/uapi/linux/if_tun.h`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::check;

/// `_IOW('T', number, int)`: the kernel takes the argument itself, except of `TUNSETIFF`.
const fn request(number: u64) -> libc::c_ulong {
    0x4004_5400 | number
}

const TUNSETIFF: libc::c_ulong = request(202);
const TUNSETPERSIST: libc::c_ulong = request(203);
const TUNSETOWNER: libc::c_ulong = request(204);
const TUNSETLINK: libc::c_ulong = request(205);
const TUNSETGROUP: libc::c_ulong = request(206);

/// Only a new device, not one that is there (3.5).
const EXCLUSIVE: i32 = 0x8000;

/// What a device carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Packets.
    Tun = 1,
    /// Ethernet frames.
    Tap = 2,
}

/// Attaches `tun`, an open `/dev/net/tun`, to the device `name`, at most 15 bytes. One that is not there is made, which
/// needs `CAP_NET_ADMIN`; one that is there fails with `EBUSY` if `new` is set.
pub fn attach(tun: BorrowedFd<'_>, name: &str, kind: Kind, new: bool) -> io::Result<()> {
    let flags = kind as i32 | libc::IFF_NO_PI | if new { EXCLUSIVE } else { 0 };
    // The kernel reads the 16 bits as a set of flags.
    let flags = libc::__c_anonymous_ifr_ifru { ifru_flags: flags as libc::c_short };
    let mut wish = libc::ifreq { ifr_name: [0; libc::IFNAMSIZ], ifr_ifru: flags };
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains('\0') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (slot, byte) in wish.ifr_name.iter_mut().zip(name.bytes()) {
        *slot = byte as libc::c_char;
    }
    // SAFETY: TUNSETIFF reads and writes one ifreq through the pointer, which is live; its name ends with a zero byte.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), TUNSETIFF, &raw mut wish) }.into()).map(drop)
}

/// Whether the device stays when nobody is attached to it.
pub fn set_persistent(tun: BorrowedFd<'_>, stays: bool) -> io::Result<()> {
    set(tun, TUNSETPERSIST, stays.into())
}

/// The only uid, besides whoever has `CAP_NET_ADMIN`, that may attach to the device.
pub fn set_owner(tun: BorrowedFd<'_>, uid: u32) -> io::Result<()> {
    set(tun, TUNSETOWNER, uid.into())
}

/// The only group, besides whoever has `CAP_NET_ADMIN`, that may attach to the device; with an owner both must fit.
pub fn set_group(tun: BorrowedFd<'_>, gid: u32) -> io::Result<()> {
    set(tun, TUNSETGROUP, gid.into())
}

/// The type of its link (`ARPHRD_*`); `EBUSY` while it is up.
pub fn set_link_type(tun: BorrowedFd<'_>, kind: u16) -> io::Result<()> {
    set(tun, TUNSETLINK, kind.into())
}

fn set(tun: BorrowedFd<'_>, request: libc::c_ulong, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: these requests take an integer.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), request, value) }.into()).map(drop)
}
