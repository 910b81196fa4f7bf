//! fork(2), vfork(2) and clone(2) of a guest that is to have no process more while it is above its soft memory limit (cflag
//! `fork_rss`).

use vserver_sys::seccomp::Asked;

/// Whether it makes a process.
pub fn is_asked(asked: &Asked) -> bool {
    #[cfg(target_arch = "x86_64")]
    let older = matches!(asked.number, libc::SYS_fork | libc::SYS_vfork);
    #[cfg(not(target_arch = "x86_64"))]
    let older = false;
    older || matches!(asked.number, libc::SYS_clone | libc::SYS_clone3)
}
