//! The parts of a rename, done and taken back. Each may have been done before, by a command that was killed then.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use vserver_config::Edit as Change;
use vserver_types::GuestName;

use super::journal;
use super::plan::{DEPENDS, Edit, Move, Plan, names};
use crate::Error;

/// Does what is not done yet.
pub(super) fn forward(confdir: &Path, plan: &Plan) -> Result<Vec<String>, Error> {
    plan.moves.iter().try_for_each(relocate)?;
    configuration(confdir, &plan.from, &plan.to)?;
    let config = confdir.join(plan.to.as_str());
    for link in &plan.links {
        vserver_config::relink(&config.join(&link.name), &link.target)?;
    }
    let edits = plan.edits.iter().map(|Edit { file, value, .. }| Change::Set(file.clone(), value.clone()));
    edit(confdir, &plan.to, edits.collect())?;
    let told = plan.dependants.iter().map(|other| dependant(confdir, other, plan)).collect();
    for log in plan.logs.iter().filter(|log| log.before.symlink_metadata().is_ok()) {
        fs::rename(&log.before, &log.after).map_err(Error::io("rename", &log.before))?;
    }
    Ok(told)
}

/// Takes back what was done, the last first, and goes on past failures; whether all of it is as it was.
pub(super) fn backward(confdir: &Path, plan: &Plan) -> bool {
    let mut whole = true;
    let (old, new) = (confdir.join(plan.from.as_str()), confdir.join(plan.to.as_str()));
    if new.symlink_metadata().is_ok() && old.symlink_metadata().is_err() {
        let edits = plan.edits.iter().map(|Edit { file, was, .. }| Change::Set(file.clone(), was.clone()));
        whole &= edit(confdir, &plan.to, edits.collect()).is_ok();
        for link in &plan.links {
            whole &= vserver_config::relink(&new.join(&link.name), &link.was).is_ok();
        }
        whole &= configuration(confdir, &plan.to, &plan.from).is_ok();
    }
    for Move { before, after } in plan.moves.iter().rev() {
        let done = after.symlink_metadata().is_ok() && before.symlink_metadata().is_err();
        whole &= !done || relocate(&Move { before: after.clone(), after: before.clone() }).is_ok();
    }
    whole
}

fn relocate(Move { before, after }: &Move) -> Result<(), Error> {
    match renameat2(AT_FDCWD, before, AT_FDCWD, after, RenameFlags::RENAME_NOREPLACE) {
        Err(Errno::ENOENT) if after.symlink_metadata().is_ok() => Ok(()),
        Err(Errno::EEXIST) => Err(Error::Exists { root: after.clone(), config: after.clone() }),
        Err(errno) => Err(Error::io("rename to its place", after)(errno.into())),
        Ok(()) => {
            let dir = after.parent().unwrap_or(after);
            journal::sync(dir).map_err(Error::io("sync", dir))
        }
    }
}

fn configuration(confdir: &Path, from: &GuestName, to: &GuestName) -> Result<(), Error> {
    let is_there = |name: &GuestName| confdir.join(name.as_str()).symlink_metadata().is_ok();
    if !is_there(from) && is_there(to) {
        return Ok(());
    }
    vserver_config::rename(confdir, from, to).map(drop).map_err(|error| match error {
        vserver_config::Error::Exists { path } => Error::Exists { root: path.clone(), config: path },
        other => other.into(),
    })
}

fn edit(confdir: &Path, name: &GuestName, changes: Vec<Change>) -> Result<(), Error> {
    match changes.is_empty() {
        true => Ok(()),
        false => Ok(vserver_config::edit(confdir, name, &changes).map(drop)?),
    }
}

fn dependant(confdir: &Path, other: &GuestName, plan: &Plan) -> String {
    let (from, to) = (&plan.from, &plan.to);
    let file = || DEPENDS.to_owned();
    let mut changes = vec![Change::Add(file(), to.to_string())];
    if names(confdir, other, from) {
        changes.insert(0, Change::Drop(file(), from.to_string()));
    }
    match edit(confdir, other, changes) {
        Ok(()) => format!("guest '{other}' depends on '{to}' now"),
        Err(error) => format!("guest '{other}' still depends on '{from}' ({error}); write '{to}' into its {DEPENDS}"),
    }
}

/// Removes what a killed change has left beside a file of a configuration: `.<file>.<pid>`, which nothing reads.
pub(super) fn sweep(confdir: &Path, plan: &Plan) {
    let own = plan.edits.iter().map(|edit| confdir.join(plan.to.as_str()).join(&edit.file));
    let others = plan.dependants.iter().map(|other| confdir.join(other.as_str()).join(DEPENDS));
    for file in own.chain(others) {
        let (Some(dir), Some(name)) = (file.parent(), file.file_name().and_then(|name| name.to_str())) else {
            continue;
        };
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let found = entry.file_name().into_string().unwrap_or_default();
            let pid = found.strip_prefix(&format!(".{name}.")).unwrap_or_default();
            if !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()) {
                // It is in nobody's way; the rename is what matters.
                fs::remove_file(entry.path()).ok();
            }
        }
    }
}
