//! quotactl(2) and quotactl_fd(2) about a guest's own disk (ccapability `quota_ctl`): its users and groups, whose numbers on the
//! disk are those inside. No other guest has files there.
//!
//! The kernel wants CAP_SYS_ADMIN over the host for most of it. The helper has that, and asks by a descriptor of the disk's that
//! it was born with: of what the caller says only a device's name is compared, and a descriptor's device. Who may what is the
//! kernel's rule: anybody knows the state, everybody his own quota and his groups', and the guest's root may all.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::sys::stat::fstat;
use vserver_sys::pidfd;
use vserver_sys::quota::users::{self, Block, Command, Owner};
use vserver_sys::seccomp::{self, Answer, Asked};

use super::caller::{Status, number_of, process_of};
use super::memory::{read, write};
use super::{Disk, Guest};

/// What a call wants, its pointers not yet followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wish {
    of: Named,
    command: Command,
    owner: Owner,
    id: u32,
    /// Where the command's struct stands.
    place: u64,
}

/// Which file system it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    /// That on the device whose name stands here; 0 is "all of them".
    Device(u64),
    /// That of this descriptor.
    Descriptor(i32),
}

/// The answer. The kernel is never told to go on.
pub(super) fn control(guest: &Guest<'_>, listener: BorrowedFd<'_>, asked: &Asked) -> Answer {
    match try_control(guest, listener, asked) {
        Ok(()) => Answer::Done,
        Err(errno) => Answer::Failed(errno as i32),
    }
}

/// Whether it only asks something of the kernel's memory: tools ask for each user.
pub(super) fn is_small(asked: &Asked) -> bool {
    Wish::of(asked).is_ok_and(|wish| wish.command.tells())
}

fn try_control(guest: &Guest<'_>, listener: BorrowedFd<'_>, asked: &Asked) -> nix::Result<()> {
    let wish = Wish::of(asked)?;
    let disk = guest.disk.ok_or(Errno::EPERM)?;
    if !is_own(&disk, asked.pid, wish)? || !may(guest.base, asked.pid, wish) {
        return Err(Errno::EPERM);
    }
    let mut bytes = [0; size_of::<Block>()];
    let struct_of_it = &mut bytes[..wish.command.length()];
    if wish.command.is_told() {
        read(asked.pid, wish.place, struct_of_it)?;
    }
    // The pid was its own all the time if it still waits.
    if !seccomp::still_waits(listener, asked.id) {
        return Err(Errno::ESRCH);
    }
    let mut block = words_of(&bytes);
    users::control(disk.root, wish.command, wish.owner, wish.id, &mut block).map_err(number_of)?;
    if wish.command.tells() {
        let told: Vec<u8> = block.iter().flat_map(|word| word.to_ne_bytes()).take(wish.command.length()).collect();
        write(asked.pid, wish.place, &told)?;
    }
    Ok(())
}

impl Wish {
    /// `EPERM` for what is not the guest's: quotas of projects are how the host limits it, and other commands are nobody's.
    fn of(asked: &Asked) -> nix::Result<Self> {
        let [first, second, third, place, ..] = asked.arguments;
        // The kernel takes 32 bits of all but pointers.
        let (of, number) = match asked.number {
            libc::SYS_quotactl => (Named::Device(second), first as u32),
            _ => (Named::Descriptor(first as i32), second as u32),
        };
        let owner = match number & 0xff {
            0 => Owner::User,
            1 => Owner::Group,
            2 => return Err(Errno::EPERM),
            _ => return Err(Errno::EINVAL),
        };
        let command = Command::of(number >> 8).ok_or(Errno::EPERM)?;
        Ok(Self { of, command, owner, id: third as u32, place })
    }
}

/// Whether it is about the guest's own disk.
fn is_own(disk: &Disk<'_>, pid: i32, wish: Wish) -> nix::Result<bool> {
    match wish.of {
        Named::Device(0) => Ok(wish.command == Command::Sync),
        Named::Device(place) => {
            let mut name = disk.device.as_os_str().as_bytes().to_vec();
            name.push(0);
            let mut said = vec![0; name.len()];
            read(pid, place, &mut said)?;
            Ok(said == name)
        }
        Named::Descriptor(number) => {
            let process = pidfd::open(process_of(pid).ok_or(Errno::ESRCH)?).map_err(number_of)?;
            let file = pidfd::take(process.as_fd(), number).map_err(number_of)?;
            Ok(fstat(&file)?.st_dev == fstat(disk.root)?.st_dev)
        }
    }
}

/// The kernel's rule, `check_quotactl_permission` of `fs/quota/quota.c`, with the guest's root in the place of CAP_SYS_ADMIN.
fn may(base: u32, pid: i32, wish: Wish) -> bool {
    let status = Status::of(pid);
    let inside = |number: u32| number.checked_sub(base);
    let user = status.as_ref().and_then(|status| status.effective("Uid:"));
    let is_root = user == Some(base);
    match wish.command {
        Command::GetFormat
        | Command::GetInfo
        | Command::Sync
        | Command::XState
        | Command::XStateV
        | Command::XSync => true,
        Command::Get | Command::XGet if wish.owner == Owner::User => {
            is_root || user.and_then(inside) == Some(wish.id)
        }
        Command::Get | Command::XGet => {
            let groups = |status: &Status| {
                let mut groups = status.effective("Gid:").into_iter().chain(status.numbers("Groups:"));
                groups.any(|group| inside(group) == Some(wish.id))
            };
            is_root || status.as_ref().is_some_and(groups)
        }
        _ => is_root,
    }
}

fn words_of(bytes: &[u8; size_of::<Block>()]) -> Block {
    let mut block = Block::default();
    for (word, bytes) in block.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(number: i64, arguments: [u64; 4]) -> Asked {
        let [a, b, c, d] = arguments;
        Asked { id: 1, pid: std::process::id() as i32, number, arguments: [a, b, c, d, 0, 0] }
    }

    fn wish(command: Command, owner: Owner, id: u32) -> Wish {
        Wish { of: Named::Device(0), command, owner, id, place: 0 }
    }

    #[test]
    fn both_calls_are_understood() {
        let by_name = Wish::of(&asked(libc::SYS_quotactl, [0x8000_0700, 9, 1000, 7])).unwrap();
        let expected = Wish { of: Named::Device(9), place: 7, ..wish(Command::Get, Owner::User, 1000) };
        assert_eq!(by_name, expected);
        let by_file = Wish::of(&asked(libc::SYS_quotactl_fd, [3, 0x8000_0801, 5, 7])).unwrap();
        let expected = Wish { of: Named::Descriptor(3), place: 7, ..wish(Command::Set, Owner::Group, 5) };
        assert_eq!(by_file, expected);
    }

    #[test]
    fn projects_and_unknown_commands_are_refused() {
        for (command, errno) in [
            (0x8000_0702, Errno::EPERM),
            (0x8000_0703, Errno::EINVAL),
            (0x8000_ff00, Errno::EPERM),
            // Q_XQUOTARM
            (0x0058_0600, Errno::EPERM),
        ] {
            assert_eq!(Wish::of(&asked(libc::SYS_quotactl, [command, 9, 0, 7])), Err(errno), "{command:x}");
        }
    }

    #[test]
    fn anybody_reads_his_own() {
        let (user, group) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        let own = std::process::id() as i32;
        // As if nobody here were the guest's root.
        let no_root = u32::MAX;
        assert!(may(no_root, own, wish(Command::GetInfo, Owner::User, 0)));
        assert!(!may(no_root, own, wish(Command::Get, Owner::User, user)));
        assert!(may(0, own, wish(Command::Get, Owner::User, user)));
        assert!(may(0, own, wish(Command::Get, Owner::Group, group)));
        assert!(!may(no_root, own, wish(Command::Set, Owner::User, user)));
        assert!(!may(no_root, own, wish(Command::GetNext, Owner::User, user)));
        assert_eq!(may(0, own, wish(Command::Set, Owner::User, user)), user == 0);
    }

    #[test]
    fn only_its_own_device_is_the_guests() {
        let root = std::fs::File::open("/").unwrap();
        let disk = Disk { root: root.as_fd(), device: std::path::Path::new("/dev/loop3") };
        let named = |text: &std::ffi::CStr| {
            let of = Named::Device(text.as_ptr() as u64);
            is_own(&disk, std::process::id() as i32, Wish { of, ..wish(Command::Get, Owner::User, 0) })
        };
        assert_eq!(named(c"/dev/loop3"), Ok(true));
        assert_eq!(named(c"/dev/loop30"), Ok(false));
        assert_eq!(named(c"/dev/loop2 "), Ok(false));
        let all = |command| is_own(&disk, 0, wish(command, Owner::User, 0));
        assert_eq!((all(Command::Sync), all(Command::Set)), (Ok(true), Ok(false)));
    }
}
