//! A tool that works on the tree of a guest which does not run: in a context of its own that has all that the guest's
//! start would give it (namespaces, users, capabilities, system call policy, cgroups with their limits, addresses,
//! mounts) and none of its programs and scripts. It ends with the tool.
//!
//! A lock of its own tells whose errand it is: it dies with its holder, and so does the context, because its supervisor
//! watches a connection that the holder keeps.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use vserver_fs::Flock;
use vserver_types::{Exit, GuestName, GuestState};

use crate::control::{self, Reply, Request};
use crate::error::{Error, Result};
use crate::exec::{Command, exec};
use crate::host::{Host, make_private};
use crate::init_style::Rescue;
use crate::interrupt::Interrupts;
use crate::list;
use crate::record::RunRecord;
use crate::start::{LOCK_PATIENCE, StartOptions, start};
use crate::stop::{StopOptions, stop};
use crate::workshop::Toolbox;

/// What a context that is not the guest itself is for.
#[derive(Clone, Debug)]
pub enum Errand {
    /// The guest's own tools: its tree is the root.
    Inside,
    /// Tools of the host: the tree is mounted below `/guest`.
    Beside(Toolbox),
}

/// Executes a tool for a guest whether it runs or not, with the caller's standard input, output and error, and returns how
/// it ended. In a running guest it is an [`exec`].
///
/// # Errors
/// What a start and an exec meet; after any of them nothing is left of the context.
pub fn run_errand(host: &Host, name: &GuestName, errand: Errand, command: &Command) -> Result<Exit> {
    if runs_itself(host, name)? {
        return in_running(host, name, &errand, command);
    }
    // From here on a signal is for the tool, or ends the start; what was made is taken away in either case.
    let _interrupts = Interrupts::collect().map_err(Error::layer("watch for signals", name))?;
    let _own = own(host, name, LOCK_PATIENCE)?;
    if runs_itself(host, name)? {
        return in_running(host, name, &errand, command);
    }
    end(host, name)?;
    let options = StartOptions { rescue: Some(Rescue::Nobody), errand: Some(errand), ..StartOptions::default() };
    start(host, name, &options)?;
    let ended = tie(host, name).and_then(|_tie| exec(host, name, command));
    let put_away = end(host, name);
    let exit = ended?;
    put_away.map(|()| exit)
}

/// Lets a start of the guest itself through: refuses while a tool is at work, and takes away what is left of one whose
/// caller has died.
pub(crate) fn make_way(host: &Host, name: &GuestName) -> Result<()> {
    if !is_under_way(host, name)? {
        return Ok(());
    }
    let busy =
        |_| Error::Taken { name: name.clone(), what: "a package tool is at work in it; wait for its end".to_owned() };
    let _own = own(host, name, Duration::ZERO).map_err(busy)?;
    end(host, name)
}

/// The host's tools work in a root of their own, which the running guest's processes are not in.
fn in_running(host: &Host, name: &GuestName, errand: &Errand, command: &Command) -> Result<Exit> {
    match errand {
        Errand::Inside => exec(host, name, command),
        Errand::Beside(_) => Err(Error::Taken {
            name: name.clone(),
            what: format!(
                "its packages are managed from the host, which is done while it is stopped only; stop it with `vserver \
                 {name} stop`"
            ),
        }),
    }
}

fn runs_itself(host: &Host, name: &GuestName) -> Result<bool> {
    Ok(list::status(host, name)?.state != GuestState::Stopped && !is_under_way(host, name)?)
}

fn is_under_way(host: &Host, name: &GuestName) -> Result<bool> {
    Ok(RunRecord::load(host, name)?.is_some_and(|record| record.errand && record.supervisor_lives()))
}

fn own(host: &Host, name: &GuestName, patience: Duration) -> Result<Flock> {
    let dir = host.run_dir.join("lock");
    make_private(&host.run_dir)?;
    make_private(&dir)?;
    Flock::take(&dir.join(format!(".{name}.errand")), patience).map_err(Error::layer("wait for another tool", name))
}

/// The supervisor ends the context when this connection does.
fn tie(host: &Host, name: &GuestName) -> Result<OwnedFd> {
    let failed = || Error::layer("reach its supervisor", name);
    let socket = control::dial(&host.control(name)).map_err(failed())?;
    control::send_request(socket.as_fd(), &Request::Tie, &[]).map_err(failed())?;
    match control::receive_reply(socket.as_fd()).map_err(failed())? {
        Some((Reply::Accepted, _)) => Ok(socket),
        _ => Err(Error::NotRunning { name: name.clone() }),
    }
}

/// Takes the context away, if there is one.
fn end(host: &Host, name: &GuestName) -> Result<()> {
    match RunRecord::load(host, name)?.is_some_and(|record| record.errand) {
        true => stop(host, name, &StopOptions { kill: true, ..StopOptions::default() }).map(drop),
        false => Ok(()),
    }
}
