//! The daemon: starts the guests that are marked for it, and answers on a unix socket. It does nothing that the command
//! line could not do without it, and no guest notices when it ends.
//!
//! ```text
//!  vserverd serve ─── fork, before there is any thread ──► launcher (single-threaded, synchronous)
//!    tokio, hyper: socket, peers, routes    orders ─────►    fork per order ──► child: vserver_runtime::start, stop
//!    looks (list, status, stat)             ◄── outcomes ────────────────────────┘     │ forks the guest's supervisor,
//!    autostart                                                                         ▼ which leaves us for good
//! ```
//!
//! tokio lives in the first process only. A guest is the descendant of neither: its supervisor goes to init when the
//! child that started it has answered.

mod adopt;
mod args;
mod autostart;
mod error;
mod groups;
mod http;
mod launcher;
mod listen;
mod look;
mod notify;
mod once;
mod peer;
mod serve;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Arguments, Verb};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nothing can be done if the terminal is gone.
            error.print().ok();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    let Verb::Serve(arguments) = arguments.verb;
    match serve::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(std::io::stderr(), "vserverd: {}", error.chain()).ok();
            ExitCode::FAILURE
        }
    }
}
