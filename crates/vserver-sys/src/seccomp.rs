//! Seccomp filters, and the calls of theirs that another process answers. seccomp(2), Linux 3.17; seccomp_unotify(2),
//! Linux 5.0.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::{check, fd};

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
    install_with(filter, 0).map(drop)
}

/// The same for a filter that has calls answered by whoever holds the descriptor that is returned (close-on-exec). Fails
/// with `EBUSY` if a filter that is there already has such a descriptor. Linux 5.0.
pub fn install_with_listener(filter: &[SockFilter]) -> io::Result<OwnedFd> {
    let number = install_with(filter, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?;
    fd::inherited(number as i32)
}

fn install_with(filter: &[SockFilter], flags: libc::c_ulong) -> io::Result<libc::c_long> {
    let Ok(len) = u16::try_from(filter.len()) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    let program = libc::sock_fprog { len, filter: filter.as_ptr() as *mut libc::sock_filter };
    let mode = libc::SECCOMP_SET_MODE_FILTER as libc::c_uint;
    // SAFETY: SockFilter has the layout of `struct sock_filter`, `len` is the true length of the live slice, and the
    // kernel only reads it (the field is `*mut` for historical reasons).
    check(unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) })
}

/// `_IOC('!', number)` with its direction and the size of what is passed.
const fn request(direction: u64, number: u64, size: usize) -> libc::c_ulong {
    direction << 30 | (size as u64) << 16 | 0x2100 | number
}

const WRITE: u64 = 1;
const BOTH: u64 = 3;
const RECEIVE: libc::c_ulong = request(BOTH, 0, size_of::<libc::seccomp_notif>());
const SEND: libc::c_ulong = request(BOTH, 1, size_of::<libc::seccomp_notif_resp>());
const IS_VALID: libc::c_ulong = request(WRITE, 2, size_of::<u64>());
const ADD_FD: libc::c_ulong = request(WRITE, 3, size_of::<libc::seccomp_notif_addfd>());
/// The call returns the descriptor's number. Linux 5.14.
const AND_SEND: u32 = 2;
/// The call is executed as if nobody had been asked. Linux 5.5.
const CONTINUE: u32 = 1;

/// A call that waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// By which it is answered.
    pub id: u64,
    /// The thread that calls, as this PID namespace sees it; 0 if it does not.
    pub pid: i32,
    /// Number of the call.
    pub number: i64,
    /// Its arguments. What they point to, the caller can change at any time.
    pub arguments: [u64; 6],
}

/// What a call gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done, and returns 0.
    Done,
    /// It is done, and returns this.
    Returned(i64),
    /// It fails with this error number.
    Failed(i32),
    /// The kernel executes it. Its arguments may have changed meanwhile where they are pointers.
    GoOn,
}

/// Takes the next call; poll(2) says whether there is one. Fails with `ENOENT` if its caller has ended meanwhile.
pub fn receive(listener: BorrowedFd<'_>) -> io::Result<Asked> {
    let data = libc::seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] };
    let mut notif = libc::seccomp_notif { id: 0, pid: 0, flags: 0, data };
    // SAFETY: the kernel writes one `struct seccomp_notif` of the size in the request through the pointer, which is
    // live; it wants it zeroed, as it is.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut notif) }.into())?;
    let data = &notif.data;
    Ok(Asked { id: notif.id, pid: notif.pid as i32, number: data.nr.into(), arguments: data.args })
}

/// Whether the call `id` still waits: what was read of its caller by its pid before was its own.
pub fn still_waits(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads one u64 through the pointer, which is live.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), IS_VALID, &raw const id) }.into()).is_ok()
}

/// Answers the call `id`.
pub fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) -> io::Result<()> {
    let (val, error, flags) = match answer {
        Answer::Done => (0, 0, 0),
        Answer::Returned(number) => (number, 0, 0),
        Answer::Failed(errno) => (0, -errno, 0),
        Answer::GoOn => (0, 0, CONTINUE),
    };
    respond(listener, libc::seccomp_notif_resp { id, val, error, flags })
}

fn respond(listener: BorrowedFd<'_>, response: libc::seccomp_notif_resp) -> io::Result<()> {
    // SAFETY: the kernel reads one `struct seccomp_notif_resp` through the pointer, which is live.
    check(unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw const response) }.into()).map(drop)
}

/// Answers the call `id` with a copy of `given` as a descriptor of the caller's, and the number of that. Linux 5.9.
pub fn hand_over(listener: BorrowedFd<'_>, id: u64, given: BorrowedFd<'_>, cloexec: bool) -> io::Result<()> {
    let newfd_flags = if cloexec { libc::O_CLOEXEC as u32 } else { 0 };
    let add = |flags| {
        let wish = libc::seccomp_notif_addfd { id, flags, srcfd: given.as_raw_fd() as u32, newfd: 0, newfd_flags };
        // SAFETY: the kernel reads one `struct seccomp_notif_addfd` through the pointer, which is live.
        check(unsafe { libc::ioctl(listener.as_raw_fd(), ADD_FD, &raw const wish) }.into())
    };
    match add(AND_SEND) {
        // A kernel that can only give: the answer is a step of its own.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            let number = add(0)?;
            respond(listener, libc::seccomp_notif_resp { id, val: number, error: 0, flags: 0 })
        }
        added => added.map(drop),
    }
}
