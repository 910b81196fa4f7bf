//! `vserverd serve`: the main path.

use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::sys::signal::SigSet;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, geteuid};
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;
use vserver_build::Recovered;
use vserver_runtime::Host;
use vserver_sys::process::{self, Forked, SingleThreaded};
use vserver_types::GuestName;

use crate::args::ServeArguments;
use crate::error::{Error, Result, chain};
use crate::http::Front;
use crate::launcher::{self, Launcher};
use crate::listen::{self, Listening};
use crate::notify::{self, Notify};
use crate::{adopt, autostart, groups};

/// Most threads that look things up for requests at the same time.
const LOOKERS: usize = 4;

/// Serves until it is told to end. Guests are touched by neither the beginning nor the end of it.
pub fn run(arguments: ServeArguments) -> Result<()> {
    if !geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    vserver_runtime::vars::confdir()?;
    // Whoever started us may have held back what is to end us, and a mask is inherited. signal(7)
    SigSet::empty().thread_set_mask().map_err(Error::io("hear signals"))?;
    let host = Host::new(arguments.confdir.clone());
    let handed_over = listen::handed_over()?;
    let (ours, theirs) = launcher::socket_pair()?;
    let token = SingleThreaded::prove().map_err(Error::io("fork the launcher"))?;
    let launcher = match process::fork(token, 0).map_err(Error::io("fork the launcher"))? {
        Forked::Parent(pid) => pid,
        Forked::Child => {
            // It must not keep open what is to close when the daemon ends.
            drop((handed_over, ours));
            launcher::run(&host, &theirs, token);
        }
    };
    drop(theirs);
    let launcher = Child { socket: ours, pid: Pid::from_raw(launcher) };
    log_to_stderr();
    finish_renames(&host);
    let admins = groups::number(&std::fs::read_to_string("/etc/group").unwrap_or_default(), vserver_api::ADMIN_GROUP);
    let listening = match handed_over {
        Some(socket) => Listening::on(socket)?,
        None => Listening::at(&arguments.socket, admins)?,
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(LOOKERS).build().map_err(Error::io("start tokio"))?;
    let result = runtime.block_on(serve(host, launcher, &listening, admins, arguments));
    // Whoever is looking something up at this moment does it for nobody.
    runtime.shutdown_background();
    result
}

/// Those that were killed, before a guest is started under a name that is half its own.
fn finish_renames(host: &Host) {
    let lock = |name: &GuestName| host.lock(name, Duration::ZERO).ok();
    for Recovered { from, to, outcome } in vserver_build::recover(&host.confdir, lock) {
        match outcome {
            Ok(_) => info!("the rename of guest '{from}' to '{to}', which had been killed, is finished now"),
            Err(failure) => error!("the rename of guest '{from}' to '{to}' cannot be finished: {}", chain(&failure)),
        }
    }
}

/// The launcher as its parent knows it.
struct Child {
    socket: OwnedFd,
    pid: Pid,
}

impl Child {
    /// Returns when the launcher, the only child that we have, has ended.
    async fn ended(pid: Pid, mut children: Signal) {
        while matches!(waitpid(pid, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive)) {
            children.recv().await;
        }
    }
}

async fn serve(
    host: Host,
    child: Child,
    listening: &Listening,
    admins: Option<u32>,
    arguments: ServeArguments,
) -> Result<()> {
    let (mut terminated, mut interrupted) = (watch(SignalKind::terminate())?, watch(SignalKind::interrupt())?);
    let children = watch(SignalKind::child())?;
    let launcher = Launcher::new(child.socket)?;
    let handing_out = launcher.clone();
    tokio::spawn(async move { handing_out.hand_out().await });
    let listener = tokio_listener(listening)?;
    let notify = Notify::to(std::env::var_os("NOTIFY_SOCKET")).map_err(Error::io("understand NOTIFY_SOCKET"))?;
    adopt::run(&host);
    let front = Front::new(host.clone(), launcher.clone(), admins);
    let answering = tokio::spawn(front.accept(listener));
    tell(&notify, notify::READY);
    info!("answering at {}", place(listening));
    if !arguments.no_autostart {
        tokio::spawn(autostart::run(host, launcher, arguments.mark));
    }
    let result = tokio::select! {
        _ = terminated.recv() => Ok(()),
        _ = interrupted.recv() => Ok(()),
        () = Child::ended(child.pid, children) => Err(Error::Launcher),
    };
    tell(&notify, notify::STOPPING);
    answering.abort();
    info!("ending; guests run on");
    result
}

fn watch(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(Error::io("watch for signals"))
}

fn tokio_listener(listening: &Listening) -> Result<UnixListener> {
    let failed = "hand the socket to tokio";
    let listener = listening.listener.try_clone().map_err(Error::io(failed))?;
    listener.set_nonblocking(true).map_err(Error::io(failed))?;
    UnixListener::from_std(listener).map_err(Error::io(failed))
}

/// A manager that does not listen is no reason to leave guests without a daemon.
fn tell(notify: &Notify, state: &str) {
    if let Err(error) = notify.tell(state) {
        warn!("systemd could not be told: {error}");
    }
}

fn place(listening: &Listening) -> String {
    let address = listening.listener.local_addr().ok();
    let path = address.as_ref().and_then(|address| address.as_pathname());
    path.map_or_else(|| "an unnamed socket".to_owned(), |path| path.display().to_string())
}

/// `RUST_LOG` chooses what is said. The journal has a clock of its own.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).with_target(false);
    // It fails only if there is a log already.
    match std::env::var_os("JOURNAL_STREAM") {
        Some(_) => log.without_time().try_init().ok(),
        None => log.try_init().ok(),
    };
}
