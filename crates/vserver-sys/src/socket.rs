//! Sockets: what nix has no word for.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::check;

/// Dissolves the association of a datagram socket, connect(2) with `AF_UNSPEC`: a port or number that the kernel chose for it
/// is given back, an address that it was bound to stays its source.
pub fn disconnect(socket: BorrowedFd<'_>) -> io::Result<()> {
    let nobody = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    let length = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: the kernel reads one sockaddr of the given true length through the pointer, which is live.
    check(unsafe { libc::connect(socket.as_raw_fd(), &raw const nobody, length) }.into()).map(drop)
}
