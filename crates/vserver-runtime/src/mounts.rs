//! The configured mounts of a guest, `fstab` and `fstab.remote`: made in its outer mount namespace, below its tree. The
//! guest gets a copy of each when it starts. Source: util-vserver, `config-tree.md` §5.5.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use nix::libc;
use nix::mount::{MsFlags, mount};
use serde::{Deserialize, Serialize};
use vserver_config::{FstabEntry, GuestConfig};
use vserver_fs::{GuestRoot, Kind};
use vserver_net::space::within;
use vserver_types::{GuestName, Unenforced};

use crate::error::{Error, Result};
use crate::interrupt::Interrupts;
use crate::scripts::run_command;

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

/// Every extN is shown as ufs. Source: `config-tree.md` §5.5.
pub fn mtab_line(entry: &FstabEntry) -> String {
    let kind = entry.fstype.as_deref().map_or("none", |kind| if kind.starts_with("ext") { "ufs" } else { kind });
    format!("{} {} {kind} {} 0 0\n", entry.source, entry.target, entry.options.join(","))
}

/// Mounts the guest's root itself. What does not work is a sentence; the start goes on, as in the original.
pub fn mount_root(
    plan: &MountPlan,
    vdir: &Path,
    name: &GuestName,
    interrupts: &Interrupts,
) -> Result<Option<String>> {
    let directory = std::fs::File::open(vdir).map_err(Error::io("open", vdir))?;
    attempt(plan, directory.as_fd(), Origin::default(), name, interrupts, &|| {
        let again = std::fs::File::open(vdir).map_err(Error::io("open", vdir))?;
        Ok(again.into())
    })
}

/// Mounts on a directory or file of our own, in our mount namespace. What does not work is a reason.
pub fn mount_here(
    plan: &MountPlan,
    place: &Path,
    name: &GuestName,
    interrupts: &Interrupts,
) -> Result<std::result::Result<(), String>> {
    let open = || std::fs::File::open(place).map(OwnedFd::from).map_err(Error::io("open", place));
    let target = open()?;
    tried(plan, target.as_fd(), None, &|command| run_command(command, Some(interrupts), name), &open)
}

/// Mounts what a line of an fstab says on `target`, in the caller's mount namespace; `again` opens it once more, when it
/// is mounted. What does not work is a reason.
pub fn mount_on(
    entry: &FstabEntry,
    target: BorrowedFd<'_>,
    again: &dyn Fn() -> Result<OwnedFd>,
) -> Result<std::result::Result<(), String>> {
    let run = |command: &mut Command| {
        let program = command.get_program().to_string_lossy().into_owned();
        command.status().map_err(Error::io("run", program))
    };
    tried(&one(entry, entry.target.clone()), target, None, &run, again)
}

/// Where mounts from the guest's network context are made from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// Its v2 cgroup, whose programs choose the source address.
    pub group: Option<BorrowedFd<'a>>,
    /// Its network namespace, if it is not the host's.
    pub space: Option<BorrowedFd<'a>>,
}

/// Makes the other mounts below `tree`.
pub fn mount_all(
    plans: &[MountPlan],
    tree: &GuestRoot,
    origin: Origin<'_>,
    name: &GuestName,
    interrupts: &Interrupts,
) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for plan in plans {
        let failed = |error| Error::layer(format!("mount on {}, {}", plan.target, plan.place), name)(error);
        let place = tree.place(&plan.target).map_err(failed)?;
        let file = plan.flags & libc::MS_BIND != 0 && Path::new(&plan.source).is_file();
        let open = || tree.mount_point(&place, file).map_err(failed);
        let origin = if plan.remote { origin } else { Origin::default() };
        warnings.extend(attempt(plan, open()?.as_fd(), origin, name, interrupts, &open)?);
    }
    Ok(warnings)
}

/// `again` opens the target once more: what is mounted now.
fn attempt(
    plan: &MountPlan,
    target: BorrowedFd<'_>,
    origin: Origin<'_>,
    name: &GuestName,
    interrupts: &Interrupts,
    again: &dyn Fn() -> Result<OwnedFd>,
) -> Result<Option<String>> {
    let run = |command: &mut Command| match origin.space {
        None => run_command(command, Some(interrupts), name),
        Some(space) => within(space, || run_command(command, Some(interrupts), name))
            .map_err(Error::layer("enter its network namespace", name))?,
    };
    let done = tried(plan, target, origin.group, &run, again)?;
    Ok(done.err().map(|reason| format!("{}: failed to mount fstab-entry: {reason}", plan.place)))
}

/// Runs a program to its end.
type Runner<'a> = &'a dyn Fn(&mut Command) -> Result<ExitStatus>;

fn tried(
    plan: &MountPlan,
    target: BorrowedFd<'_>,
    group: Option<BorrowedFd<'_>>,
    run: Runner<'_>,
    again: &dyn Fn() -> Result<OwnedFd>,
) -> Result<std::result::Result<(), String>> {
    let done = if plan.direct { directly(plan, target) } else { by_program(plan, target, group, run)? };
    Ok(match done {
        Ok(()) => refine(plan, again()?.as_fd()).map_err(|errno| errno.desc().to_owned()),
        failed => failed,
    })
}

fn directly(plan: &MountPlan, target: BorrowedFd<'_>) -> std::result::Result<(), String> {
    let mut flags = plan.flags;
    if flags & libc::MS_BIND != 0 && flags & libc::MS_REMOUNT == 0 {
        flags &= libc::MS_BIND | libc::MS_REC;
    }
    let change = plan.propagation.is_some() && flags & (libc::MS_BIND | libc::MS_MOVE) == 0 && plan.fstype.is_none();
    if change {
        return Ok(());
    }
    let data = Some(plan.data.as_str()).filter(|data| !data.is_empty());
    let result = mount(
        Some(plan.source.as_str()),
        &path_of(target),
        plan.fstype.as_deref(),
        MsFlags::from_bits_retain(flags),
        data,
    );
    result.map_err(|errno| errno.desc().to_owned())
}

/// The second and third call: flags of a bind mount, and propagation.
fn refine(plan: &MountPlan, target: BorrowedFd<'_>) -> nix::Result<()> {
    let none: Option<&str> = None;
    if plan.remount {
        let flags = MsFlags::from_bits_retain(plan.flags & !libc::MS_REC) | MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
        mount(none, &path_of(target), none, flags, none)?;
    }
    match plan.propagation {
        Some(kind) => mount(none, &path_of(target), none, MsFlags::from_bits_retain(kind), none),
        None => Ok(()),
    }
}

/// `mount -n -t type -o options source .` in the target. From the guest's network context the program first goes into
/// its cgroup, whose programs then choose the source address.
fn by_program(
    plan: &MountPlan,
    target: BorrowedFd<'_>,
    group: Option<BorrowedFd<'_>>,
    run: Runner<'_>,
) -> Result<std::result::Result<(), String>> {
    // Source: util-vserver, `commands.md` §7, secure-mount.
    let program = std::env::var_os("MOUNT").filter(|program| !program.is_empty());
    let program = program.unwrap_or_else(|| "mount".into());
    let mut command = match group {
        None => Command::new(program),
        Some(group) => {
            let procs = format!("/proc/{}/fd/{}/cgroup.procs", std::process::id(), group.as_raw_fd());
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", "echo 0 >\"$1\" && shift && exec \"$@\"", "sh", &procs]).arg(program);
            shell
        }
    };
    command.arg("-n");
    if let Some(kind) = &plan.fstype {
        command.args(["-t", kind]);
    }
    command.args(["-o", &plan.data, "--", &plan.source, "."]).current_dir(path_of(target));
    let status = run(&mut command)?;
    Ok(if status.success() { Ok(()) } else { Err(format!("mount ended with {status}")) })
}

fn path_of(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// Checks the file systems of `fstab` that ask for it. Status 1, "errors corrected", is a success, as was meant.
pub fn check(config: &GuestConfig, interrupts: &Interrupts) -> Result<()> {
    if config.fstab.iter().all(|entry| entry.pass == 0 || entry.remote) {
        return Ok(());
    }
    let mut command = Command::new("fsck");
    command.args(["-s", "-n", "-A", "-T"]).env("FSTAB_FILE", config.dir.join("fstab"));
    let status = run_command(&mut command, Some(interrupts), &config.name)?;
    match status.code() {
        Some(0 | 1) => Ok(()),
        _ => Err(Error::Taken {
            name: config.name.clone(),
            what: format!("the check of its file systems failed: fsck ended with {status}"),
        }),
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

/// The guest's `/etc/mtab`, unless that is a link, as into `/proc`: `first`, then a line for each mount.
pub fn write_mtab(lines: &[String], tree: &GuestRoot, first: &[u8], name: &GuestName) -> Result<()> {
    let regular = match tree.readlink("etc/mtab") {
        Ok(_) => false,
        Err(_) => matches!(tree.kind("etc/mtab"), Ok(None | Some(Kind::File))),
    };
    if !regular || !matches!(tree.kind("etc"), Ok(Some(Kind::Directory))) {
        return Ok(());
    }
    let text = [first, lines.concat().as_bytes()].concat();
    let owner = Some(vserver_fs::Owner::ROOT);
    tree.write_atomic("etc/mtab", &text, 0o644, owner).map_err(Error::layer("write its /etc/mtab", name))
}
