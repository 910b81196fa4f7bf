//! Sockets: what nix has no word for.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::check;

/// The number of a socket, unique while the system runs (`SO_COOKIE`, 4.12).
///
/// # Errors
/// `ENOTSOCK`.
pub fn cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    option(socket, libc::SO_COOKIE, 0_u64)
}

/// The protocol of a TCP socket that listens or of a UDP socket: what a packet that belongs to no connection may be for.
///
/// # Errors
/// `ENOTSOCK`.
pub fn hears(socket: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    let protocol = option(socket, libc::SO_PROTOCOL, 0_i32)?;
    let listens = protocol == libc::IPPROTO_TCP && option(socket, libc::SO_ACCEPTCONN, 0_i32)? != 0;
    Ok((listens || protocol == libc::IPPROTO_UDP).then_some(protocol))
}

/// A socket of UDP-Lite (`IPPROTO_UDPLITE`, 2.6.20) of a family, with `SOCK_CLOEXEC` and `SOCK_NONBLOCK` as `flags` say.
///
/// # Errors
/// `EPROTONOSUPPORT` if the kernel has none.
pub fn udplite(family: i32, flags: i32) -> io::Result<OwnedFd> {
    // SAFETY: three integers.
    let fd = check(unsafe { libc::socket(family, libc::SOCK_DGRAM | flags, libc::IPPROTO_UDPLITE) }.into())?;
    // SAFETY: the kernel returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Whether the kernel has SCTP (`IPPROTO_SCTP`, 2.6). It loads its module for the socket that is made and closed here, where
/// there is one and loading is not forbidden.
///
/// # Errors
/// What keeps any socket from being made, as `EMFILE`.
pub fn has_sctp() -> io::Result<bool> {
    // SAFETY: three integers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, libc::IPPROTO_SCTP) };
    match check(fd.into()) {
        // SAFETY: the kernel returned a new descriptor that nobody else owns.
        Ok(fd) => drop(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT)) => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    }
    Ok(true)
}

/// Lets lists that are asked for on a netlink socket be only of what the request says (`NETLINK_GET_STRICT_CHK`, 4.20).
///
/// # Errors
/// `ENOPROTOOPT` on older kernels.
pub fn dump_strictly(socket: BorrowedFd<'_>) -> io::Result<()> {
    let (on, length) = (1_i32, size_of::<i32>() as libc::socklen_t);
    let (level, name) = (libc::SOL_NETLINK, libc::NETLINK_GET_STRICT_CHK);
    // SAFETY: the kernel reads one int of the given true length through the pointer, which is live.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const on).cast(), length) };
    check(done.into()).map(drop)
}

/// A number that getsockopt(2) knows; `T` is an integer of the option's length.
fn option<T: Copy>(socket: BorrowedFd<'_>, name: i32, mut value: T) -> io::Result<T> {
    let mut length = size_of::<T>() as libc::socklen_t;
    let place = (&raw mut value).cast();
    // SAFETY: the kernel writes at most `length` bytes to `value`, which outlives the call and is valid as any bytes: this
    // function is private and called with integers.
    check(unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, place, &raw mut length) }.into())?;
    Ok(value)
}

/// Dissolves the association of a datagram socket, connect(2) with `AF_UNSPEC`: a port or number that the kernel chose for it
/// is given back, an address that it was bound to stays its source.
pub fn disconnect(socket: BorrowedFd<'_>) -> io::Result<()> {
    let nobody = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    let length = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: the kernel reads one sockaddr of the given true length through the pointer, which is live.
    check(unsafe { libc::connect(socket.as_raw_fd(), &raw const nobody, length) }.into()).map(drop)
}
