//! The birth of the guest's first process: a child of its future supervisor, in the guest's cgroup, user namespace and
//! all that belongs to it. It waits while the guest's mounts are made around it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{OFlag, openat};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::sys::wait::waitpid;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, pipe2, write};
use vserver_sys::process::{self, Forked, SingleThreaded};
use vserver_sys::{pidfd, tty};

use crate::blueprint::{Blueprint, Doors, Rooms};
use crate::confine::take_standing;
use crate::dev::Dev;
use crate::error::{Error, Result, Step};
use crate::home::Home;
use crate::{first, frames};

/// Namespaces that are born with the guest. The kernel makes the user namespace first, so that it owns the others. The
/// mount namespace is copied later, when its content is ready, and the cgroup namespace when the first process has
/// joined all of its cgroups. clone(2).
const BORN_WITH: u64 = process::NEWPID | process::NEWUTS | process::NEWIPC;

/// Born, waiting for its mounts.
#[derive(Debug)]
pub(crate) struct Born {
    pub pid: i32,
    pub pidfd: OwnedFd,
    ready: File,
    report: File,
}

/// Gives birth. In the child this does not return.
pub(crate) fn give(token: SingleThreaded, blueprint: &Blueprint, dev: &Dev, home: &Home) -> Result<Born> {
    let make_pipe = || pipe2(OFlag::O_CLOEXEC).step(|| "make a pipe".to_owned());
    let ((wait, ready), (report, tell)) = (make_pipe()?, make_pipe()?);
    let console = tty::open_slave(dev.master.as_fd()).step(|| "open the console".to_owned())?;
    let birthplace = blueprint.doors.birthplace.as_ref().map(AsFd::as_fd);
    if blueprint.virt_uptime {
        new_time(home.proc())?;
    }
    let forked = match &blueprint.rooms {
        None => process::fork_into(token, birthplace, born_with(blueprint)),
        Some(rooms) => inside(token, birthplace, rooms, born_with(blueprint)),
    };
    let Forked::Parent(pid) = forked.step(|| "make the guest's first process".to_owned())? else {
        drop((ready, report));
        match (first::live(blueprint, console.as_fd(), home.proc(), wait), &blueprint.brake) {
            (Err(error), _) => tell_and_end(tell, &Err(error)),
            (Ok(first), None) => tell_and_end(tell, &Err(first.go())),
            // Nobody hears any more why it did not; whoever looks finds that it has ended.
            (Ok(first), Some(brake)) => {
                first.go_when_let(brake);
                process::exit_now(1)
            }
        }
    };
    let born = opened(pid, File::from(ready), File::from(report))?;
    let settled = if blueprint.virt_uptime { home.children_in_its_time() } else { Ok(()) };
    match settled.and_then(|()| take_standing(&blueprint.confinement, home.proc(), Some(pid))) {
        Ok(()) => Ok(born),
        Err(error) => Err(born.end(error)),
    }
}

/// The user namespace is new, too, unless it was there before.
fn born_with(blueprint: &Blueprint) -> u64 {
    let there = blueprint.rooms.as_ref().is_some_and(|rooms| rooms.user.is_some());
    let user = blueprint.base.filter(|_| !there).map_or(0, |_| process::NEWUSER);
    BORN_WITH | user
}

/// The same in namespaces that are there already. An intermediate process joins them, which cannot come back, and gives
/// birth to a child of the caller's.
fn inside(
    token: SingleThreaded,
    birthplace: Option<BorrowedFd<'_>>,
    rooms: &Rooms,
    flags: u64,
) -> io::Result<Forked> {
    let (hear, tell) = pipe2(OFlag::O_CLOEXEC)?;
    let Forked::Parent(intermediate) = process::fork_into(token, birthplace, 0)? else {
        drop(hear);
        let joined = setns(&rooms.network, CloneFlags::CLONE_NEWNET)
            .and_then(|()| rooms.user.as_ref().map_or(Ok(()), |user| setns(user, CloneFlags::CLONE_NEWUSER)));
        let forked = joined.map_err(io::Error::from).and_then(|()| process::fork(token, flags | process::PARENT));
        let told = match forked {
            Ok(Forked::Child) => return Ok(Forked::Child),
            Ok(Forked::Parent(pid)) => frames::tell_pid(File::from(tell), pid),
            Err(error) => frames::tell_reason(File::from(tell), &error.to_string()),
        };
        process::exit_now(i32::from(told.is_err()))
    };
    drop(tell);
    let mut bytes = Vec::new();
    let heard = File::from(hear).read_to_end(&mut bytes);
    let _ = waitpid(Pid::from_raw(intermediate), None);
    heard?;
    let told = frames::understand(&bytes);
    told.pid.map(Forked::Parent).ok_or_else(|| io::Error::other(told.reason.unwrap_or_default()))
}

fn opened(pid: i32, ready: File, report: File) -> Result<Born> {
    // Safe against reuse of the number: it is our child and nobody has waited for it yet.
    let pidfd = pidfd::open(pid).step(|| format!("open process {pid}"))?;
    Ok(Born { pid, pidfd, ready, report })
}

impl Born {
    /// Lets it go on.
    pub fn wake(&mut self) -> Result<()> {
        self.ready.write_all(b"1").step(|| "wake the guest's first process".to_owned())
    }

    /// Silence on the report pipe is success: it closed because the first program was executed.
    pub fn confirm(&mut self) -> Result<()> {
        let mut text = String::new();
        self.report.read_to_string(&mut text).step(|| "read a report".to_owned())?;
        if text.is_empty() { Ok(()) } else { Err(Error::Child { report: text }) }
    }

    /// It will not live; `error`, the reason, is given back, unless it has told a better one.
    pub fn end(mut self, error: Error) -> Error {
        let _ = pidfd::signal(self.pidfd.as_fd(), nix::sys::signal::Signal::SIGKILL as i32);
        let _ = waitpid(Pid::from_raw(self.pid), None);
        let mut text = String::new();
        match self.report.read_to_string(&mut text) {
            Ok(_) if !text.is_empty() => Error::Child { report: text },
            _ => error,
        }
    }
}

/// The end of a child that could not do its work, or of a helper that could.
pub(crate) fn tell_and_end(tell: OwnedFd, result: &Result<()>) -> ! {
    if let Err(error) = result {
        let _ = File::from(tell).write_all(error.line().as_bytes());
    }
    process::exit_now(i32::from(result.is_err()))
}

/// Joins the v1 hierarchies; into the v2 one a process is born.
pub(crate) fn enter_v1(doors: &Doors) -> Result<()> {
    for file in &doors.tasks {
        write(file.as_fd(), b"0").step(|| "join the guest's cgroup".to_owned())?;
    }
    Ok(())
}

/// A time namespace for the next child in which boot was now: `/proc/uptime`, `btime` and both clocks count from here.
/// time_namespaces(7), Linux 5.6. The offsets are written before the first process enters.
fn new_time(host_proc: BorrowedFd<'_>) -> Result<()> {
    let since = |clock| clock_gettime(clock).step(|| "read the clock".to_owned());
    let (boot, monotonic) = (since(ClockId::CLOCK_BOOTTIME)?, since(ClockId::CLOCK_MONOTONIC)?);
    unshare(CloneFlags::from_bits_retain(process::NEWTIME as i32)).step(|| "make a time namespace".to_owned())?;
    let offsets = format!("monotonic -{} 0\nboottime -{} 0\n", monotonic.tv_sec(), boot.tv_sec());
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let file = openat(host_proc, "self/timens_offsets", flags, Mode::empty())
        .step(|| "open /proc/self/timens_offsets".to_owned())?;
    write(file.as_fd(), offsets.as_bytes()).step(|| "set the guest's clocks".to_owned()).map(drop)
}
