//! Installing a seccomp filter. seccomp(2), Linux 3.17.

use std::io;

use crate::check;

/// One classic BPF instruction, `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SockFilter {
    /// Operation.
    pub code: u16,
    /// Jump if true.
    pub jt: u8,
    /// Jump if false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// Adds a filter to the calling thread; it can never be taken off again. Needs CAP_SYS_ADMIN in the caller's user
/// namespace, or no_new_privs. At most 4096 instructions.
pub fn install(filter: &[SockFilter]) -> io::Result<()> {
    let Ok(len) = u16::try_from(filter.len()) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    let program = libc::sock_fprog { len, filter: filter.as_ptr() as *mut libc::sock_filter };
    let mode = libc::SECCOMP_SET_MODE_FILTER as libc::c_uint;
    // SAFETY: SockFilter has the layout of `struct sock_filter`, `len` is the true length of the live slice, and the
    // kernel only reads it (the field is `*mut` for historical reasons).
    check(unsafe { libc::syscall(libc::SYS_seccomp, mode, 0, &raw const program) }).map(drop)
}
