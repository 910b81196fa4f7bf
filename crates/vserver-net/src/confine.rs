//! Puts a guest's cgroup under its address policy.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use vserver_sys::bpf::{
    AttachFlags, AttachType, prog_attach, prog_by_id, prog_detach, prog_load, prog_query, prog_replace,
};
use vserver_types::{Traffic, Unenforced};

use crate::meter::Meter;
use crate::policy::Table;
use crate::program::{Features, HOOKS, Hook, METERS};
use crate::steering::{Held, Steer, Steering};
use crate::wildcards::Wildcards;
use crate::{AddressPolicy, Error};

/// Holds all processes of the cgroup directory `cgroup_v2` and of those below it to `policy`. Call it before the first
/// process is there: a socket stays under the rules of the cgroup in which it was made. On a cgroup that is confined
/// already it replaces the programs one by one, each without a gap; call [`crate::resettle()`] afterwards.
///
/// The programs belong to the directory and vanish with it; whoever called may exit. Needs root in the initial user
/// namespace and kernel 5.3.
///
/// # Errors
/// Everything that would leave the guest less confined: then nothing is attached that was not before.
pub fn confine(cgroup_v2: BorrowedFd<'_>, policy: &AddressPolicy, steer: Steer) -> Result<Confined, Error> {
    // What was counted so far stays, and so do the rates.
    let before = Meter::of(cgroup_v2).map_err(no_meter)?;
    let meter = before.map_or_else(|| Meter::make().map_err(no_meter), Ok)?;
    let failed = |place| move |source| Error::Load { place, source };
    let steered = Steering::of_guest(cgroup_v2).map_err(failed(AttachType::SockOps))?;
    let wildcards = Wildcards::of_guest(cgroup_v2).map_err(failed(AttachType::Inet4Bind))?;
    let known = steered.is_some();
    let programs = Programs::begin_with(policy, steer, meter, (steered, wildcards));
    let held = if known { None } else { programs.steering().map_err(failed(AttachType::SockOps))? };
    Ok(Confined { report: programs.attach(cgroup_v2, Place::Perhaps)?, held })
}

/// What became of [`confine()`].
#[derive(Debug)]
pub struct Confined {
    /// What this kernel, or this form of address sharing, cannot do.
    pub report: Vec<Unenforced>,
    /// What was made for the guest just now, if anything: as long as somebody holds this, and serves what is in it, its wildcard
    /// sockets hear all of its addresses.
    pub held: Option<Held>,
}

fn no_meter(source: io::Error) -> Error {
    Error::Load { place: AttachType::InetEgress, source }
}

/// What is known of a cgroup directory before its programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It was made just now: nothing is attached there.
    New,
    /// It may be confined already.
    Perhaps,
}

/// The programs of a policy, checked and compiled by the kernel, which takes longer than to attach them: a caller with
/// other things to do meanwhile can do this first, in a thread of its own, and stop at any moment.
#[derive(Debug)]
pub struct Programs {
    table: Table,
    /// Places whose programs are not loaded yet.
    left: std::slice::Iter<'static, Hook>,
    loaded: Vec<(&'static Hook, OwnedFd)>,
    report: Vec<Unenforced>,
    steering: Option<Steering>,
    /// The programs refer to it: it must live until they are loaded.
    _wildcards: Option<Wildcards>,
    meter: Meter,
}

impl Programs {
    /// None is loaded yet, but all that they share is made.
    ///
    /// # Errors
    /// As [`confine()`].
    pub fn begin(policy: &AddressPolicy, steer: Steer) -> Result<Self, Error> {
        Ok(Self::begin_with(policy, steer, Meter::make().map_err(no_meter)?, (None, None)))
    }

    /// Those of a guest that has a network stack of its own, or all of the host's addresses: its traffic is counted and
    /// held to its rates, and nothing else. They are loaded.
    ///
    /// # Errors
    /// As [`confine()`].
    pub fn load_meter() -> Result<Self, Error> {
        let meter = Meter::make().map_err(no_meter)?;
        let table = Table { meter: Some(meter.tables()), ..Table::default() };
        let (left, loaded, report) = (METERS.iter(), Vec::new(), Vec::new());
        let mut all = Self { table, left, loaded, report, steering: None, _wildcards: None, meter };
        all.load_until(|| false)?;
        Ok(all)
    }

    /// With the steering and the notes that the guest has, if it has them.
    fn begin_with(
        policy: &AddressPolicy,
        steer: Steer,
        meter: Meter,
        (steered, wildcards): (Option<Steering>, Option<Wildcards>),
    ) -> Self {
        let mut table = Table::new(policy);
        // Nobody follows the addresses of a context without a keeper.
        let wildcards = wildcards.or_else(|| if steer == Steer::No { None } else { Wildcards::make().ok() });
        table.wildcards = wildcards.as_ref().map(Wildcards::number);
        let (steering, report) = steering(&table, steer, steered);
        table.steering = steering.as_ref().map(Steering::tables);
        table.meter = Some(meter.tables());
        Self { table, left: HOOKS.iter(), loaded: Vec::new(), report, steering, _wildcards: wildcards, meter }
    }

    /// Loads one after the other until all are loaded, or `enough` says so.
    ///
    /// # Errors
    /// As [`confine()`].
    pub fn load_until(&mut self, enough: impl Fn() -> bool) -> Result<(), Error> {
        while !enough() {
            let Some(hook) = self.left.next() else { break };
            if self.table.steering.is_none() && hook.place == AttachType::SockOps {
                continue;
            }
            match load(hook, &self.table)? {
                Loaded::Program(program, features) => {
                    note(&mut self.report, features, self.table.low_ports);
                    self.loaded.push((hook, program));
                }
                Loaded::Unknown(unenforced) => self.report.push(unenforced),
            }
        }
        Ok(())
    }

    /// Whoever holds this lets wildcard sockets of the guest hear all of its addresses: its keeper shall. `None` where it
    /// has one address, or the kernel cannot.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn steering(&self) -> io::Result<Option<Held>> {
        self.steering.as_ref().map(Steering::held).transpose()
    }

    /// Holds the guest to these rates.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn shape(&self, traffic: &Traffic) -> io::Result<()> {
        self.meter.shape(traffic)
    }

    /// Loads what is not loaded yet, and attaches all: the second half of [`confine()`].
    ///
    /// # Errors
    /// As there.
    pub fn attach(mut self, cgroup_v2: BorrowedFd<'_>, place: Place) -> Result<Vec<Unenforced>, Error> {
        self.load_until(|| false)?;
        let mut attached = Vec::new();
        for (hook, program) in &self.loaded {
            match put(cgroup_v2, place, hook, program.as_fd()) {
                Ok(Put::New) => attached.push((hook, program)),
                Ok(Put::Replaced) => {}
                Err(source) => {
                    // A failure here leaves the guest with more refusals, never with fewer.
                    for (hook, program) in attached.iter().rev() {
                        let _ = prog_detach(cgroup_v2, program.as_fd(), hook.place);
                    }
                    return Err(Error::Attach { place: hook.place, source });
                }
            }
        }
        Ok(self.report)
    }
}

enum Loaded {
    Program(OwnedFd, Features),
    Unknown(Unenforced),
}

enum Put {
    New,
    Replaced,
}

/// Loads the program of `hook` with as much as this kernel takes.
fn load(hook: &Hook, table: &Table) -> Result<Loaded, Error> {
    let place = hook.place;
    let mut first = None;
    let mut before = None;
    for features in Features::LADDER {
        let program = (hook.generate)(table, features).map_err(|source| Error::Generate { place, source })?;
        if before.as_ref() == Some(&program) {
            continue;
        }
        match prog_load(place.prog_type(), place, &program, hook.name) {
            Ok(fd) => return Ok(Loaded::Program(fd, features)),
            Err(error) => first = first.or(Some(error)),
        }
        before = Some(program);
    }
    if table.wildcards.is_some() {
        // Nothing can be noted on this kernel; that is no reason to hold a guest to nothing.
        return load(hook, &Table { wildcards: None, ..table.clone() });
    }
    let source = first.unwrap_or_else(|| io::Error::from(io::ErrorKind::Unsupported));
    match hook.without {
        // EPERM is about us, not about the kernel: never to be taken for an old kernel.
        Some(loss) if source.kind() != io::ErrorKind::PermissionDenied => {
            Ok(Loaded::Unknown(Unenforced::partial(place.name(), format!("this kernel does not have it: {loss}"))))
        }
        _ => Err(Error::Load { place, source }),
    }
}

/// Attaches `program`, in the place of the one that an earlier call attached.
fn put(cgroup: BorrowedFd<'_>, known: Place, hook: &Hook, program: BorrowedFd<'_>) -> io::Result<Put> {
    let place = hook.place;
    // The directory is ours alone, so whatever is attached to it is of an earlier call.
    let before = if known == Place::New { None } else { prog_query(cgroup, place)?.first().copied() };
    let Some(old) = before else {
        prog_attach(cgroup, program, place, AttachFlags::Multi)?;
        return Ok(Put::New);
    };
    let old = prog_by_id(old)?;
    prog_replace(cgroup, old.as_fd(), program, place)?;
    Ok(Put::Replaced)
}

/// How a wildcard becomes several addresses, and what of it a guest does not get.
fn steering(table: &Table, steer: Steer, steered: Option<Steering>) -> (Option<Steering>, Vec<Unenforced>) {
    // What is known of bound sockets stays, also if one address is left.
    if !table.has_several() && steer != Steer::Always && steered.is_none() {
        return (None, Vec::new());
    }
    let make = || match table.wildcards {
        Some(_) => Steering::of_this_namespace(table, steer),
        // Without notes nobody knows what is to be steered.
        None => Ok(None),
    };
    let found = steered.map_or_else(make, |steered| Ok(Some(steered)));
    let (steering, whose) = match found {
        Ok(Some(steering)) if steering.datagrams.is_some() => return (Some(steering), Vec::new()),
        Ok(Some(steering)) => (Some(steering), "a datagram socket"),
        Ok(None) => (None, "a socket"),
        // An older kernel, or a foreign program that wants to be alone.
        Err(_) => (None, "on this kernel a socket"),
    };
    let reason = format!(
        "{whose} bound to 0.0.0.0 or :: hears the guest's first address only; name the others in the server's \
         configuration"
    );
    (steering, vec![Unenforced::partial("wildcard bind on several addresses", reason)])
}

/// Adds what `features` lack, once.
fn note(report: &mut Vec<Unenforced>, features: Features, low_ports: bool) {
    let mut add = |missing: bool, unenforced: Unenforced| {
        if missing && !report.contains(&unenforced) {
            report.push(unenforced);
        }
    };
    let errno = "the kernel is older than 5.18: the guest sees EPERM";
    add(!features.errno, Unenforced::partial("EADDRNOTAVAIL for a foreign address", errno));
    let ports = "the kernel is older than 5.12: in a user namespace nobody can bind ports below 1024";
    add(!features.low_ports && low_ports, Unenforced::none("ports below 1024", ports));
    let v6only = "the kernel is older than 5.9 or has no BTF: a socket with IPV6_V6ONLY cannot bind the wildcard";
    add(!features.v6only, Unenforced::partial("IPv6 wildcard", v6only));
}
