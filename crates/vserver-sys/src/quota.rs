//! Project quotas: quotactl_fd(2), Linux 5.14. A descriptor names the file system, so no device is looked for. Those of users
//! and groups are [`users`].

pub mod users;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::check;

/// `PRJQUOTA`, `include/uapi/linux/quota.h`.
const PROJECT: u32 = 2;
/// `Q_XGETQSTAT`, `include/uapi/linux/dqblk_xfs.h`.
const GET_STATE: u32 = ((b'X' as u32) << 8) + 5;
/// `QIF_BLIMITS | QIF_ILIMITS`
const BOTH_LIMITS: u32 = 1 | 4;

/// What a project uses and may use; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Hard limit in KiB.
    pub space_hard: u64,
    /// Soft limit in KiB.
    pub space_soft: u64,
    /// Bytes in use.
    pub space_used: u64,
    /// Hard limit of inodes.
    pub inodes_hard: u64,
    /// Soft limit of inodes.
    pub inodes_soft: u64,
    /// Inodes in use.
    pub inodes_used: u64,
}

/// Whether a file system counts what projects use, and holds them to their limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// It counts.
    pub counted: bool,
    /// It holds.
    pub enforced: bool,
    /// It holds users and groups to theirs.
    pub holds_users: bool,
}

/// `struct fs_qfilestat`
#[repr(C)]
#[derive(Default)]
struct FileState {
    inode: u64,
    blocks: u64,
    extents: u32,
}

/// `struct fs_quota_stat`
#[repr(C)]
#[derive(Default)]
struct KernelState {
    version: i8,
    flags: u16,
    pad: i8,
    files: [FileState; 2],
    in_core: u32,
    times: [i32; 3],
    warnings: [u16; 2],
}

fn command(number: u32) -> libc::c_uint {
    number << 8 | PROJECT
}

/// The state of the file system that holds `file`. `ENOSYS` where it has no quotas at all.
pub fn state(file: BorrowedFd<'_>) -> io::Result<State> {
    /// `FS_QUOTA_PDQ_ACCT`
    const COUNTED: u16 = 1 << 4;
    /// `FS_QUOTA_PDQ_ENFD`
    const ENFORCED: u16 = 1 << 5;
    /// `FS_QUOTA_UDQ_ENFD | FS_QUOTA_GDQ_ENFD`
    const USERS: u16 = 1 << 1 | 1 << 3;
    let mut found = KernelState::default();
    // SAFETY: the kernel fills a struct of this repr(C) layout behind a live pointer.
    check(unsafe {
        libc::syscall(libc::SYS_quotactl_fd, file.as_raw_fd(), command(GET_STATE), 0, std::ptr::from_mut(&mut found))
    })?;
    Ok(State {
        counted: found.flags & COUNTED != 0,
        enforced: found.flags & ENFORCED != 0,
        holds_users: found.flags & USERS == USERS,
    })
}

/// What `project` uses and may use. `ESRCH` where projects are not counted.
pub fn get(file: BorrowedFd<'_>, project: u32) -> io::Result<Quota> {
    // SAFETY: integers only; all zeroes is a valid value.
    let mut found: libc::dqblk = unsafe { std::mem::zeroed() };
    let number = command(libc::Q_GETQUOTA as u32);
    // SAFETY: the kernel fills a `struct if_dqblk`, which libc calls `dqblk`, behind a live pointer.
    let done = check(unsafe {
        libc::syscall(libc::SYS_quotactl_fd, file.as_raw_fd(), number, project, std::ptr::from_mut(&mut found))
    });
    match done {
        Ok(_) => {}
        // xfs says that of a project which nothing has used yet.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(Quota::default()),
        Err(error) => return Err(error),
    }
    Ok(Quota {
        space_hard: found.dqb_bhardlimit,
        space_soft: found.dqb_bsoftlimit,
        space_used: found.dqb_curspace,
        inodes_hard: found.dqb_ihardlimit,
        inodes_soft: found.dqb_isoftlimit,
        inodes_used: found.dqb_curinodes,
    })
}

/// Sets the four limits of `project`; what it uses is the kernel's to count.
pub fn set(file: BorrowedFd<'_>, project: u32, quota: &Quota) -> io::Result<()> {
    // SAFETY: integers only; all zeroes is a valid value.
    let mut wanted: libc::dqblk = unsafe { std::mem::zeroed() };
    wanted.dqb_bhardlimit = quota.space_hard;
    wanted.dqb_bsoftlimit = quota.space_soft;
    wanted.dqb_ihardlimit = quota.inodes_hard;
    wanted.dqb_isoftlimit = quota.inodes_soft;
    wanted.dqb_valid = BOTH_LIMITS;
    let number = command(libc::Q_SETQUOTA as u32);
    // SAFETY: the kernel reads a live `struct if_dqblk`, which libc calls `dqblk`.
    check(unsafe {
        libc::syscall(libc::SYS_quotactl_fd, file.as_raw_fd(), number, project, std::ptr::from_ref(&wanted))
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_struct_is_the_kernels() {
        assert_eq!(size_of::<KernelState>(), 80);
    }
}
