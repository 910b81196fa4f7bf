//! `demo --clean`: every trace of the demo, and nothing else.

use std::fs;
use std::path::Path;

use super::guest::Demo;
use super::{NAME, traces};
use crate::Outcome;
use crate::shell::say;

/// Runs it. Nothing to remove is a success.
pub fn run(demo: &Demo) -> Outcome {
    let Some(kind) = traces::kind() else {
        if demo.exists() {
            return Err("the guest `demo` was not made by `cargo xtask demo`, so it stays".into());
        }
        say("there is nothing to remove");
        return Ok(());
    };
    if demo.exists() {
        say(&format!("removing the guest `demo` ({})", traces::words(kind).1));
        if demo.is_running() {
            demo.vserver(&["stop"])?;
        }
        demo.delete()?;
    }
    for log in [format!("{NAME}.console"), format!("{NAME}.console.1")] {
        let _ = fs::remove_file(Path::new("/var/log/vserver").join(log));
    }
    let locks = Path::new("/run/vserver/lock");
    let _ = fs::remove_file(locks.join(NAME));
    // Only if no other guest's is left: the directory around it may have been there before.
    let _ = fs::remove_dir(locks);
    remove_cgroups();
    for dir in traces::made() {
        remove_unused(&dir);
    }
    traces::end();
    say("removed");
    Ok(())
}

/// Our directory in every hierarchy, if no guest is left in it.
fn remove_cgroups() {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let hierarchies = mounts.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        fields.get(2).is_some_and(|kind| kind.starts_with("cgroup")).then(|| fields[1].to_owned())
    });
    for hierarchy in hierarchies {
        let ours = Path::new(&hierarchy).join("vserver");
        // rmdir takes only empty ones: a guest's or a supervisor's stays.
        let _ = fs::remove_dir(ours.join(".supervisors"));
        let _ = fs::remove_dir(ours);
    }
}

/// A directory that the demo brought: kept if another guest uses it by now, which shows as an entry without a dot.
fn remove_unused(dir: &Path) {
    // Lock files and fetched packages belong to no guest.
    let is_used = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        !name.starts_with('.') && name != "lock" && name != "debootstrap"
    };
    let used = fs::read_dir(dir).into_iter().flatten().flatten().any(is_used);
    if used {
        say(&format!("{} is in use by others and stays", dir.display()));
    } else {
        let _ = fs::remove_dir_all(dir);
    }
}
