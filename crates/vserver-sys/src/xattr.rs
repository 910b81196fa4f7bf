//! Extended attributes by descriptor: fsetxattr(2), fgetxattr(2), fremovexattr(2), which nix lacks.

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

/// The value of the attribute `name`, at most 255 bytes; `None` if it is not set.
pub fn get(file: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0; 255];
    // SAFETY: `name` is a live C string, and the kernel writes at most the length of a live buffer.
    let found = check(unsafe {
        libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) as libc::c_long
    });
    match found {
        Ok(length) => {
            value.truncate(usize::try_from(length).unwrap_or(0));
            Ok(Some(value))
        }
        Err(error) if error.raw_os_error() == Some(libc::ENODATA) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes the attribute `name`; it is no error if it is not set.
pub fn remove(file: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    // SAFETY: `name` is a live C string.
    match check(libc::c_long::from(unsafe { libc::fremovexattr(file.as_raw_fd(), name.as_ptr()) })) {
        Err(error) if error.raw_os_error() == Some(libc::ENODATA) => Ok(()),
        other => other.map(drop),
    }
}
