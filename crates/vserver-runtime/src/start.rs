//! `vserver NAME start`: the main path.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Duration;

use vserver_cgroup::{GuestCgroup, Layout};
use vserver_config::{Clash, GuestConfig, Severity};
use vserver_sys::landlock;
use vserver_types::{ContextFlags, GuestName, GuestState, Unenforced, Xid};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::interrupt::Interrupts;
use crate::launch::{self, LANDLOCK_SCOPES, Launched, Wishes};
use crate::plan::Plan;
use crate::record::RunRecord;
use crate::{list, prepare, teardown};

/// How long a command waits for another one that holds a guest's lock. Source: util-vserver, `behaviours.md` §13.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(300);

/// Wishes of the caller.
#[derive(Clone, Copy, Debug, Default)]
pub struct StartOptions {
    /// Refuse to start if this kernel cannot enforce everything.
    pub strict: bool,
    /// The caller is in the guest's Landlock domain already: it was the supervisor and starts the guest again.
    pub in_domain: bool,
}

/// How a start ended.
#[derive(Clone, Debug)]
pub enum Started {
    /// It runs now.
    Now {
        /// Its number.
        xid: Xid,
        /// What this kernel does not enforce.
        unenforced: Vec<Unenforced>,
        /// Warnings about its configuration.
        warnings: Vec<String>,
    },
    /// It ran before.
    AlreadyRunning {
        /// Its number.
        xid: Xid,
    },
}

/// Starts a guest, under its lock. A failure or an interrupt leaves nothing behind.
pub fn start(host: &Host, name: &GuestName, options: &StartOptions) -> Result<Started> {
    let (config, diagnostics) = vserver_config::read(&host.confdir, name)?;
    let lock = host.lock(name, LOCK_PATIENCE)?;
    if let Some(xid) = clear_the_way(host, name)? {
        return Ok(Started::AlreadyRunning { xid });
    }
    let xid = choose_xid(host, &config)?;
    let plan = Plan::from_config(&config, xid, cpus())?;
    let paused = plan.attributes.cflags.contains(ContextFlags::SCHED_PAUSE);
    let interrupts = Interrupts::collect().map_err(Error::layer("watch for signals", name))?;
    let Launched { start_command, unenforced } = raise(host, plan, options, &interrupts)?;
    if paused {
        hold_still(name)?;
    }
    drop((lock, interrupts));
    // On hold a start command does not end.
    if let Some(ended) = start_command.filter(|_| !paused) {
        await_start_command(host, name, xid, ended)?;
    }
    let warnings = diagnostics.iter().filter(|found| found.severity == Severity::Warning);
    let warnings = warnings.map(ToString::to_string).collect();
    Ok(Started::Now { xid, unenforced, warnings })
}

/// The plan of a start, without starting anything.
pub fn plan(host: &Host, name: &GuestName) -> Result<Plan> {
    let (config, _) = vserver_config::read(&host.confdir, name)?;
    let xid = choose_xid(host, &config)?;
    Plan::from_config(&config, xid, cpus())
}

fn raise(host: &Host, plan: Plan, options: &StartOptions, interrupts: &Interrupts) -> Result<Launched> {
    let name = plan.name.clone();
    let mut record = RunRecord::new(name.clone(), plan.xid, plan.nid, host.confdir.clone(), plan.run_file.clone());
    record.id_base = plan.id_base;
    record.stop_timeout = plan.stop_timeout.as_secs();
    let result = prepare::prepare(host, plan, record).and_then(|mut prepared| {
        let scope = landlock::abi() >= LANDLOCK_SCOPES;
        prepared.record.unenforced.extend((!scope).then(no_landlock));
        if interrupts.came() {
            return Err(Error::Interrupted { name: name.clone() });
        }
        let wishes = Wishes { scope: scope && !options.in_domain, strict: options.strict };
        launch::launch(host, &prepared, wishes, interrupts)
    });
    if result.is_err()
        && let Some(record) = RunRecord::load(host, &name)?
    {
        // The first failure is the one to report; what could not be undone stays in the record for the next command.
        teardown::teardown(host, &record).ok();
    }
    result
}

fn no_landlock() -> Unenforced {
    let reason = "this kernel has no Landlock scopes (Linux 6.12): guests on the host's network can reach each other's \
                  abstract unix sockets; give guests that you do not trust a network namespace";
    Unenforced::none("abstract unix sockets", reason)
}

/// `sched_pause`: the guest begins on hold. `vattribute --set --flag ~sched_pause` lets it go.
fn hold_still(name: &GuestName) -> Result<()> {
    let cgroup = GuestCgroup::open(&layout(name)?, name).ok_or_else(|| Error::NotRunning { name: name.clone() })?;
    cgroup.freeze().map_err(Error::layer("put it on hold", name))
}

/// The number of a guest that runs; otherwise whatever an accident left of it is taken away first.
fn clear_the_way(host: &Host, name: &GuestName) -> Result<Option<Xid>> {
    let Some(record) = RunRecord::load(host, name)? else {
        return Ok(None);
    };
    if record.supervisor_lives() {
        if record.confdir != host.confdir {
            let what =
                format!("a guest of this name runs already, from {}; stop that one first", record.confdir.display());
            return Err(Error::Taken { name: name.clone(), what });
        }
        return Ok(Some(record.xid));
    }
    teardown::teardown(host, &record)?;
    Ok(None)
}

/// The configured number, or the first free one of those that are handed out; and nobody else has it or its addresses.
fn choose_xid(host: &Host, config: &GuestConfig) -> Result<Xid> {
    let name = &config.name;
    let others: Vec<RunRecord> = list::running(host)?.into_iter().filter(|other| other.name != *name).collect();
    for clash in vserver_config::conflicts(&host.confdir, name)? {
        let remedy = match clash.what {
            Clash::Address(_) => "give one of them another in interfaces/",
            Clash::Context(_) => "give one of them another in the file 'context'",
        };
        let runs = others.iter().any(|other| other.name == clash.other);
        // Two configurations may share an address as long as they do not run at the same time.
        if runs || matches!(clash.what, Clash::Context(_)) {
            return Err(Error::Taken { name: name.clone(), what: format!("{clash}; {remedy}") });
        }
    }
    let taken = |xid: Xid| others.iter().find(|other| other.xid == xid);
    match config.context {
        Some(xid) => match taken(xid) {
            None => Ok(xid),
            Some(other) => Err(Error::Taken {
                name: name.clone(),
                what: format!("context {xid} is in use by guest '{}'; stop it or choose another number", other.name),
            }),
        },
        None => {
            let mut numbers = (Xid::FIRST_DYNAMIC.0..=Xid::LAST_DYNAMIC.0).map(Xid);
            numbers.find(|xid| taken(*xid).is_none() && xid.id_base().is_some()).ok_or_else(|| Error::Taken {
                name: name.clone(),
                what: "all dynamic context numbers are in use; give it one in the file 'context'".to_owned(),
            })
        }
    }
}

/// Init-less guests: the call returns when the start command has ended, and its status decides.
fn await_start_command(host: &Host, name: &GuestName, xid: Xid, ended: OwnedFd) -> Result<()> {
    let mut status = [0; 4];
    let status = match File::from(ended).read_exact(&mut status) {
        Ok(()) => i32::from_ne_bytes(status),
        Err(_) => return Ok(()),
    };
    if status == 0 {
        return Ok(());
    }
    let words = last_words(host, name);
    let_it_end(host, name)?;
    Err(Error::StartCommand { name: name.clone(), xid, status, words })
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

/// CPUs of the host that are online: the caller's own affinity or quota must not make a guest's bucket smaller.
pub(crate) fn cpus() -> u32 {
    let online = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    online.and_then(|count| u32::try_from(count).ok()).unwrap_or(1)
}

/// The hierarchies of this host; for commands that only look.
pub(crate) fn layout(name: &GuestName) -> Result<Layout> {
    Layout::detect().map_err(Error::layer("find the cgroup hierarchies", name))
}
