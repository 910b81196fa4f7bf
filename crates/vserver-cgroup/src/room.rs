//! Room for guests below the part of a v2 hierarchy that is all a guest has.
//!
//! v2 hands controllers down only from a cgroup that has no processes itself, the root of the whole hierarchy excepted; of some
//! (`cpu`, `cpuset`, `pids`) it does so all the same, and then takes no process into any cgroup below (`EOPNOTSUPP`). A guest's
//! processes begin at the top of its part, unless its init has divided them among its services already.
//! Source: `Documentation/admin-guide/cgroup-v2.rst`, "Threads".

use std::path::{Path, PathBuf};

use crate::layout::Tree;
use crate::{Error, Layout, files, processes};

/// Where they go. No guest of ours is ever directly below the mount.
const ASIDE: &str = "vserver.around";

/// As many listings as it may take until nobody is left who has just been forked.
const TRIES: usize = 100;

impl Layout {
    /// Moves the processes at the top of the v2 hierarchy, if there is a part of one only, to a cgroup of their own below, so
    /// that controllers can be handed down. They stay there. Without controllers nothing happens.
    ///
    /// # Errors
    /// [`Error::Create`], [`Error::Read`], [`Error::Write`].
    pub fn make_room(&self) -> Result<(), Error> {
        match self.v2().filter(|tree| !tree.controllers.is_empty() && is_part(tree)) {
            Some(tree) => move_aside(&tree.mount),
            None => Ok(()),
        }
    }
}

/// The root of a whole hierarchy has no type. Source: `Documentation/admin-guide/cgroup-v2.rst`, "cgroup.type".
fn is_part(tree: &Tree) -> bool {
    tree.mount.join("cgroup.type").exists()
}

/// Whether controllers can be handed down from the top.
pub(crate) fn is_free(tree: &Tree) -> Result<bool, Error> {
    Ok(!is_part(tree) || processes::pids_in(&tree.mount)?.is_empty())
}

/// How a process of this program gets there.
pub(crate) fn aside(tree: &Tree) -> PathBuf {
    tree.mount.join(ASIDE).join("cgroup.procs")
}

fn move_aside(mount: &Path) -> Result<(), Error> {
    const ESRCH: i32 = 3;
    let dir = mount.join(ASIDE);
    let procs = dir.join("cgroup.procs");
    for _ in 0..TRIES {
        let pids = processes::pids_in(mount)?;
        if pids.is_empty() {
            return Ok(());
        }
        files::make_dir(&dir)?;
        for pid in pids {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_part_with_controllers_is_made_room_in() {
        for (controllers, part, moved) in [("pids memory", true, true), ("", true, false), ("pids", false, false)] {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join("cgroup.controllers"), controllers).unwrap();
            fs::write(root.path().join("cgroup.procs"), "7\n").unwrap();
            fs::create_dir(root.path().join(ASIDE)).unwrap();
            fs::write(root.path().join(ASIDE).join("cgroup.procs"), "").unwrap();
            if part {
                fs::write(root.path().join("cgroup.type"), "domain\n").unwrap();
            }
            let line = format!("41 31 0:38 / {} rw - cgroup2 cgroup2 rw\n", root.path().display());
            Layout::from_mountinfo(&line).unwrap().make_room().unwrap();
            let found = fs::read_to_string(root.path().join(ASIDE).join("cgroup.procs")).unwrap();
            assert_eq!(found, if moved { "7" } else { "" }, "{controllers:?} {part}");
        }
    }
}
