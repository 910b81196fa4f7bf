//! Raising a guest, in the order in which things happen.
//!
//! ```text
//!  builder (host's rights, later the supervisor)            guest's first process
//!    /dev, detached root
//!    new mount namespace
//!    clone: user, PID, UTS, IPC and time namespace ───────► cgroups and their namespace, names, console
//!    id map; pivot of both ── /dev /sys mounts              waits
//!    /proc of its PID namespace, and masks
//!    back to the host; announce (state file)
//!    ready ───────────────────────────────────────────────► copy of the mounts (locked)
//!    whatever else is to be prepared                        capabilities, seccomp
//!    end of file on the report pipe: it runs   ◄─────────── execve
//! ```

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};
use vserver_sys::process::{self, Forked, SingleThreaded};

use crate::birth::{self, Born, tell_and_end};
use crate::blueprint::Blueprint;
use crate::dev::{self, Dev};
use crate::error::{Error, Result, Step};
use crate::furnish::{self, Carried};
use crate::home::Home;
use crate::nested::Door;
use crate::{label, merged, pivot, proc, root, userns};

/// A guest whose first process is on its way to its program.
#[derive(Debug)]
#[must_use = "it may fail on its way: confirm it, or end it"]
pub struct Spawned {
    born: Born,
    dev: Dev,
}

impl Spawned {
    /// Its first process, as the host sees it.
    pub fn pid(&self) -> i32 {
        self.born.pid
    }

    /// The same as a descriptor.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.born.pidfd.as_fd()
    }

    /// The console's master.
    pub fn master(&self) -> BorrowedFd<'_> {
        self.dev.master.as_fd()
    }

    /// The guest's devpts instance, for further terminals.
    pub fn pts(&self) -> BorrowedFd<'_> {
        self.dev.pts.as_fd()
    }

    /// Waits until its first program is executed. `label` is the AppArmor label that it has then.
    pub fn confirm(mut self, label: Option<&str>) -> Result<()> {
        let looked = self.born.confirm();
        match looked.and_then(|()| label.map_or(Ok(()), |wanted| label::verify(self.born.pid, wanted))) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.end(error)),
        }
    }

    /// It shall not live; `error`, the reason, is given back.
    pub fn end(self, error: Error) -> Error {
        self.born.end(error)
    }
}

/// What is mounted around the first process.
struct Walls {
    dev: Dev,
    tree: OwnedFd,
    layers: Option<OwnedFd>,
    carried: Vec<Carried>,
    door: Option<Door>,
}

/// Raises the guest that `blueprint` describes, up to the moment when its first process is let go. `announce` is called, on the host, when everything is there and before
/// the guest executes anything: what must be known of a running guest is written there.
pub fn spawn(
    token: SingleThreaded,
    blueprint: &Blueprint,
    announce: impl FnOnce(i32) -> Result<()>,
) -> Result<Spawned> {
    let home = Home::remember(blueprint.around)?;
    let dev = dev::build(blueprint)?;
    let carried = furnish::carry(blueprint.tree.as_fd(), &blueprint.mounts, blueprint.workshop.as_ref())?;
    let tree = root::detach(blueprint.tree.as_fd())?;
    let layers = blueprint.layers.as_ref().map(|layers| root::detach(layers.as_fd())).transpose()?;
    let walls = Walls { dev, tree, layers, carried, door: Door::find(blueprint.around)? };
    pivot::leave_the_host()?;
    let mut born = birth::give(token, blueprint, &walls.dev, &home)?;
    let result = raise(token, blueprint, &walls, &born, &home)
        .and_then(|()| home.go())
        .and_then(|()| announce(born.pid))
        .and_then(|()| born.wake());
    match result {
        Ok(()) => Ok(Spawned { born, dev: walls.dev }),
        Err(error) => Err(born.end(error)),
    }
}

/// The mounts, around the first process, which moves along with the root.
fn raise(token: SingleThreaded, blueprint: &Blueprint, walls: &Walls, born: &Born, home: &Home) -> Result<()> {
    let base = blueprint.base.unwrap_or(0);
    if blueprint.base.is_some() {
        let there = blueprint.rooms.as_ref().and_then(|rooms| rooms.user.as_ref());
        let userns = match there {
            Some(user) => user.try_clone().step(|| "copy a descriptor".to_owned())?,
            None => userns::map(home.proc(), born.pid, base)?,
        };
        furnish::map_owners(&walls.carried, base, userns.as_fd())?;
        // A workshop's own files were made as the guest's.
        if blueprint.workshop.is_none() {
            root::map_owners(walls.tree.as_fd(), userns.as_fd())?;
            walls.layers.iter().try_for_each(|layers| root::map_owners(layers.as_fd(), userns.as_fd()))?;
        }
    }
    match &walls.layers {
        Some(layers) => pivot::pivot(merged::over(walls.tree.as_fd(), layers.as_fd(), base)?.as_fd())?,
        None => pivot::pivot(walls.tree.as_fd())?,
    }
    if let Some(view) = &blueprint.view {
        view.attach()?;
    }
    furnish::furnish(&walls.dev, &walls.carried, base, blueprint.view.as_ref())?;
    match &walls.door {
        None => mount_proc(token, born, home, blueprint)?,
        Some(door) => door.open_for(|| mount_proc(token, born, home, blueprint))?,
    }
    blueprint.workshop.as_ref().map_or(Ok(()), furnish::furnish_again)
}

/// Mounts the guest's `/proc` with the host's rights.
fn mount_proc(token: SingleThreaded, born: &Born, home: &Home, blueprint: &Blueprint) -> Result<()> {
    match proc::of_process(home.proc(), born.pid)? {
        Some(procfs) => proc::mount(&procfs, &proc::Own::of(blueprint)),
        None => mount_proc_inside(token, born, home, blueprint),
    }
}

/// The same by a helper inside the guest's PID namespace that never executes anything of the guest.
fn mount_proc_inside(token: SingleThreaded, born: &Born, home: &Home, blueprint: &Blueprint) -> Result<()> {
    let (report, tell) = pipe2(OFlag::O_CLOEXEC).step(|| "make a pipe".to_owned())?;
    setns(&born.pidfd, CloneFlags::CLONE_NEWPID).step(|| "join the guest's PID namespace".to_owned())?;
    let Forked::Parent(helper) = process::fork(token, 0).step(|| "fork".to_owned())? else {
        tell_and_end(tell, &proc::own().and_then(|procfs| proc::mount(&procfs, &proc::Own::of(blueprint))));
    };
    home.children_at_home()?;
    drop(tell);
    let mut text = String::new();
    File::from(report).read_to_string(&mut text).step(|| "read a report".to_owned())?;
    // It was a member of the guest's PID namespace, which cannot end before all of its members are waited for.
    let _ = waitpid(Pid::from_raw(helper), None);
    if text.is_empty() { Ok(()) } else { Err(Error::Child { report: text }) }
}
