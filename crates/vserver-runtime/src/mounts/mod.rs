//! The configured mounts of a guest, `fstab` and `fstab.remote`: made in its outer mount namespace, below its tree. The
//! guest gets a copy of each when it starts. Source: util-vserver, `config-tree.md` §5.5.

mod call;
mod check;
mod make;
mod mtab;

use std::path::{Path, PathBuf};

use nix::libc;
use serde::{Deserialize, Serialize};
use vserver_config::{FstabEntry, GuestConfig};
use vserver_types::{GuestName, Unenforced};

use crate::error::{Error, Result};

pub use check::check;
pub use make::{Origin, mount_all, mount_here, mount_on, mount_root};
pub use mtab::{mtab_line, write_mtab};

/// What every guest has anyway, made in the right way by the sandbox.
const ALWAYS_THERE: [&str; 6] = ["/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"];
/// File systems that show the host's or the kernel's state, wherever they are mounted.
const HOSTS: [&str; 12] = [
    "proc",
    "sysfs",
    "devpts",
    "devtmpfs",
    "cgroup",
    "cgroup2",
    "debugfs",
    "tracefs",
    "securityfs",
    "configfs",
    "bpf",
    "binfmt_misc",
];
/// File systems without idmapped mounts on any kernel.
const NOT_MAPPED: [&str; 7] = ["nfs", "nfs4", "cifs", "smb3", "ramfs", "9p", "hugetlbfs"];

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPlan {
    /// Device, directory, or word.
    pub source: String,
    /// Where, in the guest's tree.
    pub target: String,
    /// Type; none for bind and the like.
    pub fstype: Option<String>,
    /// `MS_*` of mount(2).
    pub flags: u64,
    /// `MS_SHARED` and its kind, afterwards.
    pub propagation: Option<u64>,
    /// Data for the file system, or the text for `mount -o`.
    pub data: String,
    /// By mount(2); else by the system's mount program.
    pub direct: bool,
    /// A bind mount whose further flags need a second call.
    pub remount: bool,
    /// From inside the guest's network context.
    pub remote: bool,
    /// File, line and column, for messages.
    pub place: String,
}

/// All mounts of a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mounts {
    /// The root itself, on the host's directory of the guest.
    pub root: Option<MountPlan>,
    /// The others, in order.
    pub others: Vec<MountPlan>,
    /// Lines of the guest's `/etc/mtab`; `None` without any fstab.
    pub mtab: Option<Vec<String>>,
}

/// The mounts of `fstab`, and what of it is not done.
pub fn plan(config: &GuestConfig) -> (Mounts, Vec<Unenforced>) {
    let (mut plans, mut refused) = (Mounts::default(), Vec::new());
    let files = ["fstab", "fstab.local", "fstab.remote"];
    plans.mtab = files.iter().any(|file| config.dir.join(file).exists()).then(Vec::new);
    for entry in &config.fstab {
        let target = format!("/{}", entry.target.trim_matches('/'));
        if let Some(lines) = plans.mtab.as_mut().filter(|_| target != "/" && !entry.mount_options().nomtab) {
            lines.push(mtab_line(entry));
        }
        if is_always_there(&target) {
            continue;
        }
        let setting = format!("{}:{}", entry.file.file_name().unwrap_or_default().to_string_lossy(), entry.line);
        let kind = entry.fstype.as_deref().unwrap_or_default();
        let plan = one(entry, target);
        let bind = plan.flags & (libc::MS_BIND | libc::MS_MOVE | libc::MS_REMOUNT) != 0;
        if HOSTS.contains(&kind) && !bind {
            let reason =
                format!("a file system of type {kind} shows the host; the guest has its own /proc, /sys and /dev");
            refused.push(Unenforced::none(setting, reason));
            continue;
        }
        if entry.options.iter().any(|option| option == "dev") && plan.target != "/" {
            refused.push(Unenforced::partial(
                &setting,
                "device nodes on it have no effect; the guest's /dev has its own",
            ));
        }
        if NOT_MAPPED.contains(&kind) && config.userns == vserver_config::Userns::Auto {
            let reason = "this kind of file system cannot be mapped to the guest's users: all files belong to nobody \
                          inside; write 'off' into the guest's file 'userns' if that matters";
            refused.push(Unenforced::partial(&setting, reason));
        }
        match plan.target.as_str() {
            "/" => plans.root = Some(plan),
            _ => plans.others.push(plan),
        }
    }
    (plans, refused)
}

/// Whether every guest has a mount there anyway.
pub fn is_always_there(target: &str) -> bool {
    ALWAYS_THERE.contains(&format!("/{}", target.trim_matches('/')).as_str())
}

fn one(entry: &FstabEntry, target: String) -> MountPlan {
    let options = entry.mount_options();
    MountPlan {
        source: entry.source.clone(),
        target,
        fstype: entry.fstype.clone(),
        flags: options.flags,
        propagation: options.propagation.filter(|kind| kind & libc::MS_UNBINDABLE == 0),
        data: options.data,
        direct: options.direct,
        remount: options.remount,
        remote: entry.remote,
        place: format!("{}:{}:1", entry.file.display(), entry.line),
    }
}

/// What is mounted below the tree, relative to it, parents first: the guest's fstab, and what the administrator or a
/// script put there. The sandbox's own places are left out.
pub fn below(tree: &Path, name: &GuestName) -> Result<Vec<PathBuf>> {
    let real = std::fs::canonicalize(tree).map_err(Error::io("find", tree))?;
    let points = vserver_fs::mounts_below(&real).map_err(Error::layer("list its mounts", name))?;
    let mut found: Vec<PathBuf> =
        points.iter().filter_map(|point| point.strip_prefix(&real).ok()).map(Path::to_owned).collect();
    found.retain(|path| {
        !path.as_os_str().is_empty() && !["proc", "sys", "dev"].iter().any(|own| path.starts_with(own))
    });
    found.sort();
    found.dedup();
    Ok(found)
}
