//! Making a guest's directories.

use std::path::{Path, PathBuf};

use vserver_types::GuestName;

use crate::layout::Tree;
use crate::{Controller, Error, Layout, base, cpuset, files, room};

/// How deep and how wide a guest may nest cgroups below its own: without a bound it could fill the host's memory with
/// them, and make paths too long to be removed. The first counts `guest/` itself. Source: threat D21.
const BOUNDS: [(&str, &str); 2] = [("cgroup.max.depth", "11"), ("cgroup.max.descendants", "1001")];

/// The cgroups of one guest, in every hierarchy that serves it.
#[derive(Clone, Debug)]
pub struct GuestCgroup {
    pub(crate) layout: Layout,
    pub(crate) name: GuestName,
}

impl GuestCgroup {
    /// Makes `vserver/<name>/guest` in each hierarchy in use. On v2 the controllers `cpu cpuset memory pids io`, those
    /// that are there, are enabled down to `guest/`; for that they are added to `cgroup.subtree_control` of the root of
    /// the mount, the one thing outside `vserver/` that is ever changed. Empty leftovers of an earlier run are replaced.
    ///
    /// # Errors
    /// [`Error::Occupied`] if processes live in such leftovers; [`Error::Foreign`] if something that is not ours is in the
    /// way; [`Error::Create`]. What was made is removed again.
    pub fn create(layout: &Layout, name: &GuestName) -> Result<Self, Error> {
        if let Some(old) = Self::open(layout, name) {
            let pids = old.all_processes()?;
            if !pids.is_empty() {
                return Err(Error::Occupied { name: name.to_string(), pids });
            }
            old.remove()?;
        }
        let cgroup = Self { layout: layout.clone(), name: name.clone() };
        let mut made = Vec::new();
        let result = layout.basic().into_iter().try_for_each(|tree| cgroup.make_in(tree, &mut made));
        if let Err(error) = result {
            base::undo(&made);
            return Err(error);
        }
        Ok(cgroup)
    }

    /// The cgroups of a guest if it has any, as after a restart of whoever made them.
    pub fn open(layout: &Layout, name: &GuestName) -> Option<Self> {
        let there = layout.trees().iter().any(|tree| base::has_guest(tree, name));
        there.then(|| Self { layout: layout.clone(), name: name.clone() })
    }

    /// The guest.
    pub fn name(&self) -> &GuestName {
        &self.name
    }

    /// Makes the directories of the v1 hierarchy of `controller` if that was not needed before, and moves the guest's
    /// processes, if it runs, into them. Nothing happens where the host has no such controller.
    pub(crate) fn ensure(&self, controller: Controller) -> Result<(), Error> {
        let Some(tree) = self.layout.tree_of(controller) else {
            return Ok(());
        };
        if tree.guest(&self.name).is_dir() {
            return Ok(());
        }
        let mut made = Vec::new();
        let result = self.make_in(tree, &mut made).and_then(|()| self.adopt_into(tree));
        if result.is_err() {
            base::undo(&made);
        }
        result
    }

    /// Directory `vserver/<name>` of the hierarchy of `controller`, if it exists.
    pub(crate) fn top_of(&self, controller: Controller) -> Option<(PathBuf, bool)> {
        let tree = self.layout.tree_of(controller)?;
        let top = tree.top(&self.name);
        top.is_dir().then_some((top, tree.v2))
    }

    fn make_in(&self, tree: &Tree, made: &mut Vec<PathBuf>) -> Result<(), Error> {
        let (top, guest) = (tree.top(&self.name), tree.guest(&self.name));
        if tree.v2 && room::is_free(tree)? {
            enable(&tree.mount, &tree.v2_names())?;
        }
        // First of all, so that nobody takes the base away in the middle.
        made.extend(base::make_top(tree, &self.name)?);
        // Controllers of v1 are handed down by directory, those of v2 by the directory above.
        for dir in tree.levels().iter().chain([&top]) {
            if tree.v2 { enable(dir, &tree.v2_names())? } else { prepare_v1(tree, dir)? }
        }
        if files::make_dir(&guest)? {
            made.push(guest.clone());
        }
        if !tree.v2 {
            prepare_v1(tree, &guest)?;
        }
        if tree.v2 {
            bound(&top);
        }
        Ok(())
    }

    fn adopt_into(&self, tree: &Tree) -> Result<(), Error> {
        let procs = tree.guest(&self.name).join("cgroup.procs");
        // A process may fork between the listing and its move: until a listing shows nobody outside.
        for _ in 0..100 {
            let inside = files::read(&procs)?;
            let is_inside = |pid: &i32| inside.lines().any(|line| line.parse() == Ok(*pid));
            let outside: Vec<i32> = self.processes()?.into_iter().filter(|pid| !is_inside(pid)).collect();
            if outside.is_empty() {
                return Ok(());
            }
            for pid in outside {
                const ESRCH: i32 = 3;
                match files::write(&procs, &pid.to_string()) {
                    Err(source) if source.raw_os_error() != Some(ESRCH) => {
                        return Err(Error::Write { path: procs, value: pid.to_string(), source });
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Adds controllers to `cgroup.subtree_control`. One that the kernel refuses (real-time tasks, processes beside the
/// children) is left out: what is then missing is said when a limit asks for it.
fn enable(dir: &Path, names: &[&str]) -> Result<(), Error> {
    let control = dir.join("cgroup.subtree_control");
    let Some(enabled) = files::read_optional(&control)? else {
        return Ok(());
    };
    let missing: Vec<String> =
        names.iter().filter(|name| enabled.split(' ').all(|e| e != **name)).map(|name| format!("+{name}")).collect();
    if !missing.is_empty() && files::write(&control, &missing.join(" ")).is_err() {
        for name in &missing {
            let _ = files::write(&control, name);
        }
    }
    Ok(())
}

/// What a new v1 directory needs before it can hold children or processes.
fn prepare_v1(tree: &Tree, dir: &Path) -> Result<(), Error> {
    if tree.controllers.contains(&Controller::Cpuset) {
        cpuset::seed_from_parent(dir)?;
    }
    if tree.controllers.contains(&Controller::Memory) {
        // Before 5.11 a limit held only the directory itself unless told so. A kernel that needs no telling may refuse.
        let hierarchy = dir.join("memory.use_hierarchy");
        if files::read_optional(&hierarchy)?.as_deref() == Some("0") {
            let _ = files::write(&hierarchy, "1");
        }
    }
    Ok(())
}

/// Bounds nesting where the kernel can (4.14); an older one bounds only what memory a guest may use.
fn bound(top: &Path) {
    for (file, value) in BOUNDS {
        let _ = files::write(&top.join(file), value);
    }
}
