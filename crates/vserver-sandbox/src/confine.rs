//! The last privileges go: one path for the guest's first process and for every command that is put into it later.
//!
//! Order: limits and domain while everything is still allowed → the bounding set → the guest's root → seccomp (needs
//! CAP_SYS_ADMIN here) → the remaining capabilities. Inheritable and ambient sets stay empty.

use std::collections::HashSet;
use std::io;
use std::os::fd::BorrowedFd;

use caps::{CapSet as Kind, Capability as Cap};
use nix::sys::resource::{Resource as Rlim, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use vserver_sys::{prlimit, process, seccomp};
use vserver_types::{CapSet, Capability, Resource, Rlimit, Ulimit};

use crate::blueprint::Confinement;
use crate::error::{Error, Result, Step};
use crate::{oom, petition};

/// Who a confined process becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The guest's root.
    Root,
    /// Another user of the guest: permitted capabilities are lost with the change.
    User {
        /// User id inside.
        uid: u32,
        /// Group id inside.
        gid: u32,
        /// Supplementary groups inside.
        groups: Vec<u32>,
    },
}

/// The standing among the host's processes of `process`, the caller if it is `None`: with the host's rights, as the
/// kernel asks for them, so not by one that has joined the guest's user namespace. Inherited by all that it starts.
pub fn take_standing(wish: &Confinement, host_proc: BorrowedFd<'_>, process: Option<i32>) -> Result<()> {
    let pid = process.unwrap_or(0);
    if let Some(level) = wish.nice {
        process::set_nice(pid, level).step(|| format!("set the nice level to {level}"))?;
    }
    if let Some(priority) = wish.ionice {
        process::set_io_priority(pid, priority).step(|| "set the I/O priority".to_owned())?;
    }
    match (wish.oom_adjust, wish.oom_score_adj) {
        (true, bias) => oom::set_without_floor(host_proc, process, bias),
        (false, Some(bias)) => oom::set(host_proc, process, bias),
        (false, None) => Ok(()),
    }
}

/// Descriptors that a process may have while it is on its way to its program, whatever that may have: those of its
/// supervisor, which it has a copy of, and what it opens itself.
const DESCRIPTORS: u64 = 1024;

/// The limits and the bounding set: what can be taken away while mounts are still to be made. See [`limit_descriptors`].
pub fn limit(wish: &Confinement) -> Result<()> {
    umask(Mode::from_bits_truncate(0o022));
    wish.ulimits.iter().try_for_each(|limit| set_ulimit(limit, least(limit.resource)))?;
    if let Some(persona) = wish.personality {
        let persona = nix::sys::personality::Persona::from_bits_retain(persona as i32);
        nix::sys::personality::set(persona).step(|| "set the personality".to_owned())?;
    }
    bound(wish.caps)
}

/// The limit of open files, if it is one that a process on its way to its program could be in want of: the last thing
/// before the program, when no descriptor is opened any more. Lowering asks for no right.
pub fn limit_descriptors(wish: &Confinement) -> Result<()> {
    let files = wish.ulimits.iter().filter(|limit| limit.resource == Resource::Nofile);
    files.into_iter().try_for_each(|limit| {
        let now = prlimit::get(0, Resource::Nofile.number()).step(|| "read the limit nofile".to_owned())?;
        let hard = number(limit.hard).min(now.hard);
        let soft = limit.soft.map_or(now.soft, number).min(hard);
        let wanted = prlimit::Limit { soft, hard };
        if wanted == now {
            return Ok(());
        }
        prlimit::lower(Resource::Nofile.number(), wanted).step(|| format!("set the limit nofile to {soft}"))
    })
}

/// Everything but the change of user, after [`limit`]; on `petitions` the supervisor hears of calls that it has to answer.
/// Afterwards the process is the guest's root, with the guest's
/// capabilities and with those two that [`become_user`] needs.
pub fn confine(wish: &Confinement, petitions: Option<BorrowedFd<'_>>) -> Result<()> {
    become_ids(0, 0, &[])?;
    for program in &wish.filters {
        seccomp::install(&program.instructions).step(|| "install the system call filter".to_owned())?;
    }
    if let Some((program, petitions)) = wish.asking.as_ref().zip(petitions) {
        petition::ask(program, petitions)?;
    }
    keep(wish.caps.with(Capability::SETUID).with(Capability::SETGID), wish.caps)
}

/// Becomes `identity` and gives up what only this change needed.
pub fn become_user(wish: &Confinement, identity: &Identity) -> Result<()> {
    match identity {
        Identity::Root => keep(wish.caps, wish.caps),
        Identity::User { uid, gid, groups } => {
            become_ids(*uid, *gid, groups)?;
            let held =
                caps::read(None, Kind::Permitted).map_err(to_io).step(|| "read the capabilities".to_owned())?;
            if *uid != 0 && !held.is_empty() {
                return Err(Error::ReadBack {
                    what: "the permitted set of a user",
                    wanted: "empty".to_owned(),
                    found: format!("{held:?}"),
                });
            }
            Ok(())
        }
    }
}

fn become_ids(uid: u32, gid: u32, groups: &[u32]) -> Result<()> {
    let groups: Vec<Gid> = groups.iter().map(|g| Gid::from_raw(*g)).collect();
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&groups).step(|| "set the groups".to_owned())?;
    setresgid(gid, gid, gid).step(|| format!("become group {gid}"))?;
    setresuid(uid, uid, uid).step(|| format!("become user {uid}"))
}

/// Drops every capability outside `set` from the bounding set and looks whether it is gone.
fn bound(set: CapSet) -> Result<()> {
    for cap in caps::runtime::thread_all_supported() {
        if !set.contains(Capability(cap.index())) {
            caps::drop(None, Kind::Bounding, cap).map_err(to_io).step(|| format!("drop {cap}"))?;
        }
    }
    let left = caps::read(None, Kind::Bounding).map_err(to_io).step(|| "read the bounding set".to_owned())?;
    match left.iter().find(|cap| !set.contains(Capability(cap.index()))) {
        None => Ok(()),
        Some(cap) => {
            Err(Error::ReadBack { what: "the bounding set", wanted: set.to_string(), found: format!("also {cap}") })
        }
    }
}

fn keep(permitted: CapSet, effective: CapSet) -> Result<()> {
    let set = |kind, set: &HashSet<Cap>| {
        caps::set(None, kind, set).map_err(to_io).step(|| format!("set the capabilities ({kind:?})"))
    };
    set(Kind::Inheritable, &HashSet::new())?;
    set(Kind::Effective, &members(effective)?)?;
    set(Kind::Permitted, &members(permitted)?)?;
    set(Kind::Effective, &members(permitted)?)
}

/// The members that this process holds: a host's root may lack some (CAP_SYS_RESOURCE in a container, for one).
fn members(set: CapSet) -> Result<HashSet<Cap>> {
    let held = caps::read(None, Kind::Permitted).map_err(to_io).step(|| "read the capabilities".to_owned())?;
    Ok(held.into_iter().filter(|cap| set.contains(Capability(cap.index()))).collect())
}

pub(crate) fn to_io(error: caps::errors::CapsError) -> io::Error {
    io::Error::other(error.to_string())
}

/// Sets one limit. A hard limit above the caller's own needs CAP_SYS_RESOURCE: without it what can be had is set.
fn set_ulimit(wish: &Ulimit, least: u64) -> Result<()> {
    let Some(resource) = rlimit_of(wish.resource) else {
        return Ok(());
    };
    let (soft, hard) = getrlimit(resource).step(|| format!("read the limit {}", wish.resource))?;
    let wanted_hard = number(wish.hard).max(least);
    let wanted_soft = wish.soft.map_or(soft, number).max(least.min(soft)).min(wanted_hard);
    if setrlimit(resource, wanted_soft, wanted_hard).is_ok() {
        return Ok(());
    }
    let reachable = wanted_hard.min(hard);
    setrlimit(resource, wanted_soft.min(reachable), reachable).step(|| format!("set the limit {}", wish.resource))
}

/// What a limit is not brought below before a process executes its program.
fn least(resource: Resource) -> u64 {
    if resource == Resource::Nofile { DESCRIPTORS } else { 0 }
}

fn number(limit: Rlimit) -> u64 {
    match limit {
        Rlimit::Value(value) => value,
        Rlimit::Infinity => prlimit::INFINITY,
    }
}

fn rlimit_of(resource: Resource) -> Option<Rlim> {
    Some(match resource {
        Resource::Cpu => Rlim::RLIMIT_CPU,
        Resource::Fsize => Rlim::RLIMIT_FSIZE,
        Resource::Data => Rlim::RLIMIT_DATA,
        Resource::Stack => Rlim::RLIMIT_STACK,
        Resource::Core => Rlim::RLIMIT_CORE,
        Resource::Rss => Rlim::RLIMIT_RSS,
        Resource::Nproc => Rlim::RLIMIT_NPROC,
        Resource::Nofile => Rlim::RLIMIT_NOFILE,
        Resource::Memlock => Rlim::RLIMIT_MEMLOCK,
        Resource::As => Rlim::RLIMIT_AS,
        Resource::Locks => Rlim::RLIMIT_LOCKS,
        Resource::Msgqueue => Rlim::RLIMIT_MSGQUEUE,
        _ => return None,
    })
}
