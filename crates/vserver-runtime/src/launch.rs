//! From prepared to running: a process that raises the guest and then becomes its supervisor.
//!
//! The launcher forks the keeper, which leaves the caller's session, goes to the supervisors' cgroup and forks the
//! builder. The builder enters the guest's Landlock domain (so that all that it ever forks shares one), raises the guest
//! and executes the supervisor's image from a sealed memfd. The keeper stays outside of the domain and executes the same
//! image: it waits for the supervisor's end and cleans up, with scripts that no guest's domain restricts. Both have one
//! pipe to speak on: a sentence that says why not, or nothing and end of file.
//!
//! Meanwhile the launcher loads the programs that hold the guest to its devices and addresses, those that are not loaded
//! yet, and attaches them, and gives its word, once: what could not be enforced. Without that word the builder ends, and
//! nothing of the guest has been executed.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, bind, listen, socket};
use nix::unistd::pipe2;
use vserver_cgroup::{DeviceProgram, Entry};
use vserver_sandbox::blueprint::{Blueprint, Brake, Doors, Entry as FirstProgram};
use vserver_sandbox::petition;
use vserver_sys::process::{self, Forked, SingleThreaded};
use vserver_types::{ContextCaps, ContextFlags, Unenforced};

use crate::builder::Builder;
use crate::early::{Early, Made};
use crate::error::{Error, Result};
use crate::hold::{Hold, Ready};
use crate::host::{self, Host};
use crate::image::Image;
use crate::init_style::First;
use crate::interrupt::Interrupts;
use crate::keep::{Kept, keep};
use crate::prepare::Prepared;
use crate::stage::Stage;
use crate::{control, netns, sockets};

/// Linux 6.12: the first Landlock that knows scopes.
pub const LANDLOCK_SCOPES: i64 = 6;

/// What the builder needs beside the blueprint, all opened while a failure is still cheap.
pub(crate) struct Kit {
    pub image: Image,
    pub listener: OwnedFd,
    pub doors: Doors,
    /// Hearing and telling end of the way for listeners, if calls of the guest's are answered.
    pub petitions: Option<(OwnedFd, OwnedFd)>,
    pub scope: bool,
}

/// A guest that was raised.
#[derive(Debug)]
pub struct Launched {
    /// End of a pipe on which our reaper tells how the start command ended, if there is one.
    pub start_command: Option<OwnedFd>,
    /// What this kernel does not enforce.
    pub unenforced: Vec<Unenforced>,
}

/// Wishes of a start that matter here.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// Put the guest into a Landlock domain.
    pub scope: bool,
    /// Raise nothing that cannot be held to everything.
    pub strict: bool,
}

/// Raises the guest.
pub fn launch(
    host: &Host,
    mut prepared: Prepared,
    wishes: Wishes,
    (early, stage): (Early, Option<&Stage>),
    interrupts: &Interrupts,
) -> Result<Launched> {
    let ready = match std::mem::replace(&mut prepared.hold, Hold::Attached) {
        Hold::Loading(loading) => Some(loading.finish(&prepared.plan)?),
        Hold::Attached => None,
    };
    let Made { image, devices } = early.finish(&mut prepared.plan)?;
    let kit = kit(host, &prepared, image, wishes.scope)?;
    if let Some(ready) = &ready {
        prepared.steering = ready.steering(&prepared.plan)?;
    }
    let prepared = &prepared;
    let name = &prepared.plan.name;
    let token = SingleThreaded::prove().map_err(Error::layer("fork", name))?;
    let make_pipe = || pipe2(OFlag::O_CLOEXEC).map_err(Error::layer("make a pipe", name));
    let ((report, tell), (ended, end), (word, give)) = (make_pipe()?, make_pipe()?, make_pipe()?);
    let reaped = matches!(prepared.plan.init.first, First::Reaper(_));
    let blueprint = blueprint(prepared, &kit, reaped.then_some(end))?;
    let (forked, place) = fork_keeper(token, prepared)?;
    match forked {
        Forked::Parent(pid) => {
            drop((tell, blueprint, word));
            let builder = Builder { name, pid, report };
            let unenforced = match hold(prepared, (ready, devices), wishes.strict, give) {
                Ok(unenforced) => unenforced,
                Err(error) => return Err(builder.dismiss(error)),
            };
            builder.wait(interrupts)?;
            Ok(Launched { start_command: reaped.then_some(ended), unenforced })
        }
        Forked::Child => {
            drop((report, ended, give));
            keep(host, prepared, token, kit, blueprint, Kept { place, stage, word, tell })
        }
    }
}

/// Where the end of the last guest has just taken the supervisors' cgroup away, the kernel refuses: again.
fn fork_keeper(token: SingleThreaded, prepared: &Prepared) -> Result<(Forked, Entry)> {
    const TRIES: usize = 20;
    const GONE: [Option<i32>; 2] = [Some(Errno::ENODEV as i32), Some(Errno::ENOENT as i32)];
    let name = &prepared.plan.name;
    let mut tries = 0..TRIES;
    loop {
        let place = Entry::supervisors(&prepared.layout);
        let place = place.map_err(Error::layer("make the supervisors' cgroup", name))?;
        match process::fork_into(token, place.v2_dir(), 0) {
            Err(error) if GONE.contains(&error.raw_os_error()) && tries.next().is_some() => {}
            forked => return forked.map(|forked| (forked, place)).map_err(Error::layer("fork", name)),
        }
    }
}

/// The launcher's part, while the builder builds; then its word.
fn hold(
    prepared: &Prepared,
    (ready, devices): (Option<Ready>, Option<DeviceProgram>),
    strict: bool,
    give: OwnedFd,
) -> Result<Vec<Unenforced>> {
    let name = &prepared.plan.name;
    let mut unenforced = prepared.record.unenforced.clone();
    if let Some(ready) = ready {
        unenforced.extend(ready.attach(&prepared.plan, &prepared.cgroup, devices)?);
        unenforced.extend(sockets::hold(&prepared.plan, &prepared.cgroup)?);
    }
    if strict && !unenforced.is_empty() {
        return Err(Error::Strict { name: name.clone(), unenforced });
    }
    let word = serde_json::to_vec(&unenforced).map_err(Error::layer("tell what is not enforced", name))?;
    // A builder that has failed reads no more; its own sentence says why.
    match File::from(give).write_all(&word) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::layer("tell what is not enforced", name)(error))
        }
        _ => Ok(unenforced),
    }
}

fn kit(host: &Host, prepared: &Prepared, image: Image, scope: bool) -> Result<Kit> {
    let name = &prepared.plan.name;
    host::make_private(&host.log_dir)?;
    let path = host.control(name);
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener =
        socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).map_err(Error::io("listen on", &path))?;
    let (_directory, address) = control::address(&path).map_err(Error::io("listen on", &path))?;
    bind(listener.as_raw_fd(), &address).map_err(Error::io("listen on", &path))?;
    listen(&listener, Backlog::MAXCONN).map_err(Error::io("listen on", &path))?;
    let doors = doors(prepared)?;
    let asks = prepared.plan.confinement.asking.is_some();
    let petitions = asks.then(petition::channel).transpose().map_err(Error::layer("make a pair of sockets", name))?;
    Ok(Kit { image, listener, doors, petitions, scope })
}

fn doors(prepared: &Prepared) -> Result<Doors> {
    let entry = prepared.cgroup.entry().map_err(Error::layer("open the cgroups", &prepared.plan.name))?;
    let (birthplace, tasks) = entry.into_parts();
    Ok(Doors { birthplace, tasks })
}

/// `sched_pause`; a tool that works on the guest's tree is not the guest.
fn begins_on_hold(prepared: &Prepared) -> bool {
    prepared.plan.attributes.cflags.contains(ContextFlags::SCHED_PAUSE) && !prepared.record.errand
}

fn brake(prepared: &Prepared) -> Result<Brake> {
    let brake = prepared.cgroup.brake().map_err(Error::layer("put it on hold", &prepared.plan.name))?;
    Ok(Brake { file: brake.file, stop: brake.stop })
}

fn blueprint(prepared: &Prepared, kit: &Kit, report: Option<OwnedFd>) -> Result<Blueprint> {
    let plan = &prepared.plan;
    let copy = |fd: &OwnedFd| fd.try_clone().map_err(Error::layer("copy a descriptor", &plan.name));
    let (argv, image) = match &plan.init.first {
        First::Init(argv) => (argv.clone(), None),
        First::Reaper(command) => {
            let name = std::iter::once("vserver-init".to_owned());
            // Without a command it would end at once.
            let persistent = command.is_empty() || plan.attributes.cflags.contains(ContextFlags::PERSISTENT);
            let persistent = persistent.then(|| "--persistent".to_owned());
            (name.chain(persistent).chain(command.iter().cloned()).collect(), Some(copy(&kit.image.fd)?))
        }
    };
    Ok(Blueprint {
        tree: copy(&prepared.tree)?,
        layers: prepared.layers.as_ref().map(&copy).transpose()?,
        around: plan.around,
        prolific: plan.prolific,
        base: plan.id_base,
        doors: Doors {
            birthplace: kit.doors.birthplace.as_ref().map(&copy).transpose()?,
            tasks: kit.doors.tasks.iter().map(&copy).collect::<Result<_>>()?,
        },
        rooms: prepared
            .rooms
            .as_ref()
            .map(netns::copy)
            .transpose()
            .map_err(Error::layer("copy a descriptor", &plan.name))?,
        hostname: plan.hostname.clone(),
        domainname: plan.domainname.clone(),
        virt_uptime: plan.virt_uptime,
        cgroupfs: plan.cgroupfs,
        mounts: prepared.carried.clone(),
        workshop: plan.workshop.clone(),
        devices: plan.devices.iter().filter_map(|plan| Some((plan.path.clone()?, plan.node.clone()))).collect(),
        images: plan.id_base.is_some() && plan.attributes.ccaps.contains(ContextCaps::ADMIN_CLOOP),
        sysctls: plan.sysctls.clone(),
        view: None,
        network: None,
        confinement: plan.confinement.clone(),
        petitions: kit.petitions.as_ref().map(|(_, tell)| copy(tell)).transpose()?,
        brake: begins_on_hold(prepared).then(|| brake(prepared)).transpose()?,
        entry: FirstProgram { argv, env: plan.environment.clone(), image, report },
    })
}
