//! prlimit64(2) and setrlimit(2) that raise a hard limit, for a guest that may (ccapability `set_rlimit`). getrlimit(2).
//!
//! The kernel wants CAP_SYS_RESOURCE over the host for that, which would let the guest out of quotas, too. So the helper raises
//! the caller's limit, for the guest's root only, for the caller's own process only, and only as far as the guest as a whole
//! may go. All else the kernel decides, as if nobody had been asked: a change that raises nothing needs no help.

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use vserver_sys::prlimit::{self, INFINITY, Limit};
use vserver_sys::seccomp::{self, Answer, Asked};
use vserver_types::{Rlimit, Ulimit};

use super::Guest;
use super::caller::{Status, effective_user, number_of};
use super::memory::{read, write};

/// What a call wants, its pointers not yet followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wish {
    /// Whose limit, as the caller counts processes; 0 is its own.
    process: i32,
    resource: u8,
    /// Where the new one stands.
    new: u64,
    /// Where the old one goes; 0 is nowhere.
    old: u64,
}

/// `struct rlimit64`: soft, hard.
const LENGTH: usize = 16;

/// Raises it, or leaves the call to the kernel.
pub(super) fn raise(guest: &Guest<'_>, listener: BorrowedFd<'_>, asked: &Asked) -> Answer {
    match try_raise(guest, listener, asked) {
        Ok(true) => Answer::Done,
        Ok(false) => Answer::GoOn,
        Err(errno) => Answer::Failed(errno as i32),
    }
}

/// Whether it was done.
fn try_raise(guest: &Guest<'_>, listener: BorrowedFd<'_>, asked: &Asked) -> nix::Result<bool> {
    let Some(wish) = Wish::of(asked) else { return Ok(false) };
    let Some(highest) = highest(guest.limits, wish.resource) else { return Ok(false) };
    let is_own = wish.process == 0 || own_number(asked.pid) == Some(wish.process);
    if !is_own || effective_user(asked.pid) != Some(guest.base) {
        return Ok(false);
    }
    let mut bytes = [0; LENGTH];
    read(asked.pid, wish.new, &mut bytes)?;
    let new = from_bytes(bytes);
    let now = prlimit::get(asked.pid, wish.resource).map_err(number_of)?;
    if !is_raise(now, new, highest) {
        return Ok(false);
    }
    // The pid was its own all the time if it still waits. A number comes again only after all others.
    if !seccomp::still_waits(listener, asked.id) {
        return Err(Errno::ESRCH);
    }
    let old = prlimit::set(asked.pid, wish.resource, new).map_err(number_of)?;
    if wish.old != 0 {
        write(asked.pid, wish.old, &to_bytes(old))?;
    }
    Ok(true)
}

impl Wish {
    fn of(asked: &Asked) -> Option<Self> {
        let [first, second, third, fourth, ..] = asked.arguments;
        // The kernel takes 32 bits of the first two.
        let (process, resource, new, old) = match asked.number {
            libc::SYS_prlimit64 => (first as i32, second as u32, third, fourth),
            libc::SYS_setrlimit => (0, first as u32, second, 0),
            _ => return None,
        };
        let resource = u8::try_from(resource).ok()?;
        (new != 0).then_some(Self { process, resource, new, old })
    }
}

/// How far the guest may go; `None` for what nobody raises: priorities (`RLIMIT_RTPRIO`, `RLIMIT_NICE`) would be at the cost
/// of the host's other processes.
fn highest(limits: &[Ulimit], resource: u8) -> Option<u64> {
    let found = limits.iter().find(|limit| limit.resource.number() == resource)?;
    Some(match found.hard {
        Rlimit::Infinity => INFINITY,
        Rlimit::Value(value) => value,
    })
}

/// It is one that the kernel would refuse to the caller, and within the guest's bound. `INFINITY` is the largest number.
fn is_raise(now: Limit, new: Limit, highest: u64) -> bool {
    new.hard > now.hard && new.soft <= new.hard && new.hard <= highest
}

/// The process of thread `pid` as it counts itself: the last of its numbers, one for each PID namespace.
fn own_number(pid: i32) -> Option<i32> {
    Status::of(pid)?.numbers("NStgid:").last()?.try_into().ok()
}

fn from_bytes(bytes: [u8; LENGTH]) -> Limit {
    let whole = u128::from_ne_bytes(bytes);
    let (low, high) = (whole as u64, (whole >> 64) as u64);
    if cfg!(target_endian = "little") { Limit { soft: low, hard: high } } else { Limit { soft: high, hard: low } }
}

fn to_bytes(limit: Limit) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[..8].copy_from_slice(&limit.soft.to_ne_bytes());
    bytes[8..].copy_from_slice(&limit.hard.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use vserver_types::Resource;

    use super::*;

    fn asked(number: i64, arguments: [u64; 4]) -> Asked {
        let [a, b, c, d] = arguments;
        Asked { id: 1, pid: 1, number, arguments: [a, b, c, d, 0, 0] }
    }

    #[test]
    fn both_calls_are_understood() {
        let own = Wish { process: 0, resource: 7, new: 9, old: 0 };
        assert_eq!(Wish::of(&asked(libc::SYS_setrlimit, [7, 9, 5, 5])), Some(own));
        let other = Wish { process: 12, old: 3, ..own };
        assert_eq!(Wish::of(&asked(libc::SYS_prlimit64, [12, 7, 9, 3])), Some(other));
        for (number, arguments) in [
            (libc::SYS_prlimit64, [0, 7, 0, 3]),
            (libc::SYS_prlimit64, [0, 256, 9, 3]),
            (libc::SYS_setrlimit, [1 << 31, 9, 0, 0]),
            (libc::SYS_getrlimit, [7, 9, 0, 0]),
        ] {
            assert_eq!(Wish::of(&asked(number, arguments)), None, "{number} {arguments:?}");
        }
    }

    #[test]
    fn only_a_raise_within_the_bound_is_helped() {
        let limit = |soft, hard| Limit { soft, hard };
        let now = limit(50, 100);
        assert!(is_raise(now, limit(200, 200), 200) && is_raise(now, limit(0, INFINITY), INFINITY));
        for (new, highest) in [
            (limit(100, 100), INFINITY),
            (limit(10, 20), INFINITY),
            (limit(201, 201), 200),
            (limit(300, 200), 200),
            (limit(0, INFINITY), INFINITY - 1),
        ] {
            assert!(!is_raise(now, new, highest), "{new:?} {highest}");
        }
        assert!(!is_raise(limit(0, INFINITY), limit(0, INFINITY), INFINITY));
    }

    #[test]
    fn what_has_no_bound_is_nobodys() {
        let limits = [Ulimit { resource: Resource::Nofile, soft: None, hard: Rlimit::Value(512) }];
        assert_eq!(highest(&limits, Resource::Nofile.number()), Some(512));
        const RTPRIO: u8 = 14;
        assert_eq!(highest(&limits, RTPRIO), None);
    }

    #[test]
    fn limits_go_through_memory_as_they_are() {
        let limit = Limit { soft: 7, hard: INFINITY };
        assert_eq!(from_bytes(to_bytes(limit)), limit);
        assert_eq!(to_bytes(limit)[8..], [0xff; 8]);
    }

    #[test]
    fn a_process_knows_its_own_number() {
        let own = std::process::id() as i32;
        assert_eq!(own_number(own), Some(own));
        assert_eq!(own_number(0), None);
    }
}
