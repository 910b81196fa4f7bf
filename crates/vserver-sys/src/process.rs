//! New processes, as copies of a single-threaded one.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::check;

/// Proof that this process has one thread, so that a forked copy finds no lock held by a thread that it lacks.
#[derive(Clone, Copy, Debug)]
pub struct SingleThreaded(());

impl SingleThreaded {
    /// Looks into `/proc/self/task`, for up to 1 s: a thread that was joined is listed until the kernel has put it away.
    /// Fails with `WouldBlock` when there are more threads.
    pub fn prove() -> io::Result<Self> {
        let end = Instant::now() + Duration::from_secs(1);
        loop {
            if std::fs::read_dir("/proc/self/task")?.count() == 1 {
                return Ok(Self(()));
            }
            if Instant::now() >= end {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "this process has more than one thread"));
            }
            std::thread::yield_now();
        }
    }

    /// For a process that was forked from a proven one and has made no thread since.
    pub fn inherited(self) -> Self {
        self
    }
}

/// Which side of a fork one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forked {
    /// The one that called; the child's pid as this PID namespace sees it.
    Parent(i32),
    /// The copy.
    Child,
}

/// New mount namespace. The `CLONE_*` constants are `u64` here: libc declares some of them as `i32`, hence 0.
pub const NEWNS: u64 = 0x0002_0000;
/// New cgroup namespace.
pub const NEWCGROUP: u64 = 0x0200_0000;
/// New UTS namespace.
pub const NEWUTS: u64 = 0x0400_0000;
/// New IPC namespace.
pub const NEWIPC: u64 = 0x0800_0000;
/// New user namespace.
pub const NEWUSER: u64 = 0x1000_0000;
/// New PID namespace for the child.
pub const NEWPID: u64 = 0x2000_0000;
/// New network namespace.
pub const NEWNET: u64 = 0x4000_0000;
/// New time namespace (only for `unshare` and `setns`: its offsets are written before a child enters it). Linux 5.6.
pub const NEWTIME: u64 = 0x80;
/// The child is a sibling of the caller: its parent is the caller's.
pub const PARENT: u64 = 0x0000_8000;

/// Flags that make a child share memory or take a stack: never passed, the child is always a full copy.
const FORBIDDEN: u64 = (libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_SETTLS | libc::CLONE_THREAD) as u64;

/// A copy of this process in the new namespaces that `flags` name. fork(2) with the flags of clone(2).
pub fn fork(_: SingleThreaded, flags: u64) -> io::Result<Forked> {
    let signal = libc::SIGCHLD as libc::c_ulong;
    let null: *mut libc::c_void = std::ptr::null_mut();
    let flags = (flags & !FORBIDDEN) as libc::c_ulong | signal;
    // SAFETY: the flags that share memory are masked out, so the child has its own copy of all memory and goes on with
    // its own stack, as after fork(2). The token proves that there is no other thread whose half-done work (a held
    // allocator lock) the copy could inherit.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, flags, null, null, null, 0) })?;
    Ok(if pid == 0 { Forked::Child } else { Forked::Parent(pid as i32) })
}

/// `struct clone_args` up to `cgroup`, clone(2).
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// A copy of this process in the new namespaces that `flags` name, born in the v2 cgroup whose directory is `cgroup`:
/// moving a living process there would wait for a grace period of the kernel (3–15 ms). clone3(2) with
/// `CLONE_INTO_CGROUP`, Linux 5.7.
pub fn fork_into(token: SingleThreaded, cgroup: Option<BorrowedFd<'_>>, flags: u64) -> io::Result<Forked> {
    /// `CLONE_INTO_CGROUP`; libc declares it as `i32`, hence 0.
    const INTO_CGROUP: u64 = 0x2_0000_0000;
    let Some(cgroup) = cgroup else {
        return fork(token, flags);
    };
    let args = CloneArgs {
        flags: (flags & !FORBIDDEN) | INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: cgroup.as_raw_fd() as u64,
        ..CloneArgs::default()
    };
    // SAFETY: `args` is a live repr(C) value whose true size is passed; it asks for no shared memory and no stack of the
    // child's own, so the child is a full copy, as after fork(2); the token proves that there is one thread.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) })?;
    Ok(if pid == 0 { Forked::Child } else { Forked::Parent(pid as i32) })
}

/// Ends this process at once, without running destructors or flushing: the end of every forked child that does not exec.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit(2) takes an integer and does not return.
    unsafe { libc::_exit(status) }
}

/// Resets every signal to its default action and unblocks all, as a program expects it at its start.
pub fn default_signals() -> io::Result<()> {
    for number in 1..=libc::SIGRTMAX() {
        // SAFETY: installing SIG_DFL runs no code of ours; numbers that cannot be set answer EINVAL, which is harmless.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    nix::sys::signal::SigSet::empty().thread_set_mask().map_err(io::Error::from)
}

/// Sets an absolute nice level, −20 to 19, of process `pid`; 0 is the calling one. setpriority(2).
pub fn set_nice(pid: i32, level: i32) -> io::Result<()> {
    // SAFETY: three integers.
    check(libc::c_long::from(unsafe { libc::setpriority(libc::PRIO_PROCESS, pid as libc::id_t, level) })).map(drop)
}

/// Sets the I/O priority of process `pid` (0 is the calling one): the class shifted left by 13, and the level.
/// ioprio_set(2).
pub fn set_io_priority(pid: i32, priority: i32) -> io::Result<()> {
    const WHO_PROCESS: i32 = 1;
    // SAFETY: three integers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, pid, priority) }).map(drop)
}

/// Sets the NIS domain name of this UTS namespace, at most 64 bytes. setdomainname(2).
pub fn set_domain_name(name: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and the true length of a live slice; the kernel copies it.
    check(libc::c_long::from(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) })).map(drop)
}

/// kill(2) with any signal number, real-time ones too (nix's type has no name for those).
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: two integers.
    check(libc::c_long::from(unsafe { libc::kill(pid, signal) })).map(drop)
}
