//! The planned mounts are made, one after the other; what does not work is told, and the start goes on.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Command;

use nix::libc;
use vserver_config::FstabEntry;
use vserver_fs::GuestRoot;
use vserver_net::space::within;
use vserver_types::GuestName;

use super::call::tried;
use super::{MountPlan, one};
use crate::error::{Error, Result};
use crate::interrupt::Interrupts;
use crate::scripts::run_command;

/// Mounts the guest's root itself. What does not work is a sentence; the start goes on, as in the original.
pub fn mount_root(
    plan: &MountPlan,
    vdir: &Path,
    name: &GuestName,
    interrupts: &Interrupts,
) -> Result<Option<String>> {
    let directory = std::fs::File::open(vdir).map_err(Error::io("open", vdir))?;
    attempt(plan, directory.as_fd(), Origin::default(), name, interrupts, &|| {
        let again = std::fs::File::open(vdir).map_err(Error::io("open", vdir))?;
        Ok(again.into())
    })
}

/// Mounts on a directory or file of our own, in our mount namespace. What does not work is a reason.
pub fn mount_here(
    plan: &MountPlan,
    place: &Path,
    name: &GuestName,
    interrupts: &Interrupts,
) -> Result<std::result::Result<(), String>> {
    let open = || std::fs::File::open(place).map(OwnedFd::from).map_err(Error::io("open", place));
    let target = open()?;
    tried(plan, target.as_fd(), None, &|command| run_command(command, Some(interrupts), name), &open)
}

/// Mounts what a line of an fstab says on `target`, in the caller's mount namespace; `again` opens it once more, when it
/// is mounted. What does not work is a reason.
pub fn mount_on(
    entry: &FstabEntry,
    target: BorrowedFd<'_>,
    again: &dyn Fn() -> Result<OwnedFd>,
) -> Result<std::result::Result<(), String>> {
    let run = |command: &mut Command| {
        let program = command.get_program().to_string_lossy().into_owned();
        command.status().map_err(Error::io("run", program))
    };
    tried(&one(entry, entry.target.clone()), target, None, &run, again)
}

/// Where mounts from the guest's network context are made from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// Its v2 cgroup, whose programs choose the source address.
    pub group: Option<BorrowedFd<'a>>,
    /// Its network namespace, if it is not the host's.
    pub space: Option<BorrowedFd<'a>>,
}

/// Makes the other mounts below `tree`.
pub fn mount_all(
    plans: &[MountPlan],
    tree: &GuestRoot,
    origin: Origin<'_>,
    name: &GuestName,
    interrupts: &Interrupts,
) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for plan in plans {
        let failed = |error| Error::layer(format!("mount on {}, {}", plan.target, plan.place), name)(error);
        let place = tree.place(&plan.target).map_err(failed)?;
        let file = plan.flags & libc::MS_BIND != 0 && Path::new(&plan.source).is_file();
        let open = || tree.mount_point(&place, file).map_err(failed);
        let origin = if plan.remote { origin } else { Origin::default() };
        warnings.extend(attempt(plan, open()?.as_fd(), origin, name, interrupts, &open)?);
    }
    Ok(warnings)
}

/// `again` opens the target once more: what is mounted now.
fn attempt(
    plan: &MountPlan,
    target: BorrowedFd<'_>,
    origin: Origin<'_>,
    name: &GuestName,
    interrupts: &Interrupts,
    again: &dyn Fn() -> Result<OwnedFd>,
) -> Result<Option<String>> {
    let run = |command: &mut Command| match origin.space {
        None => run_command(command, Some(interrupts), name),
        Some(space) => within(space, || run_command(command, Some(interrupts), name))
            .map_err(Error::layer("enter its network namespace", name))?,
    };
    let done = tried(plan, target, origin.group, &run, again)?;
    Ok(done.err().map(|reason| format!("{}: failed to mount fstab-entry: {reason}", plan.place)))
}
