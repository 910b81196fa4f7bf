//! Limits of another process. prlimit(2), Linux 2.6.36.

use std::io;

/// One limit of a process, in the units of setrlimit(2); [`INFINITY`] is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is enforced. The process may raise it up to `hard`.
    pub soft: u64,
    /// What `soft` may be raised to.
    pub hard: u64,
}

/// No limit (`RLIM_INFINITY`).
pub const INFINITY: u64 = libc::RLIM_INFINITY;

/// Reads limit number `resource` (`RLIMIT_*` of `asm-generic/resource.h`, 0–15) of process `pid`, 0 being the caller.
/// `ESRCH`: no such process; `EPERM`: it has another owner; `EINVAL`: no such limit.
pub fn get(pid: i32, resource: u8) -> io::Result<Limit> {
    prlimit(pid, resource, None)
}

/// Sets it and returns what it was. `EPERM` also when `hard` rises without `CAP_SYS_RESOURCE` in the first user namespace.
pub fn set(pid: i32, resource: u8, limit: Limit) -> io::Result<Limit> {
    prlimit(pid, resource, Some(limit))
}

/// A bit of the number of a limit that the kernel does not look at (it takes the lower half of the register): what a
/// filter of system calls may know a call of [`lower`] by.
pub const UNASKED: u64 = 1 << 62;

/// Sets the caller's own limit `resource`; with [`UNASKED`], so that the filter of a guest lets it go to the kernel. `EPERM` if `hard` would rise.
pub fn lower(resource: u8, limit: Limit) -> io::Result<()> {
    let new = libc::rlimit64 { rlim_cur: limit.soft, rlim_max: limit.hard };
    let none = std::ptr::null_mut::<libc::rlimit64>();
    // SAFETY: `new` is a live rlimit64 that the kernel only reads, the old one is not asked for, and the call changes nothing
    // but a limit of this process; bit 62 of the second argument is cut off by the kernel, whose parameter has 32.
    let result =
        unsafe { libc::syscall(libc::SYS_prlimit64, 0_i64, u64::from(resource) | UNASKED, &raw const new, none) };
    crate::check(result).map(drop)
}

fn prlimit(pid: i32, resource: u8, new: Option<Limit>) -> io::Result<Limit> {
    let new = new.map(|limit| libc::rlimit { rlim_cur: limit.soft, rlim_max: limit.hard });
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `new` is null (read only) or points to `new`'s rlimit, which lives until the end of this function and is only
    // read; `old` is a live rlimit that the kernel fills. The kernel checks pid and resource and answers with an error.
    let result = unsafe { libc::prlimit(pid, resource.into(), new, &raw mut old) };
    crate::check(result.into())?;
    Ok(Limit { soft: old.rlim_cur, hard: old.rlim_max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_gets_what_it_is_given() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let nofile = u8::try_from(libc::RLIMIT_NOFILE).unwrap();
        let before = get(pid, nofile).unwrap();
        let wanted = Limit { soft: 17, hard: before.hard };
        let answers = (set(pid, nofile, wanted), get(pid, nofile), get(pid, 200));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(answers.0.unwrap(), before);
        assert_eq!(answers.1.unwrap(), wanted);
        assert_eq!(answers.2.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
