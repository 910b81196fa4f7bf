//! How a process gets into cgroups.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::unistd;

use crate::files::{self, again};
use crate::layout::Tree;
use crate::{Error, GuestCgroup, Layout};

/// Open doors into a set of cgroups, for a process to go through. See the front page for what each way costs.
///
/// On a pure v2 host `guest/` takes no process once the guest's init has enabled controllers below it (`EBUSY`, the
/// "no internal processes" rule): a command for a running guest then goes where its init is, [`GuestCgroup::entry_beside`].
#[derive(Debug)]
pub struct Entry {
    v2: Option<Door>,
    v1: Vec<OwnedFd>,
}

#[derive(Debug)]
struct Door {
    dir: OwnedFd,
    procs: OwnedFd,
}

impl Entry {
    /// The v2 directory, for `clone3(CLONE_INTO_CGROUP)`.
    pub fn v2_dir(&self) -> Option<BorrowedFd<'_>> {
        self.v2.as_ref().map(|door| door.dir.as_fd())
    }

    /// Moves the calling thread into the v1 hierarchies: all that is left to do for a child that was cloned into
    /// [`Entry::v2_dir`]. The caller must have one thread. Allocates nothing and takes no lock.
    ///
    /// # Errors
    /// `ENODEV` if the cgroup was removed.
    pub fn enter_v1(&self) -> io::Result<()> {
        self.v1.iter().try_for_each(|tasks| write_zero(tasks.as_fd()))
    }

    /// Moves the calling, single-threaded process into all hierarchies. Waits for a grace period (3–15 ms) where there
    /// is a v2 hierarchy.
    ///
    /// # Errors
    /// As [`Entry::enter_v1`]; `EBUSY` if the v2 cgroup has controllers enabled for its children.
    pub fn enter(&self) -> io::Result<()> {
        self.enter_v1()?;
        self.v2.as_ref().map_or(Ok(()), |door| write_zero(door.procs.as_fd()))
    }

    /// The way into `vserver/.supervisors`, which is made if need be and may be gone when it is used; in hierarchies that we do not use, into the root,
    /// so that a supervisor does not stay in the session or the service that it was started from and end with it.
    ///
    /// # Errors
    /// [`Error::Create`], [`Error::Open`].
    pub fn supervisors(layout: &Layout) -> Result<Self, Error> {
        again(|| Self::to_supervisors(layout))
    }

    fn to_supervisors(layout: &Layout) -> Result<Self, Error> {
        let mut entry = Self { v2: None, v1: Vec::new() };
        let basic = layout.basic();
        for tree in &basic {
            entry.add(&make_supervisors(tree)?, tree.v2)?;
        }
        let rest = layout.trees().iter().filter(|tree| !basic.contains(tree)).map(|tree| tree.mount.as_path());
        for root in rest.chain(layout.unused().iter().map(|path| path.as_path())) {
            // A hierarchy that cannot be written (a container's) keeps the process where it is.
            if let Ok(tasks) = files::open_to_write(&root.join("tasks")) {
                entry.v1.push(tasks);
            }
        }
        Ok(entry)
    }

    /// Moves the calling, single-threaded process into [`Entry::supervisors`]; `born` for one that was cloned into its
    /// v2 directory already. The end of the last guest takes the directories away while they are empty, perhaps just now:
    /// then they are made again.
    ///
    /// # Errors
    /// [`Error::Create`], [`Error::Open`], [`Error::Join`].
    pub fn join_supervisors(layout: &Layout, born: bool) -> Result<(), Error> {
        again(|| {
            let entry = Self::to_supervisors(layout)?;
            if born { entry.enter_v1() } else { entry.enter() }.map_err(Error::Join)
        })
    }

    /// The v2 directory to be born in and the `tasks` files to write `0` to, for a process that does the rest by itself.
    pub fn into_parts(self) -> (Option<OwnedFd>, Vec<OwnedFd>) {
        (self.v2.map(|door| door.dir), self.v1)
    }

    fn add(&mut self, dir: &Path, v2: bool) -> Result<(), Error> {
        if v2 {
            let procs = files::open_to_write(&dir.join("cgroup.procs"))?;
            self.v2 = Some(Door { dir: files::open_dir(dir)?, procs });
        } else {
            self.v1.push(files::open_to_write(&dir.join("tasks"))?);
        }
        Ok(())
    }
}

impl GuestCgroup {
    /// The way into `guest/` in each hierarchy that serves this guest.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn entry(&self) -> Result<Entry, Error> {
        let mut entry = Entry { v2: None, v1: Vec::new() };
        for tree in self.layout.trees() {
            let dir = tree.guest(&self.name);
            if dir.is_dir() {
                entry.add(&dir, tree.v2)?;
            }
        }
        Ok(entry)
    }

    /// As [`GuestCgroup::entry`]; but if the guest's init has divided `guest/` among its services, the way on v2 is into
    /// the cgroup of process `init` (a host pid), provided that it lies below `guest/`.
    ///
    /// # Errors
    /// [`Error::Open`]; [`Error::Read`] if `init` has ended.
    pub fn entry_beside(&self, init: i32) -> Result<Entry, Error> {
        let mut entry = self.entry()?;
        let Some(tree) = self.layout.v2() else { return Ok(entry) };
        let guest = tree.guest(&self.name);
        if files::read_optional(&guest.join("cgroup.subtree_control"))?.unwrap_or_default().is_empty() {
            return Ok(entry);
        }
        let holds = |dir: &Path| {
            files::read_optional(&dir.join("cgroup.procs")).ok().flatten().is_some_and(|text| has_line(&text, init))
        };
        // By looking for the pid instead of reading /proc/<init>/cgroup: that path depends on who reads it.
        if let Some(dir) = files::deepest_first(&guest)?.into_iter().find(|dir| holds(dir)) {
            entry.add(&dir, true)?;
        }
        Ok(entry)
    }

    /// Files of `guest/` to which a single-threaded child writes `0`: `tasks` of each v1 hierarchy, `cgroup.procs` of v2.
    /// [`GuestCgroup::entry`] is the faster way for a caller of clone3.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn join_files(&self) -> Result<Vec<OwnedFd>, Error> {
        let entry = self.entry()?;
        Ok(entry.v1.into_iter().chain(entry.v2.map(|door| door.procs)).collect())
    }

    /// Moves process `pid`, with all its threads, to `vserver/.supervisors`. Waits for a grace period.
    ///
    /// # Errors
    /// [`Error::Create`], [`Error::Write`].
    pub fn join_supervisor(layout: &Layout, pid: i32) -> Result<(), Error> {
        let join = |tree: &Tree| files::must_write(&make_supervisors(tree)?.join("cgroup.procs"), &pid.to_string());
        layout.basic().into_iter().try_for_each(|tree| again(|| join(tree)))
    }

    /// Directory `vserver/<name>` of the v2 hierarchy: where BPF programs of this guest are attached.
    pub fn v2_dir(&self) -> Option<OwnedFd> {
        let tree = self.layout.v2()?;
        files::open_dir(&tree.top(&self.name)).ok()
    }

    /// Hands `guest/` of the v2 hierarchy to `uid` and the gid of the same number: the directory, `cgroup.procs`,
    /// `cgroup.threads` and `cgroup.subtree_control`, no file that limits. Nothing happens without a v2 hierarchy: v1
    /// cannot be delegated safely.
    ///
    /// # Errors
    /// [`Error::Open`] names what could not be handed over.
    pub fn delegate(&self, uid: u32) -> Result<(), Error> {
        let Some(tree) = self.layout.v2() else { return Ok(()) };
        let guest = tree.guest(&self.name);
        let files = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"].map(|file| guest.join(file));
        for path in files.into_iter().chain([guest]) {
            std::os::unix::fs::chown(&path, Some(uid), Some(uid)).map_err(|source| Error::Open { path, source })?;
        }
        Ok(())
    }
}

fn make_supervisors(tree: &Tree) -> Result<PathBuf, Error> {
    let dir = tree.supervisors();
    files::make_dir_below(&tree.ours(), &dir).map(|_| dir)
}

fn has_line(text: &str, pid: i32) -> bool {
    text.lines().any(|line| line.parse() == Ok(pid))
}

fn write_zero(file: BorrowedFd<'_>) -> io::Result<()> {
    unistd::write(file, b"0").map(drop).map_err(io::Error::from)
}
