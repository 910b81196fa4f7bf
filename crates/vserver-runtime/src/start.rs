//! `vserver NAME start`: the main path. Source: util-vserver, `behaviours.md` §2.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vserver_cgroup::GuestCgroup;
use vserver_config::{Diagnostic, Flavour, GuestConfig, Severity};
use vserver_disk::image::Access;
use vserver_fs::GuestRoot;
use vserver_sys::landlock;
use vserver_types::{ContextFlags, GuestName, GuestState, Unenforced, Xid};

use crate::choose::{choose_xid, cpus, layout, own_the_way};
use crate::errand::{self, Errand};
use crate::error::{Error, Result};
use crate::hold::Loading;
use crate::host::Host;
use crate::init_style::{self, First, Rescue};
use crate::inspect::{judge, judge_disk, with_all_faults};
use crate::interrupt::Interrupts;
use crate::launch::{self, LANDLOCK_SCOPES, Launched, Wishes};
use crate::plan::{self, Plan};
use crate::prepare::Prepared;
use crate::record::RunRecord;
use crate::scripts::{Scripts, run_command};
use crate::settings::StopPlan;
use crate::stage::Stage;
use crate::stop::outer_namespace;
use crate::workshop;
use crate::{disk, list, mounts, prepare, teardown};

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
    let all = |error| with_all_faults(host, name, error);
    let (config, diagnostics) = vserver_config::read(&host.confdir, name).map_err(|error| all(error.into()))?;
    if options.errand.is_none() {
        errand::make_way(host, name)?;
    }
    let (lock, running) = own_the_way(host, name)?;
    if let Some(xid) = running {
        return Ok(Started::AlreadyRunning { xid });
    }
    let interrupts = Interrupts::collect().map_err(Error::layer("watch for signals", name))?;
    let stage = needs_stage(host, &config, options)?.then(|| Stage::make(name)).transpose()?;
    let mut start = Start::new(host, name, options, &interrupts, stage.as_ref());
    let config = start.begin(config).map_err(all)?;
    let (plan, loading) = start.plan(&config).map_err(all)?;
    let (xid, details) = (plan.xid, details(&plan));
    let paused = options.errand.is_none() && plan.attributes.cflags.contains(ContextFlags::SCHED_PAUSE);
    let Launched { start_command, unenforced } = start.raise(plan, loading)?;
    if paused {
        hold_still(name)?;
    }
    drop(lock);
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
    let xid = choose_xid(host, &config)?;
    let _stage = config.image.as_ref().map(|image| look_at(host, &config, image)).transpose()?;
    Plan::from_config(&config, xid, cpus(), None)
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
        let mut scripts = Scripts::new(host, name, "start", Some(interrupts));
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

    /// Up to the point where the guest's tree can be looked at. A script may have changed the configuration.
    fn begin(&mut self, config: GuestConfig) -> Result<GuestConfig> {
        let ran = self.scripts.run(Flavour::Initialize, &self.directory())?;
        let config = if ran { vserver_config::read(&self.host.confdir, self.name)?.0 } else { config };
        mounts::check(&config, self.interrupts)?;
        judge_disk(&config)?;
        if let Some(image) = &config.image {
            disk::mount_image(image, &config, Access::Guest)?;
        }
        if let Some(root) = mounts::plan(&config).0.root {
            self.warnings.extend(mounts::mount_root(&root, &config.vdir, self.name, self.interrupts)?);
        }
        judge(&config)?;
        Ok(config)
    }

    /// The address programs begin to load as soon as the addresses are known.
    fn plan(&mut self, config: &GuestConfig) -> Result<(Plan, Loading)> {
        let xid = choose_xid(self.host, config)?;
        let made = match &self.options.errand {
            Some(Errand::Beside(toolbox)) => Some(workshop::make(self.host, config, xid, toolbox)?),
            _ => None,
        };
        let moved = made.as_ref().map(|made| made.config_for(config));
        let (own, config) = (config, moved.as_ref().unwrap_or(config));
        let loading = Loading::begin(plan::network(config, xid).as_ref());
        let mut plan = Plan::from_config(config, xid, cpus(), self.options.rescue.as_ref())?;
        if let Some(made) = made {
            (plan.workshop, plan.disk) = (Some(made.workshop), disk::plan(own).0);
        }
        if self.options.trace_sysv {
            init_style::trace_sysv(&mut plan.init);
        }
        self.tell_scripts(&plan);
        self.scripts.run(Flavour::PrepreStart, &self.directory())?;
        self.hear_scripts(&mut plan);
        Ok((plan, loading))
    }

    fn tell_scripts(&mut self, plan: &Plan) {
        self.scripts.define("INITSTYLE", &plan.init.style);
        self.scripts.define("N_CONTEXT", plan.nid);
        self.scripts.define_array("OPTS_ENV", plan.environment.clone());
        let (First::Init(first) | First::Reaper(first)) = &plan.init.first;
        self.scripts.define_array("INITCMD_START", first.clone());
        if let StopPlan::Command(stop) = &plan.init.stop {
            self.scripts.define_array("INITCMD_STOP", stop.clone());
        }
    }

    fn hear_scripts(&mut self, plan: &mut Plan) {
        plan.environment = self.scripts.array("OPTS_ENV").to_vec();
        let start = self.scripts.array("INITCMD_START");
        let (First::Init(first) | First::Reaper(first)) = &mut plan.init.first;
        if !start.is_empty() {
            *first = start.to_vec();
        }
        if let StopPlan::Command(stop) = &mut plan.init.stop {
            *stop = self.scripts.array("INITCMD_STOP").to_vec();
        }
        self.warnings.extend(self.scripts.without_effect());
    }

    fn raise(&mut self, plan: Plan, loading: Loading) -> Result<Launched> {
        let mut record =
            RunRecord::new(self.name.clone(), plan.xid, plan.nid, self.host.confdir.clone(), plan.run_file.clone());
        record.id_base = plan.id_base;
        record.stop_timeout = plan.stop_timeout.as_secs();
        record.rescue = self.options.rescue.is_some();
        record.errand = self.options.errand.is_some();
        let prepared = prepare::prepare(self.host, plan, record, loading, self.interrupts);
        let result = prepared.and_then(|prepared| self.launch(prepared));
        if result.is_err()
            && let Some(record) = RunRecord::load(self.host, self.name)?
        {
            // The first failure is the one to report; what could not be undone stays in the record for the next command.
            teardown::teardown(self.host, &record).ok();
        }
        result
    }

    fn launch(&mut self, mut prepared: Prepared) -> Result<Launched> {
        self.warnings.append(&mut prepared.warnings);
        self.scripts.run(Flavour::PreStart, &prepared.plan.tree)?;
        self.hear_scripts(&mut prepared.plan);
        // A script may have mounted something, even on the tree itself.
        prepared.carried = mounts::below(&prepared.plan.tree, self.name)?;
        let tree = GuestRoot::open(&prepared.plan.tree).map_err(Error::layer("open the tree", self.name))?;
        prepared.tree = tree.as_fd().try_clone_to_owned().map_err(Error::io("keep open", &prepared.plan.tree))?;
        let scope = landlock::abi() >= LANDLOCK_SCOPES;
        prepared.record.unenforced.extend((!scope).then(no_landlock));
        if self.interrupts.came() {
            return Err(self.interrupted());
        }
        let wishes = Wishes { scope, strict: self.options.strict };
        launch::launch(self.host, prepared, wishes, self.stage, self.interrupts)
    }

    /// Init-less guests: the call returns when the start command has ended, and its status decides.
    fn await_start_command(&self, xid: Xid, ended: OwnedFd) -> Result<()> {
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
        let mut status = [0; 4];
        let status = File::from(ended).read_exact(&mut status).map_or(0, |()| i32::from_ne_bytes(status));
        if status == 0 {
            return Ok(());
        }
        let words = last_words(self.host, self.name);
        let_it_end(self.host, self.name)?;
        Err(Error::StartCommand { name: self.name.clone(), xid, status, words })
    }

    /// What is done with the guest running.
    fn finish(&mut self, config: &GuestConfig, xid: Xid) -> Result<()> {
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

    fn interrupted(&self) -> Error {
        Error::Interrupted { name: self.name.clone() }
    }
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
