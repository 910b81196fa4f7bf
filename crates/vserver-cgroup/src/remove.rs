//! Removing a guest's directories.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::{Error, GuestCgroup, Layout, base, files, processes, room};

/// A process that was killed leaves its cgroup a moment after it has left the process table. Source: fault F22.
const PATIENCE: Duration = Duration::from_secs(2);

impl GuestCgroup {
    /// Removes the guest's directories in all hierarchies, deepest first, those that the guest made included, and with them
    /// limits and BPF programs; then `vserver/`, and a base that was made, if nothing else is in it. A directory that is busy is tried again for
    /// 2 s. Kills nobody; what cannot be removed in one hierarchy does not keep the others.
    ///
    /// # Errors
    /// [`Error::Busy`] with the processes that are in the way; [`Error::Remove`]. The first one.
    pub fn remove(&self) -> Result<(), Error> {
        let end = Instant::now() + PATIENCE;
        let mut first = Ok(());
        for tree in self.layout.trees().iter().filter(|tree| base::has_guest(tree, &self.name)) {
            let result = remove_tree(&tree.top(&self.name), end);
            first = first.and(result);
        }
        self.layout.tidy();
        first
    }
}

impl Layout {
    /// Removes `vserver/.supervisors`, `vserver/` and a base that was made for guests wherever nothing is in them, as after
    /// the last supervisor has ended.
    pub fn tidy(&self) {
        for tree in self.trees() {
            // Busy is the normal answer: other guests.
            match fs::remove_dir(tree.supervisors()) {
                Err(error) if error.kind() == ErrorKind::ResourceBusy => {}
                _ => drop(fs::remove_dir(tree.ours())),
            }
            base::tidy(tree);
        }
    }

    /// Moves the calling, single-threaded process from `vserver/.supervisors` to the root of each hierarchy and removes
    /// what is then empty: the last keeper stands in the directory that has to go with it. Waits for a grace period.
    pub fn leave_supervisors(&self) {
        for tree in self.basic() {
            // A hierarchy that cannot be written (a container's) keeps the process where it is.
            let left = files::write(&tree.mount.join(if tree.v2 { "cgroup.procs" } else { "tasks" }), "0");
            // A guest's part of one that hands controllers down takes no process at its top.
            if tree.v2 && left.is_err() {
                let _ = files::write(&room::aside(tree), "0");
            }
        }
        self.tidy();
    }
}

fn remove_tree(top: &Path, end: Instant) -> Result<(), Error> {
    // Few guests make cgroups of their own, and of most hierarchies there is nothing.
    let gone = |dir: &Path| fs::remove_dir(dir).map_or_else(|error| error.kind() == ErrorKind::NotFound, |()| true);
    if gone(&top.join("guest")) && gone(top) {
        return Ok(());
    }
    files::deepest_first(top)?.iter().try_for_each(|dir| remove_dir(dir, end))
}

fn remove_dir(path: &Path, end: Instant) -> Result<(), Error> {
    let mut pause = Duration::from_micros(200);
    loop {
        match fs::remove_dir(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < end => {}
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                return Err(Error::Busy { path: path.to_owned(), pids: processes::pids_in(path)? });
            }
            Err(source) => {
                return Err(Error::Remove { path: path.to_owned(), source });
            }
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
