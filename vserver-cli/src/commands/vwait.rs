//! `vwait`: waits until a context ends. Source of texts and statuses: util-vserver, `commands.md` §5.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vserver_runtime::RunRecord;
use vserver_types::Exit;

use crate::args::VwaitArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::resolve::{self, Meant};

/// How it ended.
enum Outcome {
    Finished,
    Killed,
    Timeout,
    Error(i32),
}

impl Outcome {
    fn status(&self) -> Exit {
        match self {
            Self::Finished => Exit::Success,
            Self::Killed => Exit::Failure,
            Self::Timeout => Exit::Usage,
            Self::Error(_) => Exit::Command(127),
        }
    }

    /// Nothing tells the reason of an end from outside, which was 0 for a plain one.
    fn text(&self) -> String {
        match self {
            Self::Finished => "FINISHED 0".to_owned(),
            Self::Killed => "KILLED".to_owned(),
            Self::Timeout => "TIMEOUT".to_owned(),
            Self::Error(number) => format!("ERROR {number}"),
        }
    }
}

/// Waits, says how it ended.
pub fn run(args: &VwaitArgs, context: &Context) -> Result<Exit, CliError> {
    let [word] = args.xid.as_slice() else {
        let fault = if args.xid.is_empty() { "a context is needed" } else { "only one context can be waited for" };
        return Err(CliError::usage("vwait", fault, Exit::Failure));
    };
    let outcome = match resolve::context_word(context, word)? {
        Meant::Guest(record) => wait(&record, args)?,
        Meant::Host => Outcome::Error(Errno::EINVAL as i32),
        Meant::Idle => Outcome::Error(Errno::ESRCH as i32),
    };
    if let Some(number) = args.status_fd {
        report(number, &outcome.text())?;
    }
    if let Outcome::Error(number) = &outcome {
        let why = io::Error::from_raw_os_error(*number);
        context.printer.warn(format_args!("vwait: cannot wait for context '{word}': {}", crate::error::chain(&why)));
    }
    Ok(outcome.status())
}

/// The supervisor lives exactly as long as its guest, reboots included.
fn wait(record: &RunRecord, args: &VwaitArgs) -> Result<Outcome, CliError> {
    let Ok(supervisor) = vserver_sys::pidfd::open(record.supervisor) else {
        return Ok(Outcome::Finished);
    };
    if !record.supervisor_lives() {
        return Ok(Outcome::Finished);
    }
    let end = args.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let timeout = left.map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
        match poll(&mut [PollFd::new(supervisor.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if end.is_some_and(|end| Instant::now() >= end) => break,
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(Outcome::Finished),
            Err(error) => return Ok(Outcome::Error(error as i32)),
        }
    }
    if !args.terminate {
        return Ok(Outcome::Timeout);
    }
    if let Some(cgroup) = record.cgroup()? {
        cgroup.kill()?;
    }
    Ok(Outcome::Killed)
}

/// Onto the descriptor itself: a file's offset, which the caller shares, moves along, and a socket will do.
fn report(number: i32, text: &str) -> Result<(), CliError> {
    let failed = || CliError::io(format!("cannot write the outcome to descriptor {number}"));
    let fd = vserver_sys::fd::inherited(number).map_err(failed())?;
    File::from(fd).write_all(format!("{text}\n").as_bytes()).map_err(failed())
}
