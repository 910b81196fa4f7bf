//! mount(2) of a block device (ccapability `binary_mount`), which the kernel refuses inside a user namespace, and of a file
//! (`admin_cloop`, [`images`]).
//!
//! ```text
//!  helper                                    its child, as the guest's root in the caller's namespaces
//!    reads the call, checks the caller
//!    forks ────────────────────────────────► opens the device, as the guest itself can, and the target
//!    ◄─────────────────────────────────────  both descriptors
//!    goes where the caller is, makes the file system, compares its device
//!    maps its owners, attaches it
//! ```
//!
//! The kernel looks for the device by its name once more, so that the guest's table of mounts has that name; what it found there is
//! compared. Child and helper are in the caller's cgroup then: whatever the kernel opens for a file system, as the journal that an
//! ext4 keeps elsewhere, is held to the guest's device policy.
//!
//! A call that is not for us goes on in the kernel, with arguments that the caller may have changed meanwhile. That is safe because
//! the kernel itself judges it, as the guest's call in the guest's user namespace: what it refuses there nobody has checked for
//! it here.

mod images;
mod kinds;
mod places;

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::write;
use vserver_sys::block;
use vserver_sys::mount::{self, NOATIME, NODEV, NODIRATIME, NOEXEC, NOSUID, NOSYMFOLLOW, RDONLY, STRICTATIME};
use vserver_sys::process::SingleThreaded;
use vserver_sys::seccomp::{self, Answer, Asked};
use vserver_types::Capability;

use self::kinds::{Kind, Owners};
pub(super) use self::places::Caller;
use self::places::Places;
use super::caller::{Status, number_of};
use super::memory::text;
use super::{Guest, loops, place_of};
use crate::birth::enter_v1;

/// Longest name of a type, bytes with its end.
const LONGEST_TYPE: usize = 32;
/// Longest name of a device: fsconfig(2) takes no longer text.
const LONGEST_SOURCE: usize = 256;
/// `PATH_MAX`
const LONGEST_PATH: usize = 4096;
/// What mount(2) takes of options: a page.
const LONGEST_OPTIONS: usize = 4096;

/// What a call wants.
#[derive(Debug)]
struct Wish {
    kind: &'static Kind,
    source: CString,
    target: CString,
    read_only: bool,
    /// `MOUNT_ATTR_*`
    attributes: u64,
    /// Of the file system.
    options: Vec<(CString, Option<CString>)>,
}

/// The answer to mount(2).
pub(super) fn mount(token: SingleThreaded, guest: &Guest<'_>, listener: BorrowedFd<'_>, asked: &Asked) -> Answer {
    match try_mount(token, guest, listener, asked) {
        Ok(true) => Answer::Done,
        Ok(false) => Answer::GoOn,
        Err(errno) => Answer::Failed(errno as i32),
    }
}

/// The answer to fsopen(2), the first of the calls that mount by descriptor: programs that hear there is none use mount(2).
pub(super) fn begin(asked: &Asked) -> Answer {
    let name = text(asked.pid, asked.arguments[0], LONGEST_TYPE);
    match name.map(|name| kind_of(&name)) {
        Ok(Ok(Some(_))) => Answer::Failed(Errno::ENOSYS as i32),
        Ok(Err(errno)) => Answer::Failed(errno as i32),
        _ => Answer::GoOn,
    }
}

/// The type that is mounted for guests; `None` is the kernel's to judge. Types of which it would say that nobody may mount them
/// are said not to be there.
fn kind_of(name: &CStr) -> nix::Result<Option<&'static Kind>> {
    match Kind::of(name) {
        None if kinds::is_on_a_device(name) => Err(Errno::ENODEV),
        kind => Ok(kind),
    }
}

/// Whether it was done. What is not for us the kernel answers; see above.
fn try_mount(token: SingleThreaded, guest: &Guest<'_>, listener: BorrowedFd<'_>, asked: &Asked) -> nix::Result<bool> {
    let Some(flags) = flags_of_a_new_mount(asked.arguments[3]) else { return Ok(false) };
    let Ok(name) = text(asked.pid, asked.arguments[2], LONGEST_TYPE) else { return Ok(false) };
    let Some(kind) = kind_of(&name)? else { return Ok(false) };
    let caller = Caller::of(asked.pid)?;
    if !is_root(guest.base, asked.pid) || !caller.is_in_namespace_of(guest.init)? {
        return Ok(false);
    }
    let wish = Wish::read(kind, flags, guest.base, asked)?;
    // The pid was its own all the time if it still waits.
    if !seccomp::still_waits(listener, asked.id) {
        return Err(Errno::ESRCH);
    }
    let places = places::find(token, guest, &caller, &wish, asked.pid)?;
    let found = fstat(&places.source)?;
    if found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits() {
        let place = loops::Given::of(&places.source, asked.pid);
        let made = images::make(guest, &wish, places.source, found, place.as_ref(), caller.users.as_fd());
        let done = made.and_then(|made| put(listener, asked, &caller, &made, &places.target));
        if let (Ok(()), Some(place)) = (done, place.filter(|place| place.clears_itself)) {
            // If that fails, the place is free when the caller has ended.
            let _ = caller.become_its_root().and_then(|()| loops::release(place.number));
        }
        return done.map(|()| true);
    }
    let number = device(&places, &wish)?;
    // Nobody else may have it open for writing, on some kernels. CONFIG_BLK_DEV_WRITE_MOUNTED
    drop(places.source);
    enter(guest, asked.pid)?;
    caller.go_there()?;
    let made = make(&wish, number, caller.users.as_fd())?;
    put(listener, asked, &caller, &made, &places.target).map(|()| true)
}

/// Attaches what was made, if the caller still waits.
fn put(
    listener: BorrowedFd<'_>,
    asked: &Asked,
    caller: &Caller,
    made: &OwnedFd,
    target: &OwnedFd,
) -> nix::Result<()> {
    caller.go_there()?;
    if !seccomp::still_waits(listener, asked.id) {
        return Err(Errno::ESRCH);
    }
    mount::attach(made.as_fd(), target.as_fd()).map_err(number_of)
}

/// This process goes into the cgroups that the caller is in.
fn enter(guest: &Guest<'_>, pid: i32) -> nix::Result<()> {
    if let Some(place) = place_of(guest, pid).map_err(|_| Errno::EPERM)? {
        let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        write(openat(&place, "cgroup.procs", flags, Mode::empty())?, b"0")?;
    }
    enter_v1(guest.doors).map_err(|_| Errno::EPERM)
}

/// The guest's root, with the capability that mount(2) asks for.
pub(super) fn is_root(base: u32, pid: i32) -> bool {
    let status = Status::of(pid);
    let administers = |status: &Status| status.capabilities() & 1 << Capability::SYS_ADMIN.0 != 0;
    status.is_some_and(|status| status.effective("Uid:") == Some(base) && administers(&status))
}

/// Without what old programs mark them by; `None` if something is changed that is mounted.
fn flags_of_a_new_mount(argument: u64) -> Option<u64> {
    let marked = argument & libc::MS_MGC_MSK == libc::MS_MGC_VAL;
    let flags = if marked { argument & !libc::MS_MGC_MSK } else { argument };
    let others = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_MOVE;
    let propagation = libc::MS_SHARED | libc::MS_PRIVATE | libc::MS_SLAVE | libc::MS_UNBINDABLE;
    (flags & (others | propagation) == 0).then_some(flags)
}

impl Wish {
    fn read(kind: &'static Kind, flags: u64, base: u32, asked: &Asked) -> nix::Result<Self> {
        let [source, target, _, _, data, _] = asked.arguments;
        let data = if data == 0 { CString::default() } else { text(asked.pid, data, LONGEST_OPTIONS)? };
        let mut options = kind.options(&data, base)?;
        let switches = [
            (libc::MS_RDONLY, c"ro"),
            (libc::MS_SYNCHRONOUS, c"sync"),
            (libc::MS_DIRSYNC, c"dirsync"),
            (libc::MS_LAZYTIME, c"lazytime"),
        ];
        let switched = switches.into_iter().filter(|(flag, _)| flags & flag != 0);
        options.extend(switched.map(|(_, name)| (name.to_owned(), None)));
        Ok(Self {
            kind,
            source: text(asked.pid, source, LONGEST_SOURCE)?,
            target: text(asked.pid, target, LONGEST_PATH)?,
            read_only: flags & libc::MS_RDONLY != 0,
            attributes: attributes(flags)?,
            options,
        })
    }
}

/// Programs of the guest's root are not started as somebody else by what stands on the disk, and its device nodes are none.
fn attributes(flags: u64) -> nix::Result<u64> {
    let harmless = libc::MS_SYNCHRONOUS | libc::MS_DIRSYNC | libc::MS_LAZYTIME | libc::MS_SILENT;
    let ours = [
        (libc::MS_RDONLY, RDONLY),
        (libc::MS_NOSUID, NOSUID),
        (libc::MS_NODEV, NODEV),
        (libc::MS_NOEXEC, NOEXEC),
        (libc::MS_NOATIME, NOATIME),
        (libc::MS_NODIRATIME, NODIRATIME),
        (libc::MS_STRICTATIME, STRICTATIME),
        (MS_NOSYMFOLLOW, NOSYMFOLLOW),
        (libc::MS_RELATIME, 0),
    ];
    let known = ours.iter().fold(harmless, |known, (flag, _)| known | flag);
    let times = libc::MS_NOATIME | libc::MS_STRICTATIME;
    if flags & !known != 0 || flags & times == times {
        return Err(Errno::EINVAL);
    }
    let set = ours.iter().filter(|(flag, _)| flags & flag != 0);
    Ok(set.fold(NOSUID | NODEV, |all, (_, attribute)| all | attribute))
}

/// `include/uapi/linux/mount.h`, Linux 5.10.
const MS_NOSYMFOLLOW: u64 = 256;

/// The number of the device that the guest may use as the mount does. A file system with a journal writes when it is mounted
/// read-only, too.
fn device(places: &Places, wish: &Wish) -> nix::Result<u64> {
    let found = fstat(&places.source)?;
    if found.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFBLK.bits() {
        return Err(Errno::ENOTBLK);
    }
    let is_written = !wish.read_only || wish.kind.journal;
    if is_written && !places.writable && !block::is_read_only(places.source.as_fd()).map_err(number_of)? {
        return Err(Errno::EACCES);
    }
    Ok(found.st_rdev)
}

/// Of the device `number`, detached, with the guest's owners.
fn make(wish: &Wish, number: u64, users: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    let said = wish.options.iter().map(|(name, value)| (name.as_c_str(), value.as_deref()));
    let options: Vec<_> = said.chain([(c"source", Some(wish.source.as_c_str()))]).collect();
    let made = mount::new_filesystem(wish.kind.name, &options, wish.attributes).map_err(number_of)?;
    if fstat(&made)?.st_dev != number {
        return Err(Errno::EACCES);
    }
    if wish.kind.owners == Owners::Mapped {
        mount::idmap(made.as_fd(), users).map_err(number_of)?;
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_mounts_are_for_us() {
        assert_eq!(flags_of_a_new_mount(1), Some(1));
        assert_eq!(flags_of_a_new_mount(0xC0ED_0001), Some(1));
        for other in [libc::MS_REMOUNT, libc::MS_BIND, libc::MS_MOVE, libc::MS_PRIVATE, libc::MS_SLAVE] {
            assert_eq!(flags_of_a_new_mount(other | libc::MS_RDONLY), None);
        }
    }

    #[test]
    fn neither_suid_nor_devices_whatever_is_asked() {
        assert_eq!(attributes(0), Ok(NOSUID | NODEV));
        assert_eq!(attributes(libc::MS_RDONLY | libc::MS_NOATIME), Ok(NOSUID | NODEV | RDONLY | NOATIME));
        assert_eq!(attributes(libc::MS_NOATIME | libc::MS_STRICTATIME), Err(Errno::EINVAL));
        assert_eq!(attributes(libc::MS_MANDLOCK), Err(Errno::EINVAL));
    }

    #[test]
    fn a_text_is_read_to_its_end() {
        let own = std::process::id() as i32;
        let at = |text: &CStr| text.as_ptr() as u64;
        assert_eq!(text(own, at(c"ext4"), LONGEST_TYPE), Ok(c"ext4".to_owned()));
        assert_eq!(text(own, at(c"0123456789"), 10), Err(Errno::ENAMETOOLONG));
        assert_eq!(text(own, 0, 10), Err(Errno::EFAULT));
    }
}
