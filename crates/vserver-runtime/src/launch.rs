//! From prepared to running: a process that raises the guest and then becomes its supervisor.
//!
//! The launcher forks the keeper, which leaves the caller's session, goes to the supervisors' cgroup and forks the
//! builder. The builder enters the guest's Landlock domain (so that all that it ever forks shares one), raises the guest
//! and executes the supervisor's image from a sealed memfd. The keeper stays outside of the domain and executes the same
//! image: it waits for the supervisor's end and cleans up, with scripts that no guest's domain restricts. Both have one
//! pipe to speak on: a sentence that says why not, or nothing and end of file.
//!
//! Meanwhile the launcher loads the programs that hold the guest to its devices and addresses and seals the image, and
//! gives its word, once: what could not be enforced. Without that word the builder ends, and nothing of the guest has
//! been executed.

use std::convert::Infallible;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, bind, listen, socket};
use nix::unistd::{Pid, chdir, getppid, pipe2, setsid};
use vserver_cgroup::Entry;
use vserver_sandbox::blueprint::{Blueprint, Doors, Entry as FirstProgram};
use vserver_sandbox::spawn::spawn;
use vserver_sys::landlock;
use vserver_sys::process::{self, Forked, SingleThreaded};
use vserver_types::{ContextFlags, Unenforced};

use crate::builder::Builder;
use crate::error::{Error, Result};
use crate::host::{self, Host};
use crate::image::Image;
use crate::init_style::First;
use crate::interrupt::Interrupts;
use crate::prepare::Prepared;
use crate::record::{RunRecord, start_time};
use crate::stage::Stage;
use crate::{become_keeper, become_supervisor, compat_state, control, hold, image, list};

/// Linux 6.12: the first Landlock that knows scopes.
pub const LANDLOCK_SCOPES: i64 = 6;

/// What the builder needs beside the blueprint, all opened while a failure is still cheap.
pub(crate) struct Kit {
    pub image: Image,
    pub listener: OwnedFd,
    pub doors: Doors,
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
    prepared: &Prepared,
    wishes: Wishes,
    stage: Option<&Stage>,
    interrupts: &Interrupts,
) -> Result<Launched> {
    let name = &prepared.plan.name;
    let token = SingleThreaded::prove().map_err(Error::layer("fork", name))?;
    let mut kit = kit(host, prepared, wishes.scope)?;
    let make_pipe = || pipe2(OFlag::O_CLOEXEC).map_err(Error::layer("make a pipe", name));
    let ((report, tell), (ended, end), (word, give)) = (make_pipe()?, make_pipe()?, make_pipe()?);
    let reaped = matches!(prepared.plan.init.first, First::Reaper(_));
    let blueprint = blueprint(prepared, &kit, reaped.then_some(end))?;
    match fork_keeper(token, prepared)? {
        Forked::Parent(pid) => {
            drop((tell, blueprint, word));
            let builder = Builder { name, pid, report };
            let unenforced = match hold(prepared, &mut kit, wishes.strict, give) {
                Ok(unenforced) => unenforced,
                Err(error) => return Err(builder.dismiss(error)),
            };
            builder.wait(interrupts)?;
            Ok(Launched { start_command: reaped.then_some(ended), unenforced })
        }
        Forked::Child => {
            drop((report, ended, give));
            let result = keep(host, prepared, token, kit, &blueprint, Kept { stage, word, tell: &tell });
            speak(tell, result)
        }
    }
}

/// Where the end of the last guest has just taken the supervisors' cgroup away, the kernel refuses: again.
fn fork_keeper(token: SingleThreaded, prepared: &Prepared) -> Result<Forked> {
    const TRIES: usize = 20;
    const GONE: [Option<i32>; 2] = [Some(Errno::ENODEV as i32), Some(Errno::ENOENT as i32)];
    let name = &prepared.plan.name;
    let mut tries = 0..TRIES;
    loop {
        let place = Entry::supervisors(&prepared.layout);
        let place = place.map_err(Error::layer("make the supervisors' cgroup", name))?;
        match process::fork_into(token, place.v2_dir()) {
            Err(error) if GONE.contains(&error.raw_os_error()) && tries.next().is_some() => {}
            forked => return forked.map_err(Error::layer("fork", name)),
        }
    }
}

/// What the keeper has beside the builder's things.
struct Kept<'a> {
    stage: Option<&'a Stage>,
    word: OwnedFd,
    tell: &'a OwnedFd,
}

/// Says on the pipe what failed, if anybody listens, and ends. The keeper takes these statuses for "never raised".
fn speak(tell: OwnedFd, result: Result<Infallible>) -> ! {
    let error = match result {
        Ok(never) => match never {},
        Err(error) => error,
    };
    let told = File::from(tell).write_all(error.chain().as_bytes());
    process::exit_now(if told.is_ok() { 1 } else { 2 })
}

/// The launcher's part, while the builder builds; then its word.
fn hold(prepared: &Prepared, kit: &mut Kit, strict: bool, give: OwnedFd) -> Result<Vec<Unenforced>> {
    let name = &prepared.plan.name;
    let mut unenforced = prepared.record.unenforced.clone();
    if !prepared.held {
        unenforced.extend(hold::hold(&prepared.plan, &prepared.cgroup)?);
    }
    if strict && !unenforced.is_empty() {
        return Err(Error::Strict { name: name.clone(), unenforced });
    }
    kit.image.fill()?;
    let word = serde_json::to_vec(&unenforced).map_err(Error::layer("tell what is not enforced", name))?;
    // A builder that has failed reads no more; its own sentence says why.
    match File::from(give).write_all(&word) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::layer("tell what is not enforced", name)(error))
        }
        _ => Ok(unenforced),
    }
}

fn kit(host: &Host, prepared: &Prepared, scope: bool) -> Result<Kit> {
    let name = &prepared.plan.name;
    let image = image::reserve(&host.supervisor, &list::running(host)?)?;
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
            let persistent = plan.attributes.cflags.contains(ContextFlags::PERSISTENT);
            let persistent = persistent.then(|| "--persistent".to_owned());
            (name.chain(persistent).chain(command.iter().cloned()).collect(), Some(copy(&kit.image.fd)?))
        }
    };
    Ok(Blueprint {
        tree: copy(&prepared.tree)?,
        base: plan.id_base,
        doors: Doors {
            birthplace: kit.doors.birthplace.as_ref().map(&copy).transpose()?,
            tasks: kit.doors.tasks.iter().map(&copy).collect::<Result<_>>()?,
        },
        hostname: plan.hostname.clone(),
        domainname: plan.domainname.clone(),
        virt_uptime: plan.virt_uptime,
        cgroupfs: plan.cgroupfs,
        mounts: prepared.carried.clone(),
        sysctls: plan.sysctls.clone(),
        confinement: plan.confinement.clone(),
        entry: FirstProgram { argv, env: plan.environment.clone(), image, report },
    })
}

/// The keeper: never returns but to say what failed.
fn keep(
    host: &Host,
    prepared: &Prepared,
    token: SingleThreaded,
    kit: Kit,
    blueprint: &Blueprint,
    own: Kept<'_>,
) -> Result<Infallible> {
    let name = &prepared.plan.name;
    setsid().map_err(Error::layer("begin a session", name))?;
    chdir("/").map_err(Error::layer("enter the root directory", name))?;
    let layout = &prepared.layout;
    Entry::join_supervisors(layout, true).map_err(Error::layer("join the supervisors' cgroup", name))?;
    let keeper = Pid::this();
    match process::fork(token, 0).map_err(Error::layer("fork", name))? {
        Forked::Parent(supervisor) => {
            await_word(&own.word).map_err(Error::layer("hear the launcher", name))?;
            become_keeper::become_keeper(host, &prepared.plan, supervisor, &kit.image.fd, own.stage)
        }
        Forked::Child => {
            let tell = own.tell.try_clone().map_err(Error::layer("copy a descriptor", name))?;
            speak(tell, build(host, prepared, token, kit, blueprint, (keeper, own.word)))
        }
    }
}

/// The word itself is for the builder; when it was given, or never will be, the pipe has no writer any more.
fn await_word(word: &OwnedFd) -> nix::Result<()> {
    loop {
        let mut watched = [PollFd::new(word.as_fd(), PollFlags::empty())];
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) if watched[0].revents().is_some_and(|found| found.contains(PollFlags::POLLHUP)) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// The builder: never returns but to say what failed.
fn build(
    host: &Host,
    prepared: &Prepared,
    token: SingleThreaded,
    kit: Kit,
    blueprint: &Blueprint,
    (keeper, word): (Pid, OwnedFd),
) -> Result<Infallible> {
    let name = &prepared.plan.name;
    set_pdeathsig(Signal::SIGKILL).map_err(Error::layer("ask to end with the keeper", name))?;
    if getppid() != keeper {
        return Err(Error::Interrupted { name: name.clone() });
    }
    if kit.scope {
        landlock::scope_self().map_err(Error::layer("enter a Landlock domain", name))?;
    }
    let announce = |pid| {
        announce(host, prepared.record.clone(), (keeper.as_raw(), pid), word)
            .map_err(|error| vserver_sandbox::Error::Child { report: error.chain() })
    };
    let spawned = spawn(token, blueprint, announce)
        .map_err(|error| Error::Start { name: name.clone(), report: error.line() })?;
    become_supervisor::become_supervisor(host, &prepared.plan, spawned, kit)
}

/// Waits for the launcher's word and writes down who is who, before the guest executes anything.
fn announce(host: &Host, mut record: RunRecord, (keeper, init): (i32, i32), word: OwnedFd) -> Result<()> {
    let mut text = Vec::new();
    File::from(word).read_to_end(&mut text).map_err(Error::layer("hear the launcher", &record.name))?;
    record.unenforced = serde_json::from_slice(&text).map_err(Error::layer("hear the launcher", &record.name))?;
    (record.supervisor, record.supervisor_started) = (keeper, start_time(keeper).unwrap_or_default());
    (record.init, record.init_started) = (init, start_time(init).unwrap_or_default());
    record.save(host)?;
    compat_state::write(host, &record)
}
