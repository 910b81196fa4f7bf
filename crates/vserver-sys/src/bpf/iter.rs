//! Iterators: programs that the kernel runs over all of its objects of one kind, when somebody reads; 5.8.

use std::ffi::c_int;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use super::btf::kernel_function;
use super::call::{command, load_traced, number};
use super::{AttachType, Insn};

const BPF_LINK_CREATE: c_int = 28;
const BPF_ITER_CREATE: c_int = 33;

#[repr(C)]
#[derive(Default)]
struct LinkAttr {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct IterAttr {
    link_fd: u32,
    flags: u32,
}

/// Loads a program for the iterator whose kernel function is `function`, such as `bpf_iter_udp` (5.9), and makes it ready
/// to be run: it stays so as long as the descriptor. The kernel must show its types.
///
/// # Errors
/// `NotFound` if the kernel has no such iterator or no types; what [`super::prog_load`] says of the program.
pub fn iter_load(function: &str, insns: &[Insn], name: &str) -> io::Result<OwnedFd> {
    let program = iter_program(function, insns, name)?;
    let mut attr = LinkAttr {
        prog_fd: number(std::os::fd::AsFd::as_fd(&program)),
        attach_type: AttachType::TraceIter as u32,
        ..LinkAttr::default()
    };
    // SAFETY: the attribute holds numbers only and outlives the call; a success is a new descriptor that nobody owns.
    unsafe { command(BPF_LINK_CREATE, &mut attr).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

/// Only the program, for [`super::link_update`] to put into an iterator that is there.
///
/// # Errors
/// As [`iter_load`].
pub fn iter_program(function: &str, insns: &[Insn], name: &str) -> io::Result<OwnedFd> {
    load_traced(AttachType::TraceIter, kernel_function(function)?, insns, name)
}

/// Runs it once over all objects of the caller's network namespace. What the program writes is thrown away.
///
/// # Errors
/// `EBADF` or `EINVAL` if `iterator` is none; whatever reading says.
pub fn iter_run(iterator: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = IterAttr { link_fd: number(iterator), flags: 0 };
    // SAFETY: the attribute holds numbers only and outlives the call; a success is a new descriptor that nobody owns.
    let run = unsafe { command(BPF_ITER_CREATE, &mut attr).map(|fd| OwnedFd::from_raw_fd(fd)) }?;
    let mut run = File::from(run);
    let mut buffer = [0; 64];
    loop {
        match run.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
    }
}
