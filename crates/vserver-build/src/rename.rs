//! Another name for a guest. What it takes is written down before anything is touched, so that the next command can finish
//! what a killed one has begun.

mod apply;
mod journal;
mod plan;

use std::path::{Path, PathBuf};

use vserver_types::GuestName;

use crate::Error;
use crate::signals::Signals;

pub(crate) use plan::limits_below;

/// A rename that was killed half way, and what became of it.
#[derive(Debug)]
pub struct Recovered {
    /// The old name.
    pub from: GuestName,
    /// The new one, which the guest has now if there is no error.
    pub to: GuestName,
    /// Why it could not be finished; what the caller should be told otherwise.
    pub outcome: Result<Vec<String>, Error>,
}

/// Renames a guest that does not run; the caller holds the locks of both names. A tree, a cache and a disk that bear its
/// name are renamed with it, and limits on them follow; others, which an administrator chose, stay where they are. So are
/// `logs`, pairs of an old and a new path, as far as they are there. Guests that depend on it depend on the new name then.
/// Gives what the caller should be told, a sentence each.
///
/// # Errors
/// [`Error::Exists`], and whatever a rename meets: then all is as it was.
pub fn rename(
    confdir: &Path,
    from: &GuestName,
    to: &GuestName,
    logs: Vec<(PathBuf, PathBuf)>,
) -> Result<Vec<String>, Error> {
    // Nobody is to end it between two of its steps.
    let _signals = Signals::block()?;
    let plan = plan::make(confdir, from, to, logs)?;
    journal::write(confdir, &plan)?;
    match apply::forward(confdir, &plan) {
        Ok(told) => journal::remove(confdir, from).map(|()| told),
        Err(error) => {
            // What cannot be taken back stands in the journal, and the next command tries to finish it.
            if apply::backward(confdir, &plan) {
                journal::remove(confdir, from)?;
            }
            Err(error)
        }
    }
}

/// Finishes renames that were killed. `lock` takes the lock of a name, or gives nothing if somebody has it: then the rename
/// is still under way.
pub fn recover<L>(confdir: &Path, lock: impl Fn(&GuestName) -> Option<L>) -> Vec<Recovered> {
    let mut done = Vec::new();
    for from in journal::all(confdir) {
        let Some(to) = journal::read(confdir, &from).map(|plan| plan.to) else {
            // Torn: whoever wrote it has not begun, or is just writing it.
            if lock(&from).is_some_and(|_held| journal::read(confdir, &from).is_none()) {
                journal::remove(confdir, &from).ok();
            }
            continue;
        };
        let (first, second) = if from < to { (&from, &to) } else { (&to, &from) };
        let (Some(_first), Some(_second)) = (lock(first), lock(second)) else { continue };
        // It may have ended before we had the locks.
        if let Some(plan) = journal::read(confdir, &from).filter(|plan| plan.to == to) {
            let outcome = finish(confdir, &plan);
            done.push(Recovered { from, to, outcome });
        }
    }
    done
}

fn finish(confdir: &Path, plan: &plan::Plan) -> Result<Vec<String>, Error> {
    let _signals = Signals::block()?;
    apply::sweep(confdir, plan);
    let told = apply::forward(confdir, plan)?;
    journal::remove(confdir, &plan.from)?;
    Ok(told)
}
