//! The administrator's programs: `vserver`, `vserver-stat`, `vps`, `vkill`, `chcontext`, `vlimit`, `vsched`.
//!
//! One file that looks at the name it was called by, or `vserver --applet NAME …`. Each command is a definition in
//! `args`, a function in `commands`, and a status; it speaks through `Printer` only.

mod applet;
#[allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags, reason = "the doc comments are help texts")]
mod args;
mod bulk;
mod commands;
mod context;
mod error;
pub mod manual;
mod printer;
mod resolve;

use std::ffi::OsString;
use std::process::ExitCode;

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, raise};
use vserver_types::Exit;

use applet::Applet;

/// Runs the program that the command line names.
pub fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let (applet, words) = Applet::choose(&argv);
    let exit = applet.run(words);
    if let Exit::Signal(number) = exit {
        die_of(number);
    }
    ExitCode::from(exit.code())
}

/// Ends by the signal that ended the command, so that our caller sees the same; the core was the command's to write.
/// Returns if the signal does not end a process.
fn die_of(number: i32) {
    if let Ok(signal) = Signal::try_from(number) {
        let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
        let _ = vserver_sys::process::default_signals().map(|()| raise(signal));
    }
}
