//! The memory of a caller that waits. It can change it at any time: what counts is the copy. process_vm_readv(2).

use std::ffi::{CStr, CString};
use std::io::{IoSlice, IoSliceMut};

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;

/// A copy of what stands at `address`, as long as `buffer`.
pub(super) fn read(pid: i32, address: u64, buffer: &mut [u8]) -> nix::Result<()> {
    let (wanted, there) = (buffer.len(), RemoteIoVec { base: address as usize, len: buffer.len() });
    if wanted > 0 && process_vm_readv(Pid::from_raw(pid), &mut [IoSliceMut::new(buffer)], &[there])? < wanted {
        return Err(Errno::EFAULT);
    }
    Ok(())
}

/// The text at `address`, with what ends it. `ENAMETOOLONG` if that is not among `longest` bytes.
pub(super) fn text(pid: i32, address: u64, longest: usize) -> nix::Result<CString> {
    const PAGE: u64 = 4096;
    let mut found = Vec::new();
    while found.len() < longest {
        let from = address.checked_add(found.len() as u64).ok_or(Errno::EFAULT)?;
        // The next page may be nobody's.
        let length = (PAGE - from % PAGE).min((longest - found.len()) as u64);
        let mut piece = vec![0; length as usize];
        read(pid, from, &mut piece)?;
        found.extend(piece);
        if let Ok(text) = CStr::from_bytes_until_nul(&found) {
            return Ok(text.to_owned());
        }
    }
    Err(Errno::ENAMETOOLONG)
}

/// Puts `bytes` there, where the caller itself could write.
pub(super) fn write(pid: i32, address: u64, bytes: &[u8]) -> nix::Result<()> {
    let there = RemoteIoVec { base: address as usize, len: bytes.len() };
    if process_vm_writev(Pid::from_raw(pid), &[IoSlice::new(bytes)], &[there])? < bytes.len() {
        return Err(Errno::EFAULT);
    }
    Ok(())
}
