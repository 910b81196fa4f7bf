//! The keeper's own image: it waits for the supervisor's end, outside of the guest's Landlock domain, and turns into
//! `vserver NAME after-exit`.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{AtFlags, FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::Mode;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, execveat};
use vserver_sys::{fd, process};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::Plan;
use crate::prepare::Prepared;
use crate::settings::fds;
use crate::stage::{Stage, own_namespace};

/// Where descriptors are out of the way.
const ASIDE: i32 = 10;

/// All but the execution.
#[derive(Debug)]
pub struct Successor {
    image: OwnedFd,
    argv: Vec<CString>,
    environment: Vec<CString>,
}

impl Successor {
    /// Executes it; returns only if that failed.
    pub fn execute(self) -> nix::Result<Infallible> {
        execveat(self.image.as_fd(), c"", &self.argv, &self.environment, AtFlags::AT_EMPTY_PATH)
    }
}

/// Puts the descriptors that it works on in their places; what else lies below [`ASIDE`] is lost.
pub fn prepare(
    host: &Host,
    prepared: &Prepared,
    (supervisor, server): (i32, Option<i32>),
    image: &OwnedFd,
    stage: Option<&Stage>,
) -> Result<Successor> {
    let plan = &prepared.plan;
    let outer = stage.map(|_| own_namespace()).transpose().map_err(failed(plan))?;
    if let Some(stage) = stage {
        setns(stage.home(), CloneFlags::CLONE_NEWNS).map_err(failed(plan))?;
    }
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed(plan))?;
    dup2_stdin(&null).and_then(|()| dup2_stdout(&null)).and_then(|()| dup2_stderr(&null)).map_err(failed(plan))?;
    let aside = |fd: BorrowedFd<'_>| aside(fd).map_err(failed(plan));
    let image = aside(image.as_fd())?;
    let outer = outer.map(|outer| aside(outer.as_fd())).transpose()?;
    let mut held = Vec::new();
    for (fd, number) in to_hold(prepared) {
        held.push((aside(fd)?, number));
    }
    process::default_signals().map_err(failed(plan))?;
    fd::cloexec_from(fds::SETTINGS).map_err(failed(plan))?;
    if let Some(rooms) = &prepared.rooms {
        fcntl(&rooms.network, FcntlArg::F_SETFD(FdFlag::empty())).map_err(failed(plan))?;
    }
    if let Some(outer) = outer {
        fd::place(outer.as_fd(), fds::OUTER).map_err(failed(plan))?;
    }
    let gathers = held.iter().any(|(_, number)| *number == fds::BELL);
    for (copy, number) in held {
        fd::place(copy.as_fd(), number).map_err(failed(plan))?;
    }
    let text = |bytes: &[u8]| CString::new(bytes).unwrap_or_default();
    let mut argv = vec![
        c"vserver-keeper".to_owned(),
        text(plan.name.as_str().as_bytes()),
        text(host.confdir.as_os_str().as_encoded_bytes()),
        text(host.vserver.as_os_str().as_encoded_bytes()),
        text(supervisor.to_string().as_bytes()),
    ];
    argv.extend(gathers.then(|| c"gathers".to_owned()));
    argv.extend(server.map(|server| text(format!("server={server}").as_bytes())));
    let environment: Vec<CString> = host.environment().iter().map(|pair| text(pair.as_encoded_bytes())).collect();
    Ok(Successor { image, argv, environment })
}

/// A copy out of the way of those that the keeper is going to have in certain places.
pub fn aside(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    fd::above(fd, ASIDE)
}

/// What lets wildcard sockets of the guest hear all of its addresses, with the numbers at which the keeper expects it.
fn to_hold(prepared: &Prepared) -> Vec<(BorrowedFd<'_>, i32)> {
    let Some(steering) = &prepared.steering else { return Vec::new() };
    let mut all = vec![(steering.link.as_fd(), fds::STEERING)];
    if let Some(gathering) = &steering.gathering {
        all.extend([(gathering.bell.as_fd(), fds::BELL), (gathering.iterator.as_fd(), fds::ITERATOR)]);
    }
    all
}

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(plan: &Plan) -> impl FnOnce(E) -> Error {
    Error::layer("make its keeper", &plan.name)
}
