//! From prepared to running: a process that raises the guest and then becomes its supervisor.
//!
//! The launcher forks once. The copy leaves the caller's session, goes to the supervisors' cgroup, enters the guest's
//! Landlock domain (so that all that it ever forks shares one), raises the guest and executes the supervisor's image
//! from a sealed memfd. It speaks once: a sentence that says why not, or nothing and end of file.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, bind, listen, socket};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, chdir, pipe2, setsid};
use vserver_cgroup::Entry;
use vserver_sandbox::blueprint::{Blueprint, Doors, Entry as FirstProgram};
use vserver_sandbox::spawn::spawn;
use vserver_sys::landlock;
use vserver_sys::process::{self, Forked, SingleThreaded};

use crate::error::{Error, Result};
use crate::host::{self, Host};
use crate::init_style::First;
use crate::interrupt::Interrupts;
use crate::prepare::Prepared;
use crate::record::{RunRecord, start_time};
use crate::{become_supervisor, control, image, list};

/// Linux 6.12: the first Landlock that knows scopes.
pub const LANDLOCK_SCOPES: i64 = 6;

/// What the builder needs beside the blueprint, all opened while a failure is still cheap.
pub(crate) struct Kit {
    pub image: OwnedFd,
    pub listener: OwnedFd,
    pub doors: Doors,
    pub scope: bool,
}

/// Raises the guest. Returns the end of a pipe on which our reaper tells how the start command ended, if there is one.
pub fn launch(host: &Host, prepared: &Prepared, scope: bool, interrupts: &Interrupts) -> Result<Option<OwnedFd>> {
    let name = &prepared.plan.name;
    let token = SingleThreaded::prove().map_err(Error::layer("fork", name))?;
    let kit = kit(host, prepared, scope)?;
    let make_pipe = || pipe2(OFlag::O_CLOEXEC).map_err(Error::layer("make a pipe", name));
    let ((report, tell), (ended, end)) = (make_pipe()?, make_pipe()?);
    let reaped = matches!(prepared.plan.init.first, First::Reaper(_));
    let blueprint = blueprint(prepared, &kit, reaped.then_some(end))?;
    let place = Entry::supervisors(&prepared.layout).map_err(Error::layer("make the supervisors' cgroup", name))?;
    match process::fork_into(token, place.v2_dir()).map_err(Error::layer("fork", name))? {
        Forked::Parent(pid) => {
            drop((tell, blueprint));
            wait(prepared, report, pid, interrupts)?;
            Ok(reaped.then_some(ended))
        }
        Forked::Child => {
            drop((report, ended));
            let error = match build(host, prepared, token, kit, &blueprint, &place) {
                Ok(never) => match never {},
                Err(error) => error,
            };
            let told = File::from(tell).write_all(error.chain().as_bytes());
            process::exit_now(if told.is_ok() { 1 } else { 2 })
        }
    }
}

fn kit(host: &Host, prepared: &Prepared, scope: bool) -> Result<Kit> {
    let name = &prepared.plan.name;
    let image = image::seal(&host.supervisor, &list::running(host)?)?;
    host::make_private(&host.log_dir)?;
    let path = host.control(name);
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener =
        socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).map_err(Error::io("listen on", &path))?;
    let (_directory, address) = control::address(&path).map_err(Error::io("listen on", &path))?;
    bind(listener.as_raw_fd(), &address).map_err(Error::io("listen on", &path))?;
    listen(&listener, Backlog::MAXCONN).map_err(Error::io("listen on", &path))?;
    let doors = doors(prepared)?;
    Ok(Kit { image, listener, doors, scope })
}

fn doors(prepared: &Prepared) -> Result<Doors> {
    let entry = prepared.cgroup.entry().map_err(Error::layer("open the cgroups", &prepared.plan.name))?;
    let (birthplace, tasks) = entry.into_parts();
    Ok(Doors { birthplace, tasks })
}

fn blueprint(prepared: &Prepared, kit: &Kit, report: Option<OwnedFd>) -> Result<Blueprint> {
    let plan = &prepared.plan;
    let copy = |fd: &OwnedFd| fd.try_clone().map_err(Error::layer("copy a descriptor", &plan.name));
    let (argv, image) = match &plan.init.first {
        First::Init(argv) => (argv.clone(), None),
        First::Reaper(command) => {
            let name = std::iter::once("vserver-init".to_owned());
            (name.chain(command.iter().cloned()).collect(), Some(copy(&kit.image)?))
        }
    };
    Ok(Blueprint {
        tree: copy(&prepared.tree)?,
        base: plan.id_base,
        doors: doors(prepared)?,
        hostname: plan.hostname.clone(),
        domainname: plan.domainname.clone(),
        virt_uptime: plan.virt_uptime,
        cgroupfs: plan.cgroupfs,
        mounts: plan.mounts.clone(),
        confinement: plan.confinement.clone(),
        entry: FirstProgram { argv, env: plan.environment.clone(), image, report },
    })
}

/// The builder: never returns but to say what failed.
fn build(
    host: &Host,
    prepared: &Prepared,
    token: SingleThreaded,
    kit: Kit,
    blueprint: &Blueprint,
    place: &Entry,
) -> Result<std::convert::Infallible> {
    let name = &prepared.plan.name;
    setsid().map_err(Error::layer("begin a session", name))?;
    chdir("/").map_err(Error::layer("enter the root directory", name))?;
    place.enter_v1().map_err(Error::layer("join the supervisors' cgroup", name))?;
    if kit.scope {
        landlock::scope_self().map_err(Error::layer("enter a Landlock domain", name))?;
    }
    let announce = |pid| {
        announce(host, &prepared.record, pid).map_err(|error| vserver_sandbox::Error::Child { report: error.chain() })
    };
    let spawned = spawn(token, blueprint, announce)
        .map_err(|error| Error::Start { name: name.clone(), report: error.line() })?;
    become_supervisor::become_supervisor(host, &prepared.plan, spawned, kit)
}

/// Writes down who is who, before the guest executes anything.
fn announce(host: &Host, record: &RunRecord, init: i32) -> Result<()> {
    let own = std::process::id() as i32;
    let mut record = record.clone();
    (record.supervisor, record.supervisor_started) = (own, start_time(own).unwrap_or_default());
    (record.init, record.init_started) = (init, start_time(init).unwrap_or_default());
    record.save(host)?;
    if let Some(dir) = record.run_file.parent() {
        std::fs::create_dir_all(dir).map_err(Error::io("make the directory", dir))?;
    }
    let text = format!("{}\n", record.xid);
    vserver_fs::atomic::write_volatile(&record.run_file, text.as_bytes(), 0o644)
        .map_err(Error::layer("write the run file", &record.name))
}

/// Silence is success. A signal to the launcher ends the builder, and with it the guest.
fn wait(prepared: &Prepared, report: OwnedFd, builder: i32, interrupts: &Interrupts) -> Result<()> {
    let name = &prepared.plan.name;
    loop {
        let mut watched =
            [PollFd::new(report.as_fd(), PollFlags::POLLIN), PollFd::new(interrupts.as_fd(), PollFlags::POLLIN)];
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(Error::layer("wait for the builder", name)(errno)),
        }
        if interrupts.came() {
            process::kill(builder, 9).ok();
            waitpid(Pid::from_raw(builder), None).ok();
            return Err(Error::Interrupted { name: name.clone() });
        }
        if watched[0].any().unwrap_or(false) {
            break;
        }
    }
    let mut text = String::new();
    File::from(report).read_to_string(&mut text).map_err(Error::layer("read the builder's report", name))?;
    if text.is_empty() {
        return Ok(());
    }
    waitpid(Pid::from_raw(builder), None).ok();
    Err(Error::Start { name: name.clone(), report: text })
}
