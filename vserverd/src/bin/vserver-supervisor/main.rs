//! The one process that a running guest costs its host: parent of the guest's init, keeper of its console, door for
//! `exec`, and executor of `stop`. Single-threaded; it allocates little and touches few pages.
//!
//! ```text
//!            exec request                 stop request             init ended
//!  Serving ───────────────► Serving     ───────────► Stopping ───────────────► ends; its status tells how
//! ```
//!
//! The same image, under the name `vserver-init`, is the first process of guests that have no init of their own, and
//! under the name `vserver-keeper` the supervisor's parent, which becomes `vserver NAME after-exit`.

mod console;
mod ending;
mod forks;
mod gather;
mod hearing;
mod interfaces;
mod keeper;
mod limits;
mod petitions;
mod reaper;
mod session;
mod strays;
mod supervisor;
mod window;

use std::io::Read;
use std::os::fd::RawFd;
use std::process::ExitCode;

use vserver_runtime::settings::{Settings, fds};
use vserver_sys::fd;
use vserver_sys::process::SingleThreaded;

/// Status of a supervisor that cannot go on: the keeper takes it for an end of the guest.
const FAILED: u8 = 70;

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let name = arguments.next().unwrap_or_default();
    if name == "vserver-init" {
        return reaper::run(&arguments.collect::<Vec<_>>());
    }
    if name == "vserver-keeper" {
        return keeper::run(&arguments.collect::<Vec<_>>());
    }
    // Nobody reads our standard error; ending is what ends the guest, and the keeper cleans up.
    supervise().unwrap_or(ExitCode::from(FAILED))
}

fn supervise() -> std::io::Result<ExitCode> {
    let token = SingleThreaded::prove()?;
    let mut text = Vec::new();
    std::fs::File::from(fd::inherited(fds::SETTINGS)?).read_to_end(&mut text)?;
    let settings: Settings = serde_json::from_slice(&text)?;
    drop(text);
    let take = |number: RawFd| fd::inherited(number);
    let (doors, petitions, sysinfo, disk, window) = supervisor::doors(&settings)?;
    let handles = supervisor::Handles {
        control: take(fds::CONTROL)?,
        init: take(fds::INIT)?,
        console: take(fds::CONSOLE)?,
        pts: take(fds::PTS)?,
        doors,
        petitions,
        sysinfo,
        disk,
        window,
    };
    vserver_sys::process::default_signals()?;
    supervisor::Supervisor::new(token, settings, handles)?.run()
}
