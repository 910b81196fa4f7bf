//! Which hierarchies this host has and what we use each for.

use std::path::{Path, PathBuf};

use vserver_types::{CgroupBase, GuestName};

use crate::Error;
use crate::files;
use crate::mountinfo::{self, CgroupMount};

/// Where supervisors live. No guest can have this name: it begins with a dot.
const SUPERVISORS: &str = ".supervisors";

/// A part of the kernel that counts or limits something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Shares and quota of CPU time.
    Cpu,
    /// Used CPU time (v1 only; v2 counts it without a controller).
    Cpuacct,
    /// Which CPUs and memory nodes.
    Cpuset,
    /// Memory and swap.
    Memory,
    /// Number of processes and threads.
    Pids,
    /// Block devices: `io`, on v1 `blkio`.
    Io,
    /// Device nodes (v1 only; a BPF program on v2).
    Devices,
    /// Stopping all processes at once (v1 only; part of every cgroup on v2).
    Freezer,
}

/// Versions of cgroups on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only v1.
    V1,
    /// Controllers on v1, and a v2 hierarchy beside.
    Hybrid,
    /// Every controller that is there is on v2.
    V2,
}

/// One hierarchy that we have directories in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Whether it is the v2 one.
    pub v2: bool,
    /// Those of our controllers that it has.
    pub controllers: Vec<Controller>,
    /// Where guests are, below the mount.
    pub base: CgroupBase,
}

/// The cgroup hierarchies of this host as this process sees them. Where only a part of a hierarchy is mounted, as in a
/// container, that part is all that is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    trees: Vec<Tree>,
    /// v1 hierarchies that hold nothing of ours.
    unused: Vec<PathBuf>,
}

impl Controller {
    /// Those that have a directory for every guest, on each version. `Cpuset` and `Io` come with the first setting.
    const ALL: [Self; 8] =
        [Self::Cpu, Self::Cpuacct, Self::Cpuset, Self::Memory, Self::Pids, Self::Io, Self::Devices, Self::Freezer];

    /// Its name on v1 and on v2.
    fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Cpu => ("cpu", Some("cpu")),
            Self::Cpuacct => ("cpuacct", None),
            Self::Cpuset => ("cpuset", Some("cpuset")),
            Self::Memory => ("memory", Some("memory")),
            Self::Pids => ("pids", Some("pids")),
            Self::Io => ("blkio", Some("io")),
            Self::Devices => ("devices", None),
            Self::Freezer => ("freezer", None),
        }
    }

    /// The name for people.
    pub fn name(self) -> &'static str {
        self.names().1.unwrap_or(self.names().0)
    }

    /// By the first word of a control file's name, of either version.
    pub(crate) fn of_file(file: &str) -> Option<Self> {
        let word = file.split('.').next()?;
        Self::ALL.into_iter().find(|c| c.names().0 == word || c.names().1 == Some(word))
    }
}

impl Tree {
    /// `vserver/`
    pub(crate) fn ours(&self) -> PathBuf {
        self.mount.join(CgroupBase::OURS)
    }

    /// The directory of guests, which is `vserver/` too unless said otherwise, and what lies above it, outermost first.
    pub(crate) fn levels(&self) -> Vec<PathBuf> {
        self.base.levels().map(|level| self.mount.join(level)).collect()
    }

    /// `vserver/<name>/`
    pub(crate) fn top(&self, name: &GuestName) -> PathBuf {
        self.mount.join(self.base.as_str()).join(name.as_str())
    }

    /// `vserver/<name>/guest/`
    pub(crate) fn guest(&self, name: &GuestName) -> PathBuf {
        self.top(name).join("guest")
    }

    /// `vserver/.supervisors/`
    pub(crate) fn supervisors(&self) -> PathBuf {
        self.ours().join(SUPERVISORS)
    }

    /// Names of its controllers as `cgroup.subtree_control` wants them.
    pub(crate) fn v2_names(&self) -> Vec<&'static str> {
        self.controllers.iter().filter_map(|c| c.names().1).collect()
    }
}

impl Layout {
    /// What `/proc/self/mountinfo` shows. Changes nothing.
    ///
    /// # Errors
    /// [`Error::NoHierarchy`] if no cgroup file system is mounted.
    pub fn detect() -> Result<Self, Error> {
        Self::from_mountinfo(&files::read(Path::new("/proc/self/mountinfo"))?)
    }

    /// As [`Layout::detect`], from the text of a mountinfo file. Which controllers v2 has is read from its mount.
    ///
    /// # Errors
    /// [`Error::NoHierarchy`] if no line is about a cgroup file system.
    pub fn from_mountinfo(text: &str) -> Result<Self, Error> {
        let (mut trees, mut unused) = (Vec::new(), Vec::new());
        for mount in mountinfo::hierarchies(text) {
            let controllers = if mount.v2 { v2_controllers(&mount)? } else { v1_controllers(&mount) };
            if controllers.is_empty() && !mount.v2 {
                unused.push(mount.path);
            } else {
                trees.push(Tree { mount: mount.path, v2: mount.v2, controllers, base: CgroupBase::default() });
            }
        }
        if trees.is_empty() {
            return Err(Error::NoHierarchy);
        }
        trees.sort_by_key(|tree| !tree.v2);
        Ok(Self { trees, unused })
    }

    /// The same hierarchies with the guests below `base` instead of `vserver/`; supervisors stay where they are.
    #[must_use]
    pub fn with_base(mut self, base: &CgroupBase) -> Self {
        self.trees.iter_mut().for_each(|tree| tree.base.clone_from(base));
        self
    }

    /// Which versions there are.
    pub fn kind(&self) -> Kind {
        let v1 = self.trees.iter().any(|tree| !tree.v2);
        match (v1, self.v2()) {
            (true, Some(_)) => Kind::Hybrid,
            (true, None) => Kind::V1,
            (false, _) => Kind::V2,
        }
    }

    /// Mount point of the v2 hierarchy.
    pub fn v2_mount(&self) -> Option<&Path> {
        self.v2().map(|tree| tree.mount.as_path())
    }

    /// Whether this host can limit or count with `controller`.
    pub fn has(&self, controller: Controller) -> bool {
        self.tree_of(controller).is_some()
    }

    /// All hierarchies, v2 first.
    pub(crate) fn trees(&self) -> &[Tree] {
        &self.trees
    }

    pub(crate) fn v2(&self) -> Option<&Tree> {
        self.trees.iter().find(|tree| tree.v2)
    }

    /// v1 hierarchies of which we use nothing but the root, such as `name=systemd`.
    pub(crate) fn unused(&self) -> &[PathBuf] {
        &self.unused
    }

    /// Where `controller` is. The kernel has each in one hierarchy only.
    pub(crate) fn tree_of(&self, controller: Controller) -> Option<&Tree> {
        self.trees.iter().find(|tree| tree.controllers.contains(&controller))
    }

    /// Hierarchies in which every guest has directories: v2 always, and of v1 what limits or counts. CPU time and
    /// freezing need a v1 hierarchy of their own only where there is no v2.
    pub(crate) fn basic(&self) -> Vec<&Tree> {
        let mut wanted = vec![Controller::Cpu, Controller::Memory, Controller::Pids];
        if self.v2().is_none() {
            wanted.extend([Controller::Cpuacct, Controller::Freezer]);
        }
        let serves = |tree: &&Tree| tree.v2 || tree.controllers.iter().any(|c| wanted.contains(c));
        self.trees.iter().filter(serves).collect()
    }
}

fn v1_controllers(mount: &CgroupMount) -> Vec<Controller> {
    let named = |c: &Controller| mount.options.iter().any(|option| option == c.names().0);
    Controller::ALL.into_iter().filter(named).collect()
}

fn v2_controllers(mount: &CgroupMount) -> Result<Vec<Controller>, Error> {
    let text = files::read_optional(&mount.path.join("cgroup.controllers"))?.unwrap_or_default();
    let there = |c: &Controller| c.names().1.is_some_and(|name| text.split(' ').any(|word| word == name));
    Ok(Controller::ALL.into_iter().filter(there).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "32 31 0:29 / /nowhere/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      35 31 0:32 / /nowhere/memory rw - cgroup cgroup rw,memory\n\
                      36 31 0:33 / /nowhere/freezer rw - cgroup cgroup rw,freezer\n\
                      37 31 0:34 / /nowhere/cpuset rw - cgroup cgroup rw,cpuset\n\
                      40 31 0:37 / /nowhere/systemd rw - cgroup cgroup rw,name=systemd\n";
    const V2: &str = "41 31 0:38 / /nowhere/unified rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn v1_alone_uses_freezer_and_cpuacct() {
        let layout = Layout::from_mountinfo(V1).unwrap();
        assert_eq!(layout.kind(), Kind::V1);
        let mounts: Vec<_> = layout.basic().iter().map(|tree| tree.mount.to_str().unwrap()).collect();
        assert_eq!(mounts, ["/nowhere/cpu,cpuacct", "/nowhere/memory", "/nowhere/freezer"]);
        assert_eq!(layout.unused(), [PathBuf::from("/nowhere/systemd")]);
    }

    #[test]
    fn hybrid_uses_v2_for_what_it_can() {
        let layout = Layout::from_mountinfo(&format!("{V1}{V2}")).unwrap();
        assert_eq!(layout.kind(), Kind::Hybrid);
        let mounts: Vec<_> = layout.basic().iter().map(|tree| tree.mount.to_str().unwrap()).collect();
        assert_eq!(mounts, ["/nowhere/unified", "/nowhere/cpu,cpuacct", "/nowhere/memory"]);
        assert!(!layout.tree_of(Controller::Memory).unwrap().v2);
    }

    #[test]
    fn v2_alone_takes_the_controllers_from_its_root() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cgroup.controllers"), "cpuset cpu io memory hugetlb pids rdma\n").unwrap();
        let line = format!("41 31 0:38 / {} rw - cgroup2 cgroup2 rw\n", dir.path().display());
        let named = "40 31 0:37 / /nowhere/systemd rw - cgroup cgroup rw,name=systemd\n";
        let layout = Layout::from_mountinfo(&format!("{line}{named}")).unwrap();
        assert_eq!(layout.kind(), Kind::V2);
        assert_eq!(layout.v2().unwrap().v2_names(), ["cpu", "cpuset", "memory", "pids", "io"]);
    }

    #[test]
    fn nothing_mounted_is_said() {
        assert!(matches!(Layout::from_mountinfo("1 0 0:1 / / rw - ext4 a rw\n"), Err(Error::NoHierarchy)));
    }

    #[test]
    fn files_know_their_controller() {
        assert_eq!(Controller::of_file("blkio.weight"), Some(Controller::Io));
        assert_eq!(Controller::of_file("io.max"), Some(Controller::Io));
        assert_eq!(Controller::of_file("memory.max"), Some(Controller::Memory));
        assert_eq!(Controller::of_file("net_cls.classid"), None);
    }
}
