//! The server of a guest's own `/proc`: of files that tell of the whole host (`meminfo`, `stat`, `cpuinfo`, `loadavg`), the guest
//! gets ones that tell of itself, if its flags ask for that.
//!
//! ```text
//!  guest's process ── read /proc/meminfo ─► kernel (FUSE) ── /dev/fuse ─► this process ── reads ─► the guest's cgroup,
//!        ▲                                                                    │                   the host's /proc
//!        └──────────────────────────────── text ◄─────────────────────────────┘
//! ```
//!
//! One single-threaded process for a guest, on the host, a child of the guest's keeper. It opens no path that a guest could
//! choose, keeps nothing for a reader that others cannot displace, and lets those wait who ask too much. The guest gets on
//! without it: reads then fail with `ENOTCONN`. It ends when nothing of its file system is mounted or open any more, and
//! with its keeper.
//!
//! Executed by the supervisor it serves the guest's own `/proc/net` instead ([`net`]).
//!
//! Not by the crate `fuser`: its loop is a thread of its own without room for a timer, with a buffer of 16 MiB and a dozen crates,
//! for the nine kinds of questions that a few read-only files are asked.

mod cpus;
mod files;
mod guest;
mod load;
mod memory;
mod net;
mod serve;
mod sysinfo;
mod tasks;

use std::process::ExitCode;

use vserver_runtime::settings::fds;
use vserver_runtime::window;
use vserver_sys::fd;

use guest::{Guest, Own};

/// `NAME BASE WORD…`: the guest, where its cgroups are, and what is its own (`memory`, `cpus`, `load`, `uptime`).
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Nobody reads our standard error: without us the guest is told that there is nobody.
    let done = match arguments.split_first() {
        Some((word, rest)) if word == window::WORD => net::run(rest),
        _ => run(&arguments),
    };
    if done.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(arguments: &[String]) -> Option<()> {
    let [name, base, words @ ..] = arguments else { return None };
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    let own = Own { memory: has("memory"), load: has("load"), uptime: has("uptime") };
    let device = fd::inherited(fds::FUSE).ok()?;
    let mut guest = Guest::begin(&name.parse().ok()?, &base.parse().ok()?, own).ok()?;
    // Only a saving, as in the supervisor.
    vserver_sys::memory::forget_startup_code().ok();
    serve::serve(&device, &mut guest).ok()
}
