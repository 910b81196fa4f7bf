//! Extended attributes by descriptor: fsetxattr(2), which nix lacks.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::check;

/// Sets the attribute `name` of an open file or directory (not of an `O_PATH` descriptor), replacing an old value.
pub fn set(file: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: `name` is a live C string, and `value` lives through the call with the length that is passed.
    check(libc::c_long::from(unsafe {
        libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    }))
    .map(drop)
}
