//! Going into a bare context, and what of one changes while it lives.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use vserver_types::{ContextFlags, Unenforced};

use super::record::{ensure_dir, own_dir, populated};
use super::{Bare, Side, failed, top, watch};
use crate::error::{Error, Result};
use crate::host::Host;

impl Bare {
    /// Moves this process into the context. Returns what the kernel cannot enforce.
    pub fn enter(&mut self, host: &Host) -> Result<Vec<Unenforced>> {
        if self.attributes.cflags.contains(ContextFlags::PRIVATE) && self.side == Side::Context {
            let reason = "it has the flag 'private': nobody enters it";
            return Err(failed(format!("enter context {}", self.number))(std::io::Error::other(reason)));
        }
        let (dir, found) = self.go_in(host)?;
        if !self.cgroups.contains(&dir) {
            self.cgroups.push(dir.clone());
        }
        self.save(host)?;
        watch::watch(host, self.side, self.number, &dir)?;
        Ok(found)
    }

    /// The end of the last who were in it takes a context's directory away, perhaps between the two steps: then again.
    fn go_in(&self, host: &Host) -> Result<(PathBuf, Vec<Unenforced>)> {
        const TRIES: usize = 20;
        let mut tries = 1..TRIES;
        loop {
            let dir = self.place()?;
            match self.go_into(&dir) {
                Ok(found) => return Ok((dir, found)),
                Err(_) if !dir.exists() && tries.next().is_some() => {}
                Err(error) => {
                    // A context that nobody could enter; the first failure is the one to report.
                    if !populated(&dir) {
                        Self::forget(host, self.side, self.number, &dir).ok();
                    }
                    return Err(error);
                }
            }
        }
    }

    fn go_into(&self, dir: &Path) -> Result<Vec<Unenforced>> {
        let found = self.confine(dir)?;
        std::fs::write(dir.join("cgroup.procs"), "0").map_err(Error::io("enter", dir))?;
        Ok(found)
    }

    /// The directory to go into: one of the context's that leaves no context that this process is in, else a new one
    /// below where it is.
    fn place(&self) -> Result<PathBuf> {
        let own = own_dir()?;
        let here = own.clone().map_or_else(top, Ok)?;
        if let Some(dir) = self.cgroups.iter().find(|dir| dir.starts_with(&here) && dir.exists()) {
            return Ok(dir.clone());
        }
        let dir = here.join(self.side.name(self.number));
        ensure_dir(&dir).map(|()| dir)
    }

    /// Puts new address rules into force for everybody in the network context, without a gap.
    pub fn confine_all(&self) -> Result<Vec<Unenforced>> {
        self.cgroups.iter().map(|dir| self.confine(dir)).collect::<Result<Vec<_>>>().map(|all| all.concat())
    }

    fn confine(&self, dir: &Path) -> Result<Vec<Unenforced>> {
        let Some(network) = &self.network else {
            return Ok(Vec::new());
        };
        let handle = File::open(dir).map_err(Error::io("open", dir))?;
        let action = format!("hold network context {} to its addresses", self.number);
        let confined = vserver_net::confine(handle.as_fd(), &network.policy(), vserver_net::Steer::No);
        Ok(confined.map_err(failed(action))?.report)
    }
}

/// Stops all processes of the context, or lets them go on (`sched_pause`).
pub fn set_hold(bare: &Bare, hold: bool) -> Result<()> {
    let value = if hold { "1" } else { "0" };
    bare.cgroups.iter().try_for_each(|dir| {
        let file = dir.join("cgroup.freeze");
        std::fs::write(&file, value).map_err(Error::io("write", file))
    })
}

/// A context that is no longer persistent goes if nobody is in it.
pub fn release(host: &Host, bare: &Bare) -> Result<()> {
    let mut empty = bare.cgroups.iter().filter(|dir| !populated(dir));
    empty.try_for_each(|dir| Bare::forget(host, bare.side, bare.number, dir))
}
