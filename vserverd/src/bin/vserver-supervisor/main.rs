//! The one process that a running guest costs its host: parent of the guest's init, keeper of its console, door for
//! `exec`, and executor of `stop`. Single-threaded; it allocates little and touches few pages.
//!
//! ```text
//!            exec request                 stop request             init ended
//!  Serving ───────────────► Serving     ───────────► Stopping ───────────────► becomes `vserver NAME after-exit`
//! ```
//!
//! The same image, under the name `vserver-init`, is the first process of guests that have no init of their own.

mod console;
mod ending;
mod limits;
mod reaper;
mod session;
mod supervisor;

use std::io::Read;
use std::os::fd::RawFd;
use std::process::ExitCode;

use vserver_runtime::settings::{Settings, fds};
use vserver_sys::fd;
use vserver_sys::process::SingleThreaded;

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let name = arguments.next().unwrap_or_default();
    if name == "vserver-init" {
        return reaper::run(&arguments.collect::<Vec<_>>());
    }
    match supervise() {
        Ok(never) => match never {},
        // Nobody reads our standard error; ending is what ends the guest, and its record tells the next command.
        Err(_) => ExitCode::FAILURE,
    }
}

fn supervise() -> std::io::Result<std::convert::Infallible> {
    let token = SingleThreaded::prove()?;
    let mut text = Vec::new();
    std::fs::File::from(fd::inherited(fds::SETTINGS)?).read_to_end(&mut text)?;
    let settings: Settings = serde_json::from_slice(&text)?;
    drop(text);
    let take = |number: RawFd| fd::inherited(number);
    let handles = supervisor::Handles {
        control: take(fds::CONTROL)?,
        init: take(fds::INIT)?,
        console: take(fds::CONSOLE)?,
        pts: take(fds::PTS)?,
        doors: supervisor::doors(&settings)?,
    };
    vserver_sys::process::default_signals()?;
    supervisor::Supervisor::new(token, settings, handles)?.run()
}
