//! What is done with the guest running.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vserver_config::{Flavour, GuestConfig};
use vserver_types::{GuestName, GuestState, Xid};

use super::{LOCK_PATIENCE, Start};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::record::RunRecord;
use crate::scripts::run_command;
use crate::{list, teardown};

impl Start<'_> {
    /// Init-less guests: the call returns when the start command has ended. Its status decides, and whether it left any
    /// process: without one there is no guest. Source: util-vserver, `behaviours.md` §2.
    pub(super) fn await_start_command(&self, xid: Xid, ended: OwnedFd) -> Result<()> {
        loop {
            let mut watched = [
                PollFd::new(ended.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.interrupts.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut watched, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(errno) => return Err(Error::layer("wait for the start command", self.name)(errno)),
            }
            if self.interrupts.came() {
                let _lock = self.host.lock(self.name, LOCK_PATIENCE)?;
                return Err(self.undo(xid));
            }
            if watched[0].any().unwrap_or(false) {
                break;
            }
        }
        // Nothing is told by a guest that was killed; whatever asks for it next finds it gone.
        let mut ended = File::from(ended);
        let mut told = || {
            let mut word = [0; 4];
            ended.read_exact(&mut word).ok().map(|()| i32::from_ne_bytes(word))
        };
        let (status, goes_on) = (told().unwrap_or(0), told() != Some(0));
        // A command in place of the init has done what was asked for when it ends, as has a tool.
        let instead = self.options.rescue.is_some() || self.options.errand.is_some();
        if status == 0 && (goes_on || instead) {
            return Ok(());
        }
        let (name, words) = (self.name.clone(), last_words(self.host, self.name));
        let_it_end(self.host, self.name)?;
        Err(match status {
            0 => Error::NothingLeft { name, words },
            status => Error::StartCommand { name, xid, status, words },
        })
    }

    /// What is done with the guest running.
    pub(super) fn finish(&mut self, config: &GuestConfig, xid: Xid) -> Result<()> {
        if self.options.errand.is_some() {
            return Ok(());
        }
        let sync = config.init.cmd_start_sync.as_deref().filter(|_| self.options.sync || config.init.sync);
        let post = vserver_config::scripts(&self.host.confdir, self.name, Flavour::PostStart)?;
        if sync.is_none() && post.iter().all(Vec::is_empty) {
            return Ok(());
        }
        let _lock = self.host.lock(self.name, LOCK_PATIENCE)?;
        if RunRecord::load(self.host, self.name)?.is_none_or(|record| record.xid != xid) {
            let what = "it ended before its post-start scripts could run".to_owned();
            return Err(Error::Taken { name: self.name.clone(), what });
        }
        let done = sync.map_or(Ok(()), |argv| self.start_sync(argv));
        match done.and_then(|()| self.scripts.run(Flavour::PostStart, &config.vdir)) {
            Err(Error::Interrupted { .. }) => Err(self.undo(xid)),
            other => other.map(drop),
        }
    }

    fn start_sync(&self, argv: &[String]) -> Result<()> {
        let Some((program, arguments)) = argv.split_first() else {
            return Ok(());
        };
        let mut command = std::process::Command::new(program);
        let status = run_command(command.args(arguments), Some(self.interrupts), self.name)?;
        if status.success() {
            return Ok(());
        }
        let what = format!("its apps/init/cmd.start-sync '{program}' ended with {status}; the guest runs on");
        Err(Error::Taken { name: self.name.clone(), what })
    }

    /// Ends a guest that runs already, under its lock, because the caller was interrupted.
    fn undo(&self, xid: Xid) -> Error {
        let record = RunRecord::load(self.host, self.name).ok().flatten().filter(|record| record.xid == xid);
        if let Some(record) = record
            && let Err(error) = teardown::teardown(self.host, &record)
        {
            return error;
        }
        self.interrupted()
    }

    pub(super) fn interrupted(&self) -> Error {
        Error::Interrupted { name: self.name.clone() }
    }
}

/// A guest without any process left is about to end: the caller should not find it half there.
fn let_it_end(host: &Host, name: &GuestName) -> Result<()> {
    for _ in 0..50 {
        let status = list::status(host, name)?;
        if status.record.is_none() || (status.state == GuestState::Running && status.processes > 1) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn last_words(host: &Host, name: &GuestName) -> String {
    let bytes = std::fs::read(host.console_log(name)).unwrap_or_default();
    let tail = bytes.get(bytes.len().saturating_sub(400)..).unwrap_or_default();
    let text = String::from_utf8_lossy(tail);
    let lines: Vec<_> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ").escape_debug().to_string()
}
