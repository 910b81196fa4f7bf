//! The `bpf(2)` commands. See bpf(2) and `union bpf_attr` in `include/uapi/linux/bpf.h`.

use std::error::Error;
use std::ffi::{c_int, c_uint};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{AttachType, Insn, ProgType};

const BPF_PROG_LOAD: c_int = 5;
const BPF_PROG_ATTACH: c_int = 8;
const BPF_PROG_DETACH: c_int = 9;
const BPF_PROG_GET_FD_BY_ID: c_int = 13;
const BPF_PROG_QUERY: c_int = 16;

const BPF_F_ALLOW_OVERRIDE: u32 = 1;
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_F_REPLACE: u32 = 4;

/// `BPF_OBJ_NAME_LEN`, with the final zero.
pub(super) const NAME_LENGTH: usize = 16;
/// Enough for the tail of any complaint about programs of a few thousand instructions.
const LOG_LENGTH: usize = 1 << 20;
/// The kernel attaches at most 64 programs of a kind to one cgroup (`BPF_CGROUP_MAX_PROGS`).
const MAX_PROGS: usize = 64;

/// What descendants of the cgroup may do at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachFlags {
    /// Nothing may be attached below (no flag).
    Exclusive,
    /// A program below replaces this one for its subtree (`BPF_F_ALLOW_OVERRIDE`).
    Override,
    /// All programs from here to the root run, and all must allow (`BPF_F_ALLOW_MULTI`); 4.15.
    Multi,
}

/// A program was refused. It is the inner error of what [`prog_load`] returns.
#[derive(Debug)]
pub struct LoadError {
    /// Name of the program.
    pub name: String,
    /// Where it was to be attached.
    pub place: AttachType,
    /// What the system call said. `EINVAL` also means that this kernel does not know the place or a helper.
    pub source: io::Error,
    /// What the verifier said; empty if the refusal came before it.
    pub log: String,
}

#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; NAME_LENGTH],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

#[repr(C)]
#[derive(Default)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

#[repr(C)]
#[derive(Default)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// Of the commands that go by an object's number.
#[repr(C)]
#[derive(Default)]
pub(super) struct IdAttr {
    pub id: u32,
    pub next_id: u32,
    pub open_flags: u32,
}

// `insns`, `license`, `log_buf` and `prog_ids` must lie where the kernel's `__aligned_u64` puts them.
const _: () = assert!(size_of::<LoadAttr>() == 112 && std::mem::offset_of!(LoadAttr, log_buf) == 32);
const _: () = assert!(size_of::<AttachAttr>() == 20 && size_of::<IdAttr>() == 12);
const _: () = assert!(size_of::<QueryAttr>() == 32 && std::mem::offset_of!(QueryAttr, prog_ids) == 16);

/// Loads a program for `place` (`BPF_PROG_LOAD`; the place is also its `expected_attach_type`, 4.17). `name` shows in
/// `bpftool prog`, shortened to 15 letters. Needs CAP_BPF and CAP_NET_ADMIN (CAP_SYS_ADMIN before 5.8) in the initial
/// user namespace. The kernel forgets the program when its last descriptor and its last attachment are gone.
///
/// # Errors
/// An [`io::Error`] whose inner error is a [`LoadError`], with the verifier's log.
pub fn prog_load(kind: ProgType, place: AttachType, insns: &[Insn], name: &str) -> io::Result<OwnedFd> {
    load_twice((kind, place, 0), insns, name)
}

/// Loads a program that belongs to a function of the kernel, by its number among the kernel's types.
pub(super) fn load_traced(place: AttachType, function: u32, insns: &[Insn], name: &str) -> io::Result<OwnedFd> {
    load_twice((place.prog_type(), place, function), insns, name)
}

fn load_twice(what: (ProgType, AttachType, u32), insns: &[Insn], name: &str) -> io::Result<OwnedFd> {
    let (_, place, _) = what;
    let source = match load(what, insns, name, &mut []) {
        Ok(program) => return Ok(program),
        Err(source) => source,
    };
    // Only now with a log: collecting it makes loading slow, and old kernels fail with ENOSPC when it does not fit.
    let mut log = vec![0; LOG_LENGTH];
    if let Ok(program) = load(what, insns, name, &mut log) {
        return Ok(program);
    }
    let length = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
    let log = String::from_utf8_lossy(&log[..length]).into_owned();
    Err(io::Error::new(source.kind(), LoadError { name: name.to_owned(), place, source, log }))
}

/// Attaches a loaded program to the cgroup directory `cgroup` of the v2 hierarchy (`BPF_PROG_ATTACH`, 4.10), after those
/// that are there already if both use [`AttachFlags::Multi`].
///
/// # Errors
/// `EINVAL` if the kernel does not know the place; `EPERM` if a cgroup above forbids it; `EBADF` if `cgroup` is not one.
pub fn prog_attach(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    place: AttachType,
    flags: AttachFlags,
) -> io::Result<()> {
    let mut attr = AttachAttr { attach_flags: flags.bits(), ..AttachAttr::of(cgroup, program, place) };
    // SAFETY: the attribute of BPF_PROG_ATTACH holds numbers only, and outlives the call.
    unsafe { command(BPF_PROG_ATTACH, &mut attr) }.map(drop)
}

/// Puts `program` in the place of the attached `old` in one step (`BPF_F_REPLACE`, 5.6): no packet passes in between.
/// Both must be of the same kind, attached with [`AttachFlags::Multi`].
///
/// # Errors
/// `ENOENT` if `old` is not attached there; otherwise as [`prog_attach`].
pub fn prog_replace(
    cgroup: BorrowedFd<'_>,
    old: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    place: AttachType,
) -> io::Result<()> {
    let mut attr = AttachAttr {
        attach_flags: BPF_F_ALLOW_MULTI | BPF_F_REPLACE,
        replace_bpf_fd: number(old),
        ..AttachAttr::of(cgroup, program, place)
    };
    // SAFETY: the attribute of BPF_PROG_ATTACH holds numbers only, and outlives the call.
    unsafe { command(BPF_PROG_ATTACH, &mut attr) }.map(drop)
}

/// Detaches `program` from `cgroup` (`BPF_PROG_DETACH`, 4.10).
///
/// # Errors
/// `ENOENT` if it is not attached there.
pub fn prog_detach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>, place: AttachType) -> io::Result<()> {
    // SAFETY: the attribute of BPF_PROG_DETACH holds numbers only, and outlives the call.
    unsafe { command(BPF_PROG_DETACH, &mut AttachAttr::of(cgroup, program, place)) }.map(drop)
}

/// Ids of the programs attached at `place` of `cgroup` itself, in the order in which they run (`BPF_PROG_QUERY`, 4.15).
///
/// # Errors
/// `EINVAL` if the kernel does not know the place.
pub fn prog_query(cgroup: BorrowedFd<'_>, place: AttachType) -> io::Result<Vec<u32>> {
    let mut ids = vec![0_u32; MAX_PROGS];
    let mut attr = QueryAttr {
        target_fd: number(cgroup),
        attach_type: place as u32,
        prog_ids: ids.as_mut_ptr().expose_provenance() as u64,
        prog_cnt: MAX_PROGS as u32,
        ..QueryAttr::default()
    };
    // SAFETY: `prog_ids` points to `ids`, which has room for the `prog_cnt` numbers that the kernel writes at most, and
    // nothing else touches it before the call returns.
    unsafe { command(BPF_PROG_QUERY, &mut attr) }?;
    ids.truncate(attr.prog_cnt as usize);
    Ok(ids)
}

/// The loaded program with this id (`BPF_PROG_GET_FD_BY_ID`, 4.13). Needs CAP_SYS_ADMIN.
///
/// # Errors
/// `ENOENT` if there is none.
pub fn prog_by_id(id: u32) -> io::Result<OwnedFd> {
    by_id(BPF_PROG_GET_FD_BY_ID, id)
}

/// What one of the commands `BPF_*_GET_FD_BY_ID` answers.
pub(super) fn by_id(number: c_int, id: u32) -> io::Result<OwnedFd> {
    let mut attr = IdAttr { id, ..IdAttr::default() };
    // SAFETY: the attribute holds numbers only and outlives the call; a success is a new descriptor that nobody owns.
    unsafe { command(number, &mut attr).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

fn load(
    (kind, place, function): (ProgType, AttachType, u32),
    insns: &[Insn],
    name: &str,
    log: &mut [u8],
) -> io::Result<OwnedFd> {
    let too_long = |_| io::Error::from_raw_os_error(libc::E2BIG);
    let license = c"GPL";
    let mut attr = LoadAttr {
        prog_type: kind as u32,
        insn_cnt: u32::try_from(insns.len()).map_err(too_long)?,
        insns: insns.as_ptr().expose_provenance() as u64,
        license: license.as_ptr().expose_provenance() as u64,
        prog_name: object_name(name),
        expected_attach_type: place as u32,
        attach_btf_id: function,
        ..LoadAttr::default()
    };
    if !log.is_empty() {
        attr.log_level = 1;
        attr.log_size = u32::try_from(log.len()).map_err(too_long)?;
        attr.log_buf = log.as_mut_ptr().expose_provenance() as u64;
    }
    // SAFETY: `insns` points to `insn_cnt` instructions of the kernel's layout (asserted in `insn.rs`), `license` to a
    // string with its final zero, `log_buf` to `log_size` writable bytes that nothing else touches, or is null with size
    // 0; all outlive the call. A success is a new descriptor that nobody owns.
    unsafe { command(BPF_PROG_LOAD, &mut attr).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

/// `bpf(number, attr, size)`.
///
/// # Safety
/// `T` is the beginning of `union bpf_attr` as `number` reads it, without implicit padding, and each address in it is
/// valid for what the kernel reads or writes there.
pub(super) unsafe fn command<T>(number: c_int, attr: &mut T) -> io::Result<c_int> {
    // SAFETY: `attr` is exclusively borrowed, all of its bytes are initialised, and the kernel reads and writes at most
    // the size given; what the addresses in it point to is the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, number, std::ptr::from_mut(attr), size_of::<T>() as c_uint) };
    crate::check(result).map(|fd| fd as c_int)
}

/// Only letters, digits, `_` and `.` may stand in the name of a program; the kernel refuses others.
pub(super) fn object_name(name: &str) -> [u8; NAME_LENGTH] {
    let mut field = [0; NAME_LENGTH];
    for (to, from) in field[..NAME_LENGTH - 1].iter_mut().zip(name.bytes()) {
        *to = if from.is_ascii_alphanumeric() || from == b'.' { from } else { b'_' };
    }
    field
}

pub(super) fn number(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative.
    fd.as_raw_fd().cast_unsigned()
}

impl AttachFlags {
    const fn bits(self) -> u32 {
        match self {
            Self::Exclusive => 0,
            Self::Override => BPF_F_ALLOW_OVERRIDE,
            Self::Multi => BPF_F_ALLOW_MULTI,
        }
    }
}

impl AttachAttr {
    fn of(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>, place: AttachType) -> Self {
        Self {
            target_fd: number(cgroup),
            attach_bpf_fd: number(program),
            attach_type: place as u32,
            ..Self::default()
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bpf(BPF_PROG_LOAD, {}, {}): {}", self.name, self.place.name(), self.source)?;
        // The last lines of the log are the complaint; what comes before is the trace that led there.
        let lines: Vec<&str> = self.log.lines().collect();
        for line in &lines[lines.len().saturating_sub(6)..] {
            write!(f, "; {}", line.trim())?;
        }
        Ok(())
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_only_what_the_kernel_accepts() {
        assert_eq!(&object_name("web-1/bind4"), b"web_1_bind4\0\0\0\0\0");
        assert_eq!(object_name("a_name_that_is_too_long")[NAME_LENGTH - 1], 0);
    }

    #[test]
    fn a_refusal_carries_the_verifiers_words() {
        // `exit` with R0 never set: refused by every verifier. Without privilege the refusal has no log.
        let error = prog_load(ProgType::CgroupSkb, AttachType::InetEgress, &[Insn::exit()], "bad").unwrap_err();
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<LoadError>()).unwrap();
        assert_eq!(inner.place, AttachType::InetEgress);
        assert!(inner.log.contains("R0") || inner.source.raw_os_error() == Some(libc::EPERM), "{inner}");
    }
}
