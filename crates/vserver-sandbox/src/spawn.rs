//! Raising a guest, in the order in which things happen.
//!
//! ```text
//!  builder (host's rights, later the supervisor)           midwife            guest's first process
//!    user namespace, detached root, /dev
//!    new mount namespace ── pivot ── /dev /sys mounts
//!    fork ───────────────────────────────────────────► cgroups, time,
//!                                                       user namespace
//!                                                       clone(PARENT) ───────► waits
//!    helper in its PID namespace: /proc and masks
//!    back to the host; announce (state file)
//!    ready ──────────────────────────────────────────────────────────────────► copy of the mounts (locked)
//!                                                                              names, console, capabilities, seccomp
//!    end of file on the report pipe: it runs   ◄────────────────────────────── execve
//! ```

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};
use vserver_sys::process::{self, Forked, SingleThreaded};
use vserver_sys::{pidfd, tty};

use crate::blueprint::Blueprint;
use crate::dev::{self, Dev};
use crate::error::{Error, Result, Step};
use crate::home::Home;
use crate::{birth, first, furnish, pivot, proc, root, userns};

/// A guest whose first program runs.
#[derive(Debug)]
pub struct Spawned {
    /// Its first process, as the host sees it.
    pub pid: i32,
    /// The same as a descriptor.
    pub pidfd: OwnedFd,
    /// The console's master.
    pub master: OwnedFd,
    /// The guest's devpts instance, for further terminals.
    pub pts: OwnedFd,
}

/// Born, waiting for its mounts.
struct Born {
    pid: i32,
    pidfd: OwnedFd,
    ready: File,
    report: File,
}

/// Raises the guest that `blueprint` describes. `announce` is called, on the host, when everything is there and before
/// the guest executes anything: what must be known of a running guest is written there.
pub fn spawn(
    token: SingleThreaded,
    blueprint: &Blueprint,
    announce: impl FnOnce(i32) -> Result<()>,
) -> Result<Spawned> {
    let home = Home::remember()?;
    let base = blueprint.base.unwrap_or(0);
    let userns = blueprint.base.map(|base| userns::create(token, base)).transpose()?;
    let userns = userns.as_ref().map(AsFd::as_fd);
    let mounts = furnish::carry(blueprint.tree.as_fd(), &blueprint.mounts, base, userns)?;
    let tree = root::detach(blueprint.tree.as_fd(), userns)?;
    let dev = dev::build(base)?;
    pivot::pivot(tree.as_fd())?;
    furnish::furnish(&dev, &mounts, base)?;
    let mut born = give_birth(token, blueprint, userns, &dev, &home)?;
    let result = mount_proc(token, &mut born, &home, blueprint.base.is_none())
        .and_then(|()| home.go())
        .and_then(|()| announce(born.pid))
        .and_then(|()| confirm(&mut born));
    if let Err(error) = result {
        end(&born);
        return Err(error);
    }
    Ok(Spawned { pid: born.pid, pidfd: born.pidfd, master: dev.master, pts: dev.pts })
}

fn give_birth(
    token: SingleThreaded,
    blueprint: &Blueprint,
    userns: Option<BorrowedFd<'_>>,
    dev: &Dev,
    home: &Home,
) -> Result<Born> {
    let make_pipe = || pipe2(OFlag::O_CLOEXEC).step(|| "make a pipe".to_owned());
    let ((wait, ready), (report, tell), (pid, tell_pid)) = (make_pipe()?, make_pipe()?, make_pipe()?);
    let console = tty::open_slave(dev.master.as_fd()).step(|| "open the console".to_owned())?;
    let birthplace = blueprint.doors.birthplace.as_ref().map(AsFd::as_fd);
    let midwife = process::fork_into(token, birthplace).step(|| "fork into the guest's cgroup".to_owned())?;
    let Forked::Parent(midwife) = midwife else {
        drop((ready, report, pid));
        let error = birth::deliver(token, blueprint, userns, home.proc(), &mut File::from(tell_pid))
            .and_then(|()| first::live(blueprint, console.as_fd(), home.proc(), wait));
        tell_and_end(tell, &error.map(|never| match never {}));
    };
    drop((wait, tell, tell_pid));
    let mut number = [0; 4];
    let told = File::from(pid).read_exact(&mut number);
    let _ = waitpid(Pid::from_raw(midwife), None);
    let mut report = File::from(report);
    if told.is_err() {
        return Err(Error::Child { report: read_report(&mut report, "the guest's first process was not born") });
    }
    let pid = i32::from_ne_bytes(number);
    // Safe against reuse of the number: it is our child and nobody has waited for it yet.
    let pidfd = pidfd::open(pid).step(|| format!("open process {pid}"))?;
    Ok(Born { pid, pidfd, ready: File::from(ready), report })
}

/// Mounts `/proc` from inside the guest's PID namespace, by a helper that never executes anything of the guest.
fn mount_proc(token: SingleThreaded, born: &mut Born, home: &Home, classic: bool) -> Result<()> {
    let (report, tell) = pipe2(OFlag::O_CLOEXEC).step(|| "make a pipe".to_owned())?;
    setns(&born.pidfd, CloneFlags::CLONE_NEWPID).step(|| "join the guest's PID namespace".to_owned())?;
    let Forked::Parent(helper) = process::fork(token, 0).step(|| "fork".to_owned())? else {
        tell_and_end(tell, &proc::mount(classic));
    };
    home.children_at_home()?;
    drop(tell);
    let mut text = String::new();
    File::from(report).read_to_string(&mut text).step(|| "read a report".to_owned())?;
    // It was a member of the guest's PID namespace, which cannot end before all of its members are waited for.
    let _ = waitpid(Pid::from_raw(helper), None);
    if text.is_empty() { Ok(()) } else { Err(Error::Child { report: text }) }
}

/// Silence on the report pipe is success: it closed because the first program was executed.
fn confirm(born: &mut Born) -> Result<()> {
    born.ready.write_all(b"1").step(|| "wake the guest's first process".to_owned())?;
    let mut text = String::new();
    born.report.read_to_string(&mut text).step(|| "read a report".to_owned())?;
    if text.is_empty() { Ok(()) } else { Err(Error::Child { report: text }) }
}

fn end(born: &Born) {
    let _ = pidfd::signal(born.pidfd.as_fd(), nix::sys::signal::Signal::SIGKILL as i32);
    let _ = waitpid(Pid::from_raw(born.pid), None);
}

fn tell_and_end(tell: OwnedFd, result: &Result<()>) -> ! {
    if let Err(error) = result {
        let _ = File::from(tell).write_all(error.line().as_bytes());
    }
    process::exit_now(i32::from(result.is_err()))
}

fn read_report(report: &mut File, otherwise: &str) -> String {
    let mut text = String::new();
    match report.read_to_string(&mut text) {
        Ok(_) if !text.is_empty() => text,
        _ => otherwise.to_owned(),
    }
}
