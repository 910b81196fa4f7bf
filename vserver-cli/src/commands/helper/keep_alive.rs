//! `keep-ctx-alive`: a process whose only purpose is to be in a context, which ends with its last one.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use vserver_runtime::bare::Side;
use vserver_sys::process::{self, Forked, SingleThreaded};
use vserver_types::{Exit, Xid};

use crate::args::KeepAliveArgs;
use crate::commands::chain::{self, Target};
use crate::context::Context;
use crate::error::CliError;

/// Stays in the background, or tells the one that does to end.
pub fn run(args: &KeepAliveArgs, context: &Context) -> Result<Exit, CliError> {
    let Some(path) = &args.socket else {
        return Err(CliError::usage(context.printer.tool(), "--socket is needed", Exit::Failure));
    };
    match &args.quit {
        Some(text) => tell(path, text),
        None => stay(path, args.timeout, context),
    }
}

fn tell(path: &Path, text: &str) -> Result<Exit, CliError> {
    // It ends as soon as somebody comes, perhaps before it is told anything.
    let gone = |error: &std::io::Error| matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
    let told = UnixStream::connect(path).and_then(|mut socket| match socket.write_all(text.as_bytes()) {
        Err(error) if gone(&error) => Ok(()),
        told => told,
    });
    told.map_err(CliError::io(format!("cannot tell the process at '{}' to end", path.display())))?;
    Ok(Exit::Success)
}

/// Whoever reads our output gets its end when this call returns: the process that stays holds none of it.
fn stay(path: &Path, timeout: Option<u32>, context: &Context) -> Result<Exit, CliError> {
    let number = match chain::target(context, Side::Context, None)? {
        Target::Bare(bare) => bare.number,
        _ => Xid::HOST.0,
    };
    let failed = format!("cannot make the socket '{}'", path.display());
    let listener = UnixListener::bind(path).map_err(CliError::io(failed))?;
    let token = SingleThreaded::prove().map_err(CliError::io("cannot fork"))?;
    match process::fork(token, 0).map_err(CliError::io("cannot fork"))? {
        Forked::Parent(_) => {
            context.printer.text(&number.to_string())?;
            Ok(Exit::Success)
        }
        Forked::Child => {
            let status = if detach().is_ok() && somebody_came(&listener, timeout) { 0 } else { 1 };
            let _ = fs::remove_file(path);
            process::exit_now(status)
        }
    }
}

fn detach() -> nix::Result<()> {
    setsid()?;
    let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())?;
    dup2_stdin(&null).and_then(|()| dup2_stdout(&null)).and_then(|()| dup2_stderr(&null))
}

fn somebody_came(listener: &UnixListener, timeout: Option<u32>) -> bool {
    let patience = timeout.map(|seconds| Duration::from_secs(seconds.into()));
    let patience = patience.map_or(PollTimeout::NONE, |time| PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX));
    let mut watched = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    loop {
        match poll(&mut watched, patience) {
            Err(nix::errno::Errno::EINTR) => {}
            found => return found.is_ok_and(|count| count > 0),
        }
    }
}
