//! The process that serves a guest's own files in `/proc`, and the file system that it serves.
//!
//! The keeper makes the file system and forks the server, before the builder: only the server has the device in the end, so
//! that its death ends every read. The builder mounts single files of the file system over those of the guest's `/proc`.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::fcntl::{OFlag, open, openat};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{Pid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, execve, getppid};
use vserver_sandbox::blueprint::{Blueprint, View};
use vserver_sys::fd;
use vserver_sys::mount::{self, NODEV, NOEXEC, NOSUID, RDONLY};
use vserver_sys::process::{self, Forked, SingleThreaded};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::Plan;
use crate::prepare::Prepared;
use crate::settings::fds;
use crate::stage::Stage;

/// A server and its file system.
#[derive(Debug)]
pub struct Served {
    /// Its root directory, mounted nowhere.
    pub files: OwnedFd,
    /// pid of the server, a child of the keeper's.
    pub server: i32,
}

/// Makes both, if the guest has files of its own. A tool that works on a guest's tree is not the guest.
pub fn begin(
    host: &Host,
    prepared: &Prepared,
    token: SingleThreaded,
    stage: Option<&Stage>,
) -> Result<Option<Served>> {
    let plan = &prepared.plan;
    if plan.view.is_empty() || prepared.record.errand {
        return Ok(None);
    }
    if !host.view.is_file() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(Error::io("serve the guest's own /proc by", &host.view)(missing));
    }
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let device = open("/dev/fuse", flags, Mode::empty()).map_err(Error::layer("open /dev/fuse", &plan.name))?;
    let files = filesystem(&device).map_err(Error::layer("make a file system for its /proc", &plan.name))?;
    let keeper = Pid::this();
    match process::fork(token, 0).map_err(Error::layer("fork", &plan.name))? {
        Forked::Parent(server) => Ok(Some(Served { files, server })),
        Forked::Child => {
            drop(files);
            // Whoever looks for a file finds that nobody serves it, and says which.
            let Err(_) = become_server(host, plan, &device, keeper, stage);
            process::exit_now(1)
        }
    }
}

/// Every user may read what the modes allow, which the kernel looks after.
pub fn filesystem(device: &OwnedFd) -> std::io::Result<OwnedFd> {
    let number = CString::new(device.as_raw_fd().to_string()).unwrap_or_default();
    let options = [
        (c"source", Some(c"vserver")),
        (c"subtype", Some(c"vserver")),
        (c"fd", Some(number.as_c_str())),
        (c"rootmode", Some(c"40555")),
        (c"user_id", Some(c"0")),
        (c"group_id", Some(c"0")),
        (c"allow_other", None),
        (c"default_permissions", None),
    ];
    mount::new_filesystem(c"fuse", &options, RDONLY | NOSUID | NODEV | NOEXEC)
}

/// On the host, with nothing but the device, and for as long as the keeper at most.
fn become_server(
    host: &Host,
    plan: &Plan,
    device: &OwnedFd,
    keeper: Pid,
    stage: Option<&Stage>,
) -> Result<Infallible> {
    set_pdeathsig(Signal::SIGKILL).map_err(failed(plan))?;
    if getppid() != keeper {
        return Err(Error::Interrupted { name: plan.name.clone() });
    }
    if let Some(stage) = stage {
        setns(stage.home(), CloneFlags::CLONE_NEWNS).map_err(failed(plan))?;
    }
    chdir("/").map_err(failed(plan))?;
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed(plan))?;
    dup2_stdin(&null).and_then(|()| dup2_stdout(&null)).and_then(|()| dup2_stderr(&null)).map_err(failed(plan))?;
    process::default_signals().map_err(failed(plan))?;
    fd::cloexec_from(3).map_err(failed(plan))?;
    // Out of the way of the number that it is going to have.
    let device = fd::above(device.as_fd(), 10).map_err(failed(plan))?;
    fd::place(device.as_fd(), fds::FUSE).map_err(failed(plan))?;
    let view = &plan.view;
    let words = [("memory", view.memory), ("cpus", view.cpus), ("load", view.load), ("uptime", plan.virt_uptime)];
    let words = words.into_iter().filter(|(_, wanted)| *wanted).map(|(word, _)| word);
    let argv = ["vserver-view", plan.name.as_str(), plan.cgroup_base.as_str()].into_iter().chain(words);
    let argv: Vec<CString> = argv.filter_map(|word| CString::new(word).ok()).collect();
    let program = CString::new(host.view.as_os_str().as_encoded_bytes()).map_err(failed(plan))?;
    let environment: [CString; 0] = [];
    execve(&program, &argv, &environment).map_err(failed(plan))
}

/// For the builder.
pub fn of(plan: &Plan, served: Served) -> View {
    View { files: served.files, proc: plan.view.files(), cpus: plan.view.cpus }
}

/// Where the supervisor reads what sysinfo(2) answers.
pub fn sysinfo(plan: &Plan, blueprint: &Blueprint) -> Result<Option<OwnedFd>> {
    let Some(view) = blueprint.view.as_ref().filter(|_| plan.view.answers_sysinfo()) else {
        return Ok(None);
    };
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let opened = openat(&view.files, "sysinfo", flags, Mode::empty());
    opened.map(Some).map_err(Error::layer("reach the server of its /proc (vserver-view)", &plan.name))
}

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(plan: &Plan) -> impl FnOnce(E) -> Error {
    Error::layer("serve its /proc", &plan.name)
}
