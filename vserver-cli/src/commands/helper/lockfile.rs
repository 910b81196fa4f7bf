//! `lockfile` and `vshelper-sync`: scripts wait for each other through a fifo.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::getppid;
use vserver_fs::OldLock;
use vserver_types::Exit;

use super::{failed, operands, wrong};
use crate::context::Context;
use crate::error::CliError;

/// Takes the lock within the time (300 s), tells the fifo's reader by a script that it can execute, and holds the lock
/// until a hang-up or the end of its parent.
pub fn run(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let (file, fifo, patience) = match operands(words) {
        [file, fifo] => (file, fifo, 300),
        [file, fifo, seconds] => (file, fifo, number(seconds, context)?),
        _ => return Err(wrong(context, Exit::Failure)),
    };
    let parent = getppid();
    let mut reader = OpenOptions::new().write(true).open(fifo).map_err(failed("open", fifo))?;
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(file);
    let lock = OldLock::on(open.map_err(failed("open", file))?, Duration::from_secs(patience), || false);
    let lock = lock.map_err(failed("lock", file))?;
    let verdict: &[u8] = if lock.is_some() { b"#!/bin/true\n" } else { b"#!/bin/false\n" };
    reader.write_all(verdict).map_err(failed("write to", fifo))?;
    drop(reader);
    let Some(lock) = lock else {
        return Err(CliError::Refused(format!("'{}' is locked by another process", file.to_string_lossy())));
    };
    while getppid() == parent {
        std::thread::sleep(Duration::from_secs(1));
    }
    drop(lock);
    Ok(Exit::Success)
}

/// `vshelper-sync`: 0 at the end of the file, 1 when the time is over.
pub fn wait_for_end(words: &[OsString], context: &Context) -> Result<Exit, CliError> {
    let [fifo, seconds] = operands(words) else {
        return Err(wrong(context, Exit::Failure));
    };
    let end = Instant::now() + Duration::from_secs(number(seconds, context)?);
    let open = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(fifo);
    let mut fifo_file = open.map_err(failed("open", fifo))?;
    loop {
        let left = PollTimeout::try_from(end.saturating_duration_since(Instant::now())).unwrap_or(PollTimeout::MAX);
        let ready = poll(&mut [PollFd::new(std::os::fd::AsFd::as_fd(&fifo_file), PollFlags::POLLIN)], left);
        match ready.map_err(|errno| failed("wait for", fifo)(errno.into()))? {
            0 => return Ok(Exit::Failure),
            _ if fifo_file.read(&mut [0; 512]).map_err(failed("read", fifo))? == 0 => return Ok(Exit::Success),
            _ => {}
        }
    }
}

fn number(word: &OsString, context: &Context) -> Result<u64, CliError> {
    // The end of more seconds than fit 32 bits is not a time.
    let number = word.to_str().and_then(|text| text.parse::<u32>().ok());
    number.map(u64::from).ok_or_else(|| wrong(context, Exit::Failure))
}
