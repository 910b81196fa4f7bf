//! `vserver NAME start`: the main path. Source: util-vserver, `behaviours.md` §2.

mod begin;
mod finish;
mod raise;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vserver_config::{Diagnostic, GuestConfig, Severity};
use vserver_disk::image::Access;
use vserver_sandbox::nested::Around;
use vserver_sandbox::seccomp;
use vserver_types::{ContextFlags, GuestName, Unenforced, Xid};

use crate::choose::{choose_xid, cpus, own_the_way};
use crate::early::Early;
use crate::errand::{self, Errand};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::init_style::Rescue;
use crate::inspect::with_all_faults;
use crate::interrupt::Interrupts;
use crate::launch::Launched;
use crate::plan::{Plan, judge};
use crate::record::RunRecord;
use crate::scripts::{Scripts, given_in};
use crate::stage::Stage;
use crate::stop::outer_namespace;
use crate::{disk, mounts, old_locks};

/// How long a command waits for another one that holds a guest's lock. Source: util-vserver, `behaviours.md` §13.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(300);

/// Wishes of the caller.
#[derive(Clone, Debug, Default)]
pub struct StartOptions {
    /// Refuse to start if this kernel cannot enforce everything.
    pub strict: bool,
    /// Something else than the configured init.
    pub rescue: Option<Rescue>,
    /// Output of post-start scripts goes to `apps/init/tty`.
    pub default_tty: bool,
    /// Run `cmd.start-sync`.
    pub sync: bool,
    /// Sourced scripts are traced on standard error.
    pub trace: bool,
    /// The commands of style sysv run under `bash -x`.
    pub trace_sysv: bool,
    /// Not the guest itself, but a context for a tool that works on its tree. No script runs.
    pub errand: Option<Errand>,
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
        /// What is told only if more is wanted.
        details: Vec<String>,
        /// The configuration wants more (`noisy`).
        noisy: bool,
    },
    /// It ran before.
    AlreadyRunning {
        /// Its number.
        xid: Xid,
    },
}

/// Starts a guest, under its lock. A failure or an interrupt leaves nothing behind; but a guest whose start command or
/// post-start script fails runs on.
pub fn start(host: &Host, name: &GuestName, options: &StartOptions) -> Result<Started> {
    let mut early = Early::begin(host, name)?;
    // A tool needs no init, which inspection would miss.
    let all = |error| if options.errand.is_some() { error } else { with_all_faults(host, name, error) };
    let (config, diagnostics) = vserver_config::read(&host.confdir, name).map_err(|error| all(error.into()))?;
    judge(&config, Around::here())?;
    if options.errand.is_none() {
        errand::make_way(host, name)?;
    }
    let (lock, running) = own_the_way(host, name)?;
    if let Some(xid) = running {
        return Ok(Started::AlreadyRunning { xid });
    }
    let interrupts = Interrupts::collect().map_err(Error::layer("watch for signals", name))?;
    // What runs beside a guest is no start of it.
    let old_lock = options.errand.is_none().then(|| old_locks::startup(host, name, Some(&interrupts)));
    if interrupts.came() {
        return Err(Error::Interrupted { name: name.clone() });
    }
    let stage = needs_stage(host, &config, options)?.then(|| Stage::make(name)).transpose()?;
    let mut start = Start::new(host, name, options, &interrupts, stage.as_ref());
    start.warnings.extend(old_lock.as_ref().and_then(|held| held.warning.clone()));
    let config = start.begin(config).map_err(all)?;
    let (plan, loading) = start.plan(&config, &mut early).map_err(all)?;
    let (xid, details) = (plan.xid, details(&plan));
    let paused = options.errand.is_none() && plan.attributes.cflags.contains(ContextFlags::SCHED_PAUSE);
    let Launched { start_command, unenforced } = start.raise(plan, early, loading)?;
    if paused {
        raise::await_hold(host, name)?;
    }
    drop((old_lock, lock));
    // On hold a start command does not end.
    if let Some(ended) = start_command.filter(|_| !paused) {
        start.await_start_command(xid, ended)?;
    }
    start.finish(&config, xid)?;
    let mut warnings = sentences(&diagnostics);
    warnings.append(&mut start.warnings);
    Ok(Started::Now { xid, unenforced, warnings, details, noisy: config.noisy })
}

/// Source: util-vserver, `behaviours.md` §13.
fn details(plan: &Plan) -> Vec<String> {
    let mut lines: Vec<_> =
        plan.addresses.iter().map(|wish| format!("Adding {} to {}", wish.address, wish.device)).collect();
    lines.extend(plan.network.is_some().then(|| format!("New network context is {}", plan.nid)));
    lines.push(format!("New security context is {}", plan.xid));
    lines
}

/// The plan of a start, without starting anything.
pub fn plan(host: &Host, name: &GuestName) -> Result<Plan> {
    let (config, _) = vserver_config::read(&host.confdir, name)?;
    judge(&config, Around::here())?;
    let xid = choose_xid(host, &config)?;
    let _stage = config.image.as_ref().map(|image| look_at(host, &config, image)).transpose()?;
    let mut plan = Plan::from_config(&config, xid, cpus(), None)?;
    plan.filter(seccomp::filters(plan.calls))?;
    Ok(plan)
}

/// Where the tree on a guest's own disk can be looked at: where it is mounted, or else for us alone.
fn look_at(host: &Host, config: &GuestConfig, image: &Path) -> Result<Stage> {
    let running = RunRecord::load(host, &config.name)?.filter(RunRecord::supervisor_lives);
    if let Some(outer) = running.and_then(|record| outer_namespace(record.supervisor)) {
        return Stage::join(&config.name, outer.as_fd());
    }
    let stage = Stage::make(&config.name)?;
    disk::mount_image(image, config, Access::Look)?;
    Ok(stage)
}

/// Mounts and scripts are kept from the host; a guest that has neither needs no outer namespace.
fn needs_stage(host: &Host, config: &GuestConfig, options: &StartOptions) -> Result<bool> {
    if matches!(options.errand, Some(Errand::Beside(_))) {
        return Ok(true);
    }
    let (mounts, _) = mounts::plan(config);
    let mounts = config.image.is_some() || mounts.root.is_some() || !mounts.others.is_empty();
    Ok(mounts || config.init.cmd_prepare.is_some() || vserver_config::has_scripts(&host.confdir, &config.name)?)
}

fn sentences(diagnostics: &[Diagnostic]) -> Vec<String> {
    let warnings = diagnostics.iter().filter(|found| found.severity == Severity::Warning);
    warnings.map(ToString::to_string).collect()
}

/// One start under way.
struct Start<'a> {
    host: &'a Host,
    name: &'a GuestName,
    options: &'a StartOptions,
    interrupts: &'a Interrupts,
    stage: Option<&'a Stage>,
    scripts: Scripts<'a>,
    warnings: Vec<String>,
}

impl<'a> Start<'a> {
    fn new(
        host: &'a Host,
        name: &'a GuestName,
        options: &'a StartOptions,
        interrupts: &'a Interrupts,
        stage: Option<&'a Stage>,
    ) -> Self {
        let mut scripts = Scripts::new(host, name, "start", Some(interrupts), &given_in());
        scripts.trace(options.trace);
        scripts.mute(options.errand.is_some());
        if options.default_tty {
            scripts.set_tty(vserver_config::default_tty(&host.confdir, name));
        }
        Self { host, name, options, interrupts, stage, scripts, warnings: Vec::new() }
    }

    fn directory(&self) -> PathBuf {
        self.host.confdir.join(self.name.as_str())
    }
}
