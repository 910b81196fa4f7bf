//! Landlock scopes: a domain whose members reach no abstract unix socket and signal no process outside of it.
//!
//! Only scopes are set, no file-system rule, so mounting, chroot and unshare inside are not affected.
//! Source: `Documentation/userspace-api/landlock.rst`, ABI 6 (Linux 6.12).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::check;

/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL`, `include/uapi/linux/landlock.h`.
const SCOPES: u64 = 0b11;
/// `LANDLOCK_CREATE_RULESET_VERSION`
const VERSION: libc::c_uint = 1;

/// `struct landlock_ruleset_attr` as of ABI 6.
#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// The kernel's Landlock ABI: 0 when it is not there or not active, 6 and above knows scopes.
pub fn abi() -> i64 {
    let none: *const RulesetAttr = std::ptr::null();
    // SAFETY: with the version flag the call takes a null pointer and size 0 and returns a number.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0usize, VERSION) }.max(0)
}

/// Puts the calling thread, and all that it forks from now on, into a new domain with both scopes.
/// Needs CAP_SYS_ADMIN (or no_new_privs).
pub fn scope_self() -> io::Result<()> {
    let attr = RulesetAttr { handled_access_fs: 0, handled_access_net: 0, scoped: SCOPES };
    // SAFETY: `attr` is a live repr(C) value and its true size is passed; the kernel only reads it.
    let fd = check(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attr, size_of::<RulesetAttr>(), 0)
    })?;
    // SAFETY: the call above returned a new descriptor that nobody else owns.
    let ruleset = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: two integers; the descriptor is open for the length of the call.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) }).map(drop)
}
