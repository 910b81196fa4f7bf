//! The two processes that a launcher leaves behind: the keeper, and the builder that becomes the supervisor.

use std::convert::Infallible;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, chdir, getppid, pipe2, setsid};
use vserver_cgroup::Entry;
use vserver_sandbox::blueprint::Blueprint;
use vserver_sandbox::spawn::spawn;
use vserver_sys::landlock;
use vserver_sys::process::{self, Forked, SingleThreaded};

use crate::become_keeper::aside;
use crate::become_supervisor::Successor;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::launch::Kit;
use crate::prepare::Prepared;
use crate::record::{RunRecord, start_time};
use crate::stage::Stage;
use crate::view::{self, Served};
use crate::{become_keeper, become_supervisor, compat_state, netns, quotas, window};

/// What the keeper has beside the builder's things.
pub struct Kept<'a> {
    /// The supervisors' cgroup.
    pub place: Entry,
    /// The guest's outer mount namespace, if it has one.
    pub stage: Option<&'a Stage>,
    /// On which the launcher gives its word.
    pub word: OwnedFd,
    /// On which both say what failed.
    pub tell: OwnedFd,
}

/// Says on the pipe what failed, if anybody listens, and ends. The keeper takes these statuses for "never raised".
fn speak(tell: OwnedFd, result: Result<Infallible>) -> ! {
    let error = match result {
        Ok(never) => match never {},
        Err(error) => error,
    };
    // Who hears it says which guest cannot be started.
    let words = match error {
        Error::Start { report, .. } => report,
        other => other.chain(),
    };
    let told = File::from(tell).write_all(words.as_bytes());
    process::exit_now(if told.is_ok() { 1 } else { 2 })
}

/// The keeper: leaves the caller behind, forks the builder, and waits in the supervisor's image for its end.
pub fn keep(
    host: &Host,
    prepared: &Prepared,
    token: SingleThreaded,
    kit: Kit,
    mut blueprint: Blueprint,
    own: Kept<'_>,
) -> ! {
    let Kept { place, stage, word, tell } = own;
    let keeper = Pid::this();
    let (raised, raising) = match pipe2(OFlag::O_CLOEXEC).map_err(Error::layer("make a pipe", &prepared.plan.name)) {
        Ok(pipe) => pipe,
        Err(error) => speak(tell, Err(error)),
    };
    match settle(host, prepared, token, &place, stage) {
        Ok((Forked::Parent(supervisor), served)) => {
            drop((raising, word));
            let children = (supervisor, served.map(|served| served.server));
            stay(host, prepared, children, &kit, stage, (&raised, tell))
        }
        Ok((Forked::Child, served)) => {
            blueprint.view = served.map(|served| view::of(&prepared.plan, served));
            drop(raised);
            build(host, prepared, token, &kit, blueprint, (keeper, word, (tell, raising)))
        }
        Err(error) => speak(tell, Err(error)),
    }
}

/// The keeper's image is executed when the guest runs, or never will: that takes a processor for a while, and the builder
/// and the guest's first process can use all that there are. Nobody waits for it; should it fail, which needs a kernel
/// without memory, the builder ends with the keeper, and the next command finds what is left in the record.
fn stay(
    host: &Host,
    prepared: &Prepared,
    children: (i32, Option<i32>),
    kit: &Kit,
    stage: Option<&Stage>,
    (raised, mut tell): (&OwnedFd, OwnedFd),
) -> ! {
    let failed = Error::layer("make its keeper", &prepared.plan.name);
    let ends = aside(raised.as_fd()).and_then(|raised| Ok((raised, aside(tell.as_fd())?)));
    let (raised, aside) = match ends.map_err(failed) {
        Ok(ends) => ends,
        Err(error) => speak(tell, Err(error)),
    };
    // The launcher waits until nobody has an end of this pipe.
    drop(std::mem::replace(&mut tell, aside));
    let successor = match become_keeper::prepare(host, prepared, children, &kit.image.fd, stage) {
        Ok(successor) => successor,
        Err(error) => speak(tell, Err(error)),
    };
    drop(tell);
    await_end(&raised);
    let Err(_) = successor.execute();
    process::exit_now(2)
}

/// Where the keeper stays: in no session, directory and cgroup of its caller's. Then it forks the server of the guest's own
/// files, if there is one, and the builder.
fn settle(
    host: &Host,
    prepared: &Prepared,
    token: SingleThreaded,
    place: &Entry,
    stage: Option<&Stage>,
) -> Result<(Forked, Option<Served>)> {
    let name = &prepared.plan.name;
    setsid().map_err(Error::layer("begin a session", name))?;
    chdir("/").map_err(Error::layer("enter the root directory", name))?;
    // The end of the last guest may have taken that directory away meanwhile.
    if place.enter_v1().is_err() {
        let layout = &prepared.layout;
        Entry::join_supervisors(layout, true).map_err(Error::layer("join the supervisors' cgroup", name))?;
    }
    if let Some(rooms) = &prepared.rooms {
        netns::hold_name(&prepared.record, rooms)?;
    }
    let served = view::begin(host, prepared, token, stage)?;
    let forked = process::fork(token, 0).map_err(Error::layer("fork", name))?;
    Ok((forked, served))
}

/// Until the pipe has no writer any more.
fn await_end(pipe: &OwnedFd) {
    loop {
        let mut watched = [PollFd::new(pipe.as_fd(), PollFlags::empty())];
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) if watched[0].revents().is_some_and(|found| found.contains(PollFlags::POLLHUP)) => return,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// The builder. From the moment when the guest's program runs the launcher need not wait: the keeper takes a supervisor
/// that cannot be executed for one that has ended.
fn build(
    host: &Host,
    prepared: &Prepared,
    token: SingleThreaded,
    kit: &Kit,
    blueprint: Blueprint,
    (keeper, word, (tell, raising)): (Pid, OwnedFd, (OwnedFd, OwnedFd)),
) -> ! {
    let successor = match raise(host, prepared, token, kit, blueprint, (keeper, word)) {
        Ok(successor) => successor,
        Err(error) => speak(tell, Err(error)),
    };
    drop((tell, raising));
    let Err(_) = become_supervisor::become_supervisor(&prepared.plan, &successor);
    process::exit_now(become_supervisor::FAILED)
}

fn raise(
    host: &Host,
    prepared: &Prepared,
    token: SingleThreaded,
    kit: &Kit,
    mut blueprint: Blueprint,
    (keeper, word): (Pid, OwnedFd),
) -> Result<Successor> {
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
    let failed = |error: vserver_sandbox::Error| Error::Start { name: name.clone(), report: error.line() };
    let sysinfo = view::sysinfo(&prepared.plan, &blueprint)?;
    let window = window::open_for(host, prepared)?;
    let (device, files) = window.map(|window| (window.device, window.files)).unzip();
    blueprint.network = files;
    let spawned = spawn(token, &blueprint, announce).map_err(failed)?;
    let disk = quotas::root(&prepared.plan, &blueprint);
    match become_supervisor::prepare(host, &prepared.plan, &spawned, kit, (sysinfo.as_ref(), disk, device.as_ref())) {
        Ok(successor) => {
            // On hold it has not executed its program.
            let label = blueprint.confinement.label.as_deref().filter(|_| blueprint.brake.is_none());
            spawned.confirm(label).map(|()| successor).map_err(failed)
        }
        Err(error) => Err(failed(spawned.end(vserver_sandbox::Error::Child { report: error.chain() }))),
    }
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
