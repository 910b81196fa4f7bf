//! Which processes a guest has, and which guests there are.

use std::collections::BTreeSet;
use std::path::Path;

use vserver_types::GuestName;

use crate::{Error, GuestCgroup, Layout, files};

/// Names of all guests that have a cgroup in any hierarchy, sorted.
///
/// # Errors
/// [`Error::Read`] if a directory cannot be listed.
pub fn list(layout: &Layout) -> Result<Vec<GuestName>, Error> {
    let mut names = BTreeSet::new();
    for tree in layout.trees() {
        for dir in tree.levels().last().map(|base| files::children(base)).transpose()?.unwrap_or_default() {
            // A name that begins with a dot is not a guest's.
            let name = dir.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse::<GuestName>().ok());
            names.extend(name);
        }
    }
    Ok(names.into_iter().collect())
}

impl GuestCgroup {
    /// Host pids of the guest's processes, sorted, those in cgroups that the guest made included. Processes that this
    /// process cannot see (another PID namespace) are left out.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn processes(&self) -> Result<Vec<i32>, Error> {
        let mut pids = BTreeSet::new();
        // All hierarchies hold the same processes; the first is the v2 one if there is any.
        let tree = self.layout.trees().iter().find(|tree| tree.guest(&self.name).is_dir());
        if let Some(tree) = tree {
            collect(&tree.guest(&self.name), &mut pids)?;
        }
        Ok(pids.into_iter().collect())
    }

    /// Whether any process, even one that is out of sight, lives in the guest's cgroup.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn populated(&self) -> Result<bool, Error> {
        let Some(tree) = self.layout.v2() else {
            return Ok(!self.processes()?.is_empty());
        };
        let events = files::read_optional(&tree.guest(&self.name).join("cgroup.events"))?;
        Ok(events.is_some_and(|text| files::flat_key(&text, "populated") == Some(1)))
    }

    /// Host pids in any directory of this guest in any hierarchy, also those that somebody moved there.
    pub(crate) fn all_processes(&self) -> Result<Vec<i32>, Error> {
        let mut pids = BTreeSet::new();
        for tree in self.layout.trees() {
            collect(&tree.top(&self.name), &mut pids)?;
        }
        Ok(pids.into_iter().collect())
    }
}

/// Host pids in `dir` itself; none if it is gone.
pub(crate) fn pids_in(dir: &Path) -> Result<Vec<i32>, Error> {
    // A threaded cgroup answers EOPNOTSUPP: its processes are listed by the one above.
    let text = files::read_optional(&dir.join("cgroup.procs"))?.unwrap_or_default();
    // 0 stands for a process that has no pid in our PID namespace.
    Ok(text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0).collect())
}

fn collect(dir: &Path, pids: &mut BTreeSet<i32>) -> Result<(), Error> {
    for dir in files::deepest_first(dir)? {
        pids.extend(pids_in(&dir)?);
    }
    Ok(())
}
