//! Namespaces of a process: leaving shared ones, joining another's.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use vserver_sys::{pidfd, process};

use super::failed;
use crate::error::Result;

/// `fs` of a mask: the root and working directory, which are no namespace. Joining a mount namespace brings its root.
const FS: u64 = 0x200;

/// Gives this process new namespaces of the kinds in `mask` (`CLONE_NEW*`). A new PID namespace is for its children.
/// Nothing that is mounted afterwards is seen outside; what the host mounts is seen.
pub fn leave_spaces(mask: u64) -> Result<()> {
    unshare(flags(mask)).map_err(failed(format!("make new namespaces (mask {mask:#x})")))?;
    if mask & process::NEWNS != 0 {
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
            .map_err(failed("keep mounts to the new namespace"))?;
    }
    Ok(())
}

/// Joins those namespaces of the process `pid` that `mask` names; with its mounts comes its root directory.
pub fn join_spaces(pid: i32, mask: u64) -> Result<()> {
    let action = || format!("join the namespaces of process {pid} (mask {mask:#x})");
    let target = pidfd::open(pid).map_err(failed(action()))?;
    let spaces = flags(if mask & FS != 0 { mask | process::NEWNS } else { mask });
    if spaces.is_empty() {
        return Ok(());
    }
    setns(&target, spaces).map_err(failed(action()))
}

/// Whether the namespace of this kind (`ipc`, `uts`, `net` … as in `/proc/PID/ns`) of a process is surely not the host's.
/// `process` is a number or `self`. What cannot be seen is taken for the host's.
pub fn is_apart(process: &str, kind: &str) -> bool {
    let space = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/{kind}")).ok();
    // A host's init may have capabilities that we lack, and hides its namespaces then; kthreadd is beside it.
    let host = space("1").or_else(|| space("2").filter(|_| is_kernel_thread()));
    let own = space(process);
    host.is_some() && own.is_some() && host != own
}

/// Whether process 2 is kthreadd: in a PID namespace of ours it would be anybody. A kernel thread has no program.
fn is_kernel_thread() -> bool {
    let name = std::fs::read_to_string("/proc/2/comm").unwrap_or_default();
    let line = std::fs::read("/proc/2/cmdline").unwrap_or_default();
    name.trim_end() == "kthreadd" && line.is_empty()
}

fn flags(mask: u64) -> CloneFlags {
    CloneFlags::from_bits_retain((mask & !FS) as i32)
}
