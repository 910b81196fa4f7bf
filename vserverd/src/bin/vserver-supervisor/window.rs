//! The guest's own `/proc/net`: a file system that nobody serves until the guest asks. Then its server is executed, which ends when
//! it is asked no more, and waits for the next question as a device that can be read.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, execve, getppid, pipe2};
use vserver_runtime::settings::{Settings, Shown, fds};
use vserver_runtime::window;
use vserver_sys::process::{self, Forked, SingleThreaded};
use vserver_sys::{fd, pidfd};

/// It, with what is shown there.
pub struct Window {
    /// Questions come here. While somebody else reads them it is only kept: his end is not the file system's.
    device: OwnedFd,
    program: PathBuf,
    shown: Option<Shown>,
    server: Option<Server>,
}

struct Server {
    pid: i32,
    watch: OwnedFd,
    /// It serves until this is closed.
    lease: Option<OwnedFd>,
}

impl Window {
    /// Nobody has asked yet.
    pub fn new(device: OwnedFd, program: PathBuf, shown: Option<Shown>) -> Self {
        Self { device, program, shown, server: None }
    }

    /// For poll.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.server.as_ref().map_or(&self.device, |server| &server.watch).as_fd()
    }

    /// What is shown from now on: the next question is answered by a server that knows it.
    pub fn show(&mut self, shown: Option<Shown>) {
        self.shown = shown;
        if let Some(server) = &mut self.server {
            server.lease = None;
        }
    }

    /// Looks after it. False when nothing of it is left, or its server has ended for a reason of its own: without the device
    /// every read fails.
    pub fn serve(&mut self, token: SingleThreaded, settings: &Settings) -> bool {
        if let Some(server) = &self.server {
            match waitpid(Pid::from_raw(server.pid), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => return true,
                ended => {
                    self.server = None;
                    if !matches!(ended, Ok(WaitStatus::Exited(_, 0))) {
                        return false;
                    }
                }
            }
        }
        let found = look(&self.device);
        if found.contains(PollFlags::POLLERR) {
            return false;
        }
        if found.contains(PollFlags::POLLIN) {
            self.server = self.begin(token, settings).ok();
            return self.server.is_some();
        }
        true
    }

    fn begin(&self, token: SingleThreaded, settings: &Settings) -> io::Result<Server> {
        let (held, lease) = pipe2(OFlag::O_CLOEXEC)?;
        let supervisor = Pid::this();
        match process::fork(token, 0)? {
            Forked::Parent(pid) => {
                let watch = pidfd::open(pid).inspect_err(|_| end(pid))?;
                Ok(Server { pid, watch, lease: Some(lease) })
            }
            Forked::Child => {
                let Err(_) = self.execute(settings, &held, supervisor);
                process::exit_now(1)
            }
        }
    }

    fn execute(&self, settings: &Settings, held: &OwnedFd, supervisor: Pid) -> io::Result<Infallible> {
        set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != supervisor {
            return Err(io::ErrorKind::NotFound.into());
        }
        let shown = serde_json::to_string(&self.shown)?;
        let argv = window::arguments(settings.name.as_str(), settings.cgroup_base.as_str(), settings.base, &shown);
        let program = CString::new(self.program.as_os_str().as_encoded_bytes())?;
        // Out of the way of the numbers that they are going to have.
        let (device, held) = (fd::above(self.device.as_fd(), 10)?, fd::above(held.as_fd(), 10)?);
        fd::cloexec_from(3)?;
        fd::place(device.as_fd(), fds::FUSE)?;
        fd::place(held.as_fd(), fds::LEASE)?;
        let environment: [CString; 0] = [];
        Ok(execve(&program, &argv, &environment)?)
    }
}

impl Drop for Window {
    /// Nothing of the guest stays behind.
    fn drop(&mut self) {
        self.server.iter().for_each(|server| end(server.pid));
    }
}

/// A child that nobody has waited for yet keeps its number.
fn end(child: i32) {
    process::kill(child, Signal::SIGKILL as i32).ok();
    while waitpid(Pid::from_raw(child), None) == Err(Errno::EINTR) {}
}

/// What poll says at once: a question, or an error when nothing of the file system is left.
fn look(device: &OwnedFd) -> PollFlags {
    let mut watched = [PollFd::new(device.as_fd(), PollFlags::POLLIN)];
    let found = poll(&mut watched, PollTimeout::ZERO).ok().and_then(|_| watched[0].revents());
    found.unwrap_or(PollFlags::empty())
}
