//! The builder's last act: it executes the supervisor's image and keeps nothing but what the supervisor works on.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{AtFlags, FcntlArg, OFlag, fcntl, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, execveat};
use vserver_sandbox::spawn::Spawned;
use vserver_sys::fd;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::launch::Kit;
use crate::plan::Plan;
use crate::settings::{Settings, fds};

/// Largest size of one console log file; there are two. Source: default policy, threat model §3.7 (16 MiB in all).
const LOG_LIMIT: u64 = 8 << 20;

/// Executes it; returns only to say what failed.
pub fn become_supervisor(host: &Host, plan: &Plan, spawned: Spawned, kit: Kit) -> Result<Infallible> {
    let settings = settings_file(&settings(host, plan, &spawned, &kit), plan)?;
    let mut wanted = vec![settings, kit.listener, spawned.pidfd, spawned.master, spawned.pts];
    wanted.extend(kit.doors.birthplace);
    wanted.extend(kit.doors.tasks);
    // First all out of the way of the numbers that they are going to have.
    let above = |fd: BorrowedFd<'_>| fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(200)).map_err(failed(plan));
    let moved = wanted.iter().map(|fd| above(fd.as_fd())).collect::<Result<Vec<_>>>()?;
    let image = above(kit.image.fd.as_fd())?;
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed(plan))?;
    dup2_stdin(&null).and_then(|()| dup2_stdout(&null)).and_then(|()| dup2_stderr(&null)).map_err(failed(plan))?;
    for (number, source) in (fds::SETTINGS..).zip(&moved) {
        let source = fd::inherited(*source).map_err(failed(plan))?;
        fd::place(source.as_fd(), number).map_err(failed(plan))?;
    }
    let image = fd::inherited(image).map_err(failed(plan))?;
    let first_unused = fds::SETTINGS + i32::try_from(moved.len()).unwrap_or(0);
    fd::cloexec_from(first_unused).map_err(failed(plan))?;
    let argv = [c"vserver-supervisor".to_owned(), CString::new(plan.name.as_str()).unwrap_or_default()];
    let environment: [CString; 0] = [];
    execveat(image.as_fd(), c"", &argv, &environment, AtFlags::AT_EMPTY_PATH).map_err(failed(plan))
}

fn settings(host: &Host, plan: &Plan, spawned: &Spawned, kit: &Kit) -> Settings {
    Settings {
        name: plan.name.clone(),
        init: spawned.pid,
        base: plan.id_base.unwrap_or(0),
        virt_uptime: plan.virt_uptime,
        birthplace: kit.doors.birthplace.is_some(),
        tasks: kit.doors.tasks.len(),
        log: host.console_log(&plan.name),
        log_limit: LOG_LIMIT,
        confinement: plan.confinement.clone(),
        orders: plan.stop_orders(),
    }
}

fn settings_file(settings: &Settings, plan: &Plan) -> Result<OwnedFd> {
    let memory = memfd_create(c"vserver-settings", MFdFlags::MFD_CLOEXEC).map_err(failed(plan))?;
    let mut file = File::from(memory);
    let text = serde_json::to_vec(settings).map_err(failed(plan))?;
    file.write_all(&text).map_err(failed(plan))?;
    file.rewind().map_err(failed(plan))?;
    Ok(file.into())
}

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(plan: &Plan) -> impl FnOnce(E) -> Error {
    Error::layer("make its supervisor", &plan.name)
}
