//! Who is at the other end of a unix socket, beyond what nix tells: unix(7), socket(7).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::check;

/// The most supplementary groups that a process can have (`NGROUPS_MAX`). Source: `include/uapi/linux/limits.h`.
const GROUPS_MAX: usize = 65_536;

/// Supplementary groups of the peer as they were when it connected. `SO_PEERGROUPS`, Linux 4.13.
pub fn groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut groups: Vec<u32> = vec![0; 64];
    loop {
        let mut length = libc::socklen_t::try_from(groups.len() * size_of::<u32>()).unwrap_or(0);
        let (level, option) = (libc::SOL_SOCKET, libc::SO_PEERGROUPS);
        // SAFETY: `groups` is a live, writable buffer of `length` bytes, and the kernel writes no more than that: if
        // there are more groups it writes nothing but the length that it needs, and answers ERANGE.
        let result = unsafe {
            libc::getsockopt(socket.as_raw_fd(), level, option, groups.as_mut_ptr().cast(), &raw mut length)
        };
        let count = length as usize / size_of::<u32>();
        match check(libc::c_long::from(result)) {
            Ok(_) => {
                groups.truncate(count);
                return Ok(groups);
            }
            Err(error)
                if error.raw_os_error() == Some(libc::ERANGE) && count > groups.len() && count <= GROUPS_MAX =>
            {
                groups.resize(count, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn our_own_groups_are_those_of_proc() {
        let (one, _other) = UnixStream::pair().unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
        let expected: Vec<u32> = line.split_whitespace().map(|id| id.parse().unwrap()).collect();
        assert_eq!(groups(one.as_fd()).unwrap(), expected);
    }
}
