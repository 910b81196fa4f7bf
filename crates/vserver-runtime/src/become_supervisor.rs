//! The builder's last act: it executes the supervisor's image and keeps nothing but what the supervisor works on.
//! Everything is made ready while the guest's first process is on its way to its program.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, execveat};
use vserver_sandbox::spawn::Spawned;
use vserver_sys::fd;
use vserver_types::{ContextCaps, ContextFlags};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::launch::Kit;
use crate::plan::{NetworkPlan, Plan};
use crate::settings::{Settings, fds};

/// Largest size of one console log file; there are two. Source: default policy, threat model §3.7 (16 MiB in all).
const LOG_LIMIT: u64 = 8 << 20;

/// Status of a builder that could not execute it, and of a supervisor that cannot go on: the keeper takes both for the
/// guest's end.
pub const FAILED: i32 = 70;

/// A supervisor that only has to be executed.
#[derive(Debug)]
pub struct Successor {
    /// Descriptors for [`fds::SETTINGS`] and the numbers after it, out of the way of those.
    inherited: Vec<OwnedFd>,
    image: OwnedFd,
}

/// Makes it ready.
pub fn prepare(
    host: &Host,
    plan: &Plan,
    spawned: &Spawned,
    kit: &Kit,
    (sysinfo, disk, window): (Option<&OwnedFd>, Option<&OwnedFd>, Option<&OwnedFd>),
) -> Result<Successor> {
    let device = plan.disk.quotas.as_ref().filter(|_| disk.is_some()).map(|quotas| quotas.device.clone());
    let settings = Settings {
        sysinfo: sysinfo.is_some(),
        disk: device,
        window: window.map(|_| host.view.clone()),
        ..settings(host, plan, spawned, kit)
    };
    let settings = settings_file(&settings, plan)?;
    let above = |fd: BorrowedFd<'_>| fd::above(fd, 200).map_err(failed(plan));
    let own = [settings.as_fd(), kit.listener.as_fd(), spawned.pidfd(), spawned.master(), spawned.pts()];
    let doors = kit.doors.birthplace.iter().chain(&kit.doors.tasks).map(AsFd::as_fd);
    let petitions = kit.petitions.iter().flat_map(|(hear, tell)| [hear.as_fd(), tell.as_fd()]);
    let last = sysinfo.into_iter().chain(disk).chain(window).map(AsFd::as_fd);
    let inherited =
        own.into_iter().chain(doors).chain(petitions).chain(last).map(above).collect::<Result<Vec<_>>>()?;
    Ok(Successor { inherited, image: above(kit.image.fd.as_fd())? })
}

/// Executes it; returns only to say what failed.
pub fn become_supervisor(plan: &Plan, successor: &Successor) -> Result<Infallible> {
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed(plan))?;
    dup2_stdin(&null).and_then(|()| dup2_stdout(&null)).and_then(|()| dup2_stderr(&null)).map_err(failed(plan))?;
    for (number, source) in (fds::SETTINGS..).zip(&successor.inherited) {
        fd::place(source.as_fd(), number).map_err(failed(plan))?;
    }
    let first_unused = fds::SETTINGS + i32::try_from(successor.inherited.len()).unwrap_or(0);
    fd::cloexec_from(first_unused).map_err(failed(plan))?;
    let argv = [c"vserver-supervisor".to_owned(), CString::new(plan.name.as_str()).unwrap_or_default()];
    let environment: [CString; 0] = [];
    execveat(successor.image.as_fd(), c"", &argv, &environment, AtFlags::AT_EMPTY_PATH).map_err(failed(plan))
}

fn settings(host: &Host, plan: &Plan, spawned: &Spawned, kit: &Kit) -> Settings {
    Settings {
        name: plan.name.clone(),
        cgroup_base: plan.cgroup_base.clone(),
        init: spawned.pid(),
        base: plan.id_base.unwrap_or(0),
        around: plan.around,
        virt_uptime: plan.virt_uptime,
        birthplace: kit.doors.birthplace.is_some(),
        tasks: kit.doors.tasks.len(),
        log: host.console_log(&plan.name),
        log_limit: LOG_LIMIT,
        confinement: plan.confinement.clone(),
        hard_limits: plan.hard_limits.clone(),
        sysinfo: false,
        disk: None,
        window: None,
        disks: plan.attributes.ccaps.contains(ContextCaps::BINARY_MOUNT),
        images: plan.attributes.ccaps.contains(ContextCaps::ADMIN_CLOOP),
        forks: plan.attributes.cflags.contains(ContextFlags::FORK_RSS),
        shown: plan.network.as_ref().and_then(NetworkPlan::shown),
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
