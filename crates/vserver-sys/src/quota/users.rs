//! Quotas of users and groups: quotactl_fd(2), Linux 5.14, with the commands that a guest may give about its own file system.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::check;

/// Whose quota a command is about. Values of `include/uapi/linux/quota.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A user's: `USRQUOTA`.
    User = 0,
    /// A group's: `GRPQUOTA`.
    Group = 1,
}

/// A command. The first ones are of `include/uapi/linux/quota.h`, those with an X of `include/uapi/linux/dqblk_xfs.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Command {
    /// Write out what was counted.
    Sync = 0x80_0001,
    /// Hold to limits from now on, where use is counted all the time.
    On = 0x80_0002,
    /// Hold nobody any more.
    Off = 0x80_0003,
    /// The format of what is stored.
    GetFormat = 0x80_0004,
    /// Times of grace, and flags.
    GetInfo = 0x80_0005,
    /// Set those times.
    SetInfo = 0x80_0006,
    /// What one uses and may use.
    Get = 0x80_0007,
    /// Set what one may use.
    Set = 0x80_0008,
    /// Of the next one that uses anything or has a limit.
    GetNext = 0x80_0009,
    /// What one uses and may use, as xfs tells it.
    XGet = 0x5803,
    /// Set what one may use, as xfs is told it.
    XSet = 0x5804,
    /// What is counted and held to.
    XState = 0x5805,
    /// Does nothing since Linux 2.6.
    XSync = 0x5807,
    /// The same as the state, with a version.
    XStateV = 0x5808,
    /// The next one, as xfs tells it.
    XGetNext = 0x5809,
}

/// Room for the largest struct of them all, `struct fs_quota_statv` with 160 bytes.
pub type Block = [u64; 20];

impl Command {
    const ALL: [Self; 15] = [
        Self::Sync,
        Self::On,
        Self::Off,
        Self::GetFormat,
        Self::GetInfo,
        Self::SetInfo,
        Self::Get,
        Self::Set,
        Self::GetNext,
        Self::XGet,
        Self::XSet,
        Self::XState,
        Self::XSync,
        Self::XStateV,
        Self::XGetNext,
    ];

    /// The one of this number, as it is in a call: above the eight bits that say whose quota.
    pub fn of(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|command| *command as u32 == number)
    }

    /// Bytes of what its last argument points to; none if it has none.
    pub fn length(self) -> usize {
        match self {
            Self::Sync | Self::On | Self::Off | Self::XSync => 0,
            Self::GetFormat => 4,
            Self::GetInfo | Self::SetInfo => 24,
            Self::Get | Self::Set | Self::GetNext => 72,
            Self::XGet | Self::XSet | Self::XGetNext => 112,
            Self::XState => 80,
            Self::XStateV => 160,
        }
    }

    /// Whether the kernel reads that.
    pub fn is_told(self) -> bool {
        // The version of the struct is told.
        matches!(self, Self::SetInfo | Self::Set | Self::XSet | Self::XStateV)
    }

    /// Whether the kernel writes there.
    pub fn tells(self) -> bool {
        self.length() > 0 && !matches!(self, Self::SetInfo | Self::Set | Self::XSet)
    }
}

/// Gives a command about the file system that holds `file`, of which a mere path is enough; `id` is a number on the disk.
/// What the command is told and tells is at the beginning of `block`.
///
/// # Errors
/// `ESRCH` where nothing is counted, `ENOENT` if there is no next one, `EPERM` without CAP_SYS_ADMIN, `ENOSYS`.
pub fn control(file: BorrowedFd<'_>, command: Command, owner: Owner, id: u32, block: &mut Block) -> io::Result<()> {
    let number = (command as u32) << 8 | owner as u32;
    // SAFETY: of each of these commands the kernel reads and writes at most as many bytes as the block has, which is live
    // and aligned for all of their structs.
    check(unsafe { libc::syscall(libc::SYS_quotactl_fd, file.as_raw_fd(), number, id, block.as_mut_ptr()) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_struct_fits_the_block() {
        for command in Command::ALL {
            assert!(command.length() <= size_of::<Block>(), "{command:?}");
            assert_eq!(Command::of(command as u32), Some(command));
            assert_eq!(command.length() > 0, command.is_told() || command.tells(), "{command:?}");
        }
        assert_eq!(size_of::<libc::dqblk>(), Command::Get.length());
        assert_eq!(Command::GetFormat as i32, libc::Q_GETFMT);
        assert_eq!(Command::Set as u32, libc::Q_SETQUOTA as u32);
        assert_eq!(Command::of(0x5801), None);
    }
}
