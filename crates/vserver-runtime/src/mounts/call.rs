//! One mount: mount(2) in up to three calls, or the system's mount program.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use nix::libc;
use nix::mount::{MsFlags, mount};

use super::MountPlan;
use crate::error::Result;

/// Runs a program to its end.
pub(super) type Runner<'a> = &'a dyn Fn(&mut Command) -> Result<ExitStatus>;

/// Mounts on `target`, which `again` opens once more when it is mounted. What does not work is a reason.
pub(super) fn tried(
    plan: &MountPlan,
    target: BorrowedFd<'_>,
    group: Option<BorrowedFd<'_>>,
    run: Runner<'_>,
    again: &dyn Fn() -> Result<OwnedFd>,
) -> Result<std::result::Result<(), String>> {
    let done = if plan.direct { directly(plan, target) } else { by_program(plan, target, group, run)? };
    Ok(match done {
        Ok(()) => refine(plan, again()?.as_fd()).map_err(|errno| errno.desc().to_owned()),
        failed => failed,
    })
}

fn directly(plan: &MountPlan, target: BorrowedFd<'_>) -> std::result::Result<(), String> {
    let mut flags = plan.flags;
    if flags & libc::MS_BIND != 0 && flags & libc::MS_REMOUNT == 0 {
        flags &= libc::MS_BIND | libc::MS_REC;
    }
    let change = plan.propagation.is_some() && flags & (libc::MS_BIND | libc::MS_MOVE) == 0 && plan.fstype.is_none();
    if change {
        return Ok(());
    }
    let data = Some(plan.data.as_str()).filter(|data| !data.is_empty());
    let result = mount(
        Some(plan.source.as_str()),
        &path_of(target),
        plan.fstype.as_deref(),
        MsFlags::from_bits_retain(flags),
        data,
    );
    result.map_err(|errno| errno.desc().to_owned())
}

/// The second and third call: flags of a bind mount, and propagation.
fn refine(plan: &MountPlan, target: BorrowedFd<'_>) -> nix::Result<()> {
    let none: Option<&str> = None;
    if plan.remount {
        let flags = MsFlags::from_bits_retain(plan.flags & !libc::MS_REC) | MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
        mount(none, &path_of(target), none, flags, none)?;
    }
    match plan.propagation {
        Some(kind) => mount(none, &path_of(target), none, MsFlags::from_bits_retain(kind), none),
        None => Ok(()),
    }
}

/// `mount -n -t type -o options source .` in the target. From the guest's network context the program first goes into
/// its cgroup, whose programs then choose the source address.
fn by_program(
    plan: &MountPlan,
    target: BorrowedFd<'_>,
    group: Option<BorrowedFd<'_>>,
    run: Runner<'_>,
) -> Result<std::result::Result<(), String>> {
    // Source: util-vserver, `commands.md` §7, secure-mount.
    let program = std::env::var_os("MOUNT").filter(|program| !program.is_empty());
    let program = program.unwrap_or_else(|| "mount".into());
    let mut command = match group {
        None => Command::new(program),
        Some(group) => {
            let procs = format!("/proc/{}/fd/{}/cgroup.procs", std::process::id(), group.as_raw_fd());
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", "echo 0 >\"$1\" && shift && exec \"$@\"", "sh", &procs]).arg(program);
            shell
        }
    };
    command.arg("-n");
    if let Some(kind) = &plan.fstype {
        command.args(["-t", kind]);
    }
    command.args(["-o", &plan.data, "--", &plan.source, "."]).current_dir(path_of(target));
    let status = run(&mut command)?;
    Ok(if status.success() { Ok(()) } else { Err(format!("mount ended with {status}")) })
}

fn path_of(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}
