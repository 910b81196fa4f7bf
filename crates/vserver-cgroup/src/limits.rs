//! A guest's limits, written and read back.

use vserver_types::{Limits, Unenforced};

use crate::{Controller, Error, GuestCgroup, blkio, cpu, cpuset, memory, pids, raw};

impl GuestCgroup {
    /// Holds the guest to `limits`, running or not; a limit that is `None` is lifted. They are written to
    /// `vserver/<name>/`, above what the guest may write, and read back. Answers what this kernel does not enforce.
    ///
    /// Files of `limits.raw` that say the same as a limit (`memory.limit_in_bytes`, `cpu.max` …) replace it, whatever
    /// version they are written for; others are written as they are where the host has such a file, or translated.
    /// `devices.allow` and `devices.deny` are not limits: see [`crate::DevicePolicy::with_raw`].
    ///
    /// # Errors
    /// [`Error::Gone`] if the guest has no cgroup; [`Error::Create`] and others if a hierarchy that was not needed before
    /// could not be joined.
    pub fn apply(&self, limits: &Limits) -> Result<Vec<Unenforced>, Error> {
        if Self::open(&self.layout, &self.name).is_none() {
            return Err(Error::Gone { name: self.name.to_string() });
        }
        let mut report = Vec::new();
        let (limits, rest) = raw::absorb(limits, self.layout.shares_are_weights(), &mut report);
        if limits.cpuset.as_ref().is_some_and(|set| *set != Default::default()) {
            self.ensure(Controller::Cpuset)?;
        }
        if rest.iter().any(|(file, _)| Controller::of_file(file) == Some(Controller::Io)) {
            self.ensure(Controller::Io)?;
        }
        memory::apply(&mut self.knobs(Controller::Memory, &mut report), &limits);
        cpu::apply(&mut self.knobs(Controller::Cpu, &mut report), &limits);
        pids::apply(&mut self.knobs(Controller::Pids, &mut report), &limits);
        cpuset::apply(&mut self.knobs(Controller::Cpuset, &mut report), &limits);
        for (file, value) in &rest {
            match Controller::of_file(file) {
                Some(Controller::Io) => blkio::apply(&mut self.knobs(Controller::Io, &mut report), file, value),
                _ => raw::apply(self, file, value, &mut report),
            }
        }
        Ok(report)
    }

    /// The limits in force, read from the kernel. `raw` stays empty.
    ///
    /// # Errors
    /// [`Error::Gone`] if the guest has no cgroup.
    pub fn limits(&self) -> Result<Limits, Error> {
        if Self::open(&self.layout, &self.name).is_none() {
            return Err(Error::Gone { name: self.name.to_string() });
        }
        let mut unused = Vec::new();
        let (memory, memory_high, swap) = memory::read(&self.knobs(Controller::Memory, &mut unused));
        let (cpu, cpu_weight) = cpu::read(&self.knobs(Controller::Cpu, &mut unused));
        let pids = pids::read(&self.knobs(Controller::Pids, &mut unused));
        let cpuset = cpuset::read(&self.knobs(Controller::Cpuset, &mut unused));
        Ok(Limits { memory, memory_high, swap, pids, cpu, cpu_weight, cpuset, raw: Vec::new() })
    }
}
