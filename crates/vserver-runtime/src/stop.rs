//! `vserver NAME stop`, and what follows when a guest ends by itself.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vserver_cgroup::{GuestCgroup, Layout};
use vserver_config::Flavour;
use vserver_fs::Flock;
use vserver_sys::{fd, pidfd};
use vserver_types::{ContextFlags, GuestName};

use crate::choose::layout;
use crate::compat_state::{self, Method};
use crate::control::{self, Reply, Request};
use crate::error::{Error, Result};
use crate::helper;
use crate::host::Host;
use crate::init_style::Rescue;
use crate::old_locks;
use crate::plan;
use crate::record::RunRecord;
use crate::scripts::{Scripts, given_in};
use crate::settings::{Ending, StopOrders, StopPlan, fds};
use crate::stage::Stage;
use crate::start::{LOCK_PATIENCE, StartOptions, start};
use crate::teardown::teardown_with;

/// What a supervisor needs beyond the guest's own time: the kill sequence, a slow unmount, the clean-up.
const MARGIN: Duration = Duration::from_secs(30);

/// Wishes of the caller.
#[derive(Clone, Copy, Debug, Default)]
pub struct StopOptions {
    /// Do not give it time.
    pub kill: bool,
    /// Output of post-stop and postpost-stop scripts goes to `apps/init/tty`.
    pub default_tty: bool,
}

/// How a stop ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It does not run any more.
    Now {
        /// What the caller should hear, a sentence each.
        report: Vec<String>,
    },
    /// It did not run before.
    WasNotRunning,
}

/// Stops a guest: the supervisor ends it, scripts and clean-up are done here, with the caller's terminal. If this is
/// interrupted, the guest's keeper does the rest.
pub fn stop(host: &Host, name: &GuestName, options: &StopOptions) -> Result<Stopped> {
    if !host.confdir.join(name.as_str()).is_dir() {
        vserver_config::read(&host.confdir, name)?;
    }
    let lock = host.lock(name, LOCK_PATIENCE)?;
    let record = RunRecord::load(host, name)?.filter(|record| record.confdir == host.confdir);
    let Some(record) = record else {
        return Ok(Stopped::WasNotRunning);
    };
    if !record.supervisor_lives() {
        return clear(host, &record);
    }
    let keeper = pidfd::open(record.supervisor).map_err(Error::layer("watch its keeper", name))?;
    let outer = outer_namespace(record.supervisor);
    // Between the look and the open the number may have got a new owner: look again.
    if !record.supervisor_lives() {
        return clear(host, &record);
    }
    let layout = layout(&record)?;
    let old_lock = old_locks::startup(host, name, None);
    let mut report = end(host, &record, &layout, outer, options)?;
    report.extend(old_lock.warning.clone());
    drop((old_lock, lock));
    // It finds that all is done, and with the last one its cgroup can go.
    ready(&keeper, Instant::now() + MARGIN);
    layout.tidy();
    report.retain(|line| !line.is_empty());
    Ok(Stopped::Now { report })
}

/// Everything between the lock and its release. Source: util-vserver, `behaviours.md` §4.
fn end(
    host: &Host,
    record: &RunRecord,
    layout: &Layout,
    outer: Option<OwnedFd>,
    options: &StopOptions,
) -> Result<Vec<String>> {
    let name = &record.name;
    let cwd = given_in();
    let stage = outer.as_ref().map(|outer| Stage::join(name, outer.as_fd())).transpose()?;
    let mut stopping = match options.kill && !vserver_config::has_scripts(&host.confdir, name).unwrap_or(true) {
        true => Stopping::unasked(host, record, &cwd),
        false => Stopping::new(host, record, options.default_tty, &cwd),
    };
    if record.init_lives() {
        stopping.pre_stop();
    }
    compat_state::write_method(host, record, Method::Async)?;
    // A guest that is killed is not asked in any way.
    let orders = if options.kill { None } else { stopping.orders() };
    let timeout = orders.as_ref().map_or(record.stop_timeout, |orders| orders.stop_timeout.as_secs());
    wake(layout, name);
    let asked = Instant::now();
    let socket = ask(host, name, options, orders);
    // No configuration says more than 32 bits; a damaged state file might.
    let patience = Duration::from_secs(timeout.min(u32::MAX.into())) + MARGIN;
    let killed = socket.map(|socket| wait_for_end(&socket, patience)).unwrap_or(false);
    wait_for_init(record, patience)?;
    let seconds = asked.elapsed().as_secs();
    let done = stopping.tear_down(Ok(layout.clone()), record);
    drop(stage);
    done?;
    let mut report = stopping.report;
    if killed && !options.kill {
        report.push(format!("it did not end by itself and was killed after {seconds} s"));
    }
    Ok(report)
}

/// What a keeper turns into when its guest's supervisor has ended: scripts and clean-up, and another start if that was
/// asked for; of a persistent guest the context goes on with nobody in it. Runs under the guest's lock, like every other change of its state. Gives sentences for the helper's log.
pub fn after_exit(host: &Host, name: &GuestName, ending: Ending) -> Result<Vec<String>> {
    let own = std::process::id() as i32;
    let outer = outer_namespace(own);
    // Its mount and network namespace are not for those that it starts.
    fd::cloexec_from(fds::OUTER).map_err(Error::layer("keep its namespaces", name))?;
    let errand = RunRecord::load(host, name)?.is_some_and(|record| record.errand);
    let disabled = errand || vserver_config::helper_is_disabled(&host.confdir, name);
    let handled = ending != Ending::Stopped && !disabled;
    let mut report = Vec::new();
    let again = handled && helper::handle(host, name, ending, &mut report) && ending == Ending::Reboot;
    let lock = host.lock(name, LOCK_PATIENCE)?;
    let record = match RunRecord::load(host, name)? {
        Some(record) if record.supervisor == own => record,
        // Somebody else has cleaned up, and perhaps started the guest again.
        _ => return Ok(report),
    };
    let stays =
        ending != Ending::Stopped && !errand && !again && record.attributes.cflags.contains(ContextFlags::PERSISTENT);
    let cwd = given_in();
    let stage = outer.as_ref().map(|outer| Stage::join(name, outer.as_fd())).transpose()?;
    let mut stopping = Stopping::new(host, &record, true, &cwd);
    if ending != Ending::Stopped {
        stopping.pre_stop();
    }
    let done = stopping.tear_down(layout(&record), &record);
    report.append(&mut stopping.report);
    drop((stopping, stage, outer, lock));
    let rescue = stays.then_some(Rescue::Nobody);
    let options = StartOptions { default_tty: true, rescue, ..StartOptions::default() };
    let ended = done.and_then(|()| if again || stays { start(host, name, &options).map(drop) } else { Ok(()) });
    layout(&record)?.leave_supervisors();
    ended.map(|()| report)
}

/// For a keeper whose guest was stopped from outside: waits until the command that did it has let go of the guest, and
/// tells whether it has put everything away. If it was interrupted, [`after_exit`] is to be called.
pub fn is_put_away(confdir: PathBuf, name: &str) -> bool {
    let (host, own) = (Host::new(Some(confdir)), std::process::id() as i32);
    let Ok(name) = name.parse::<GuestName>() else {
        return false;
    };
    let Ok(_lock) = Flock::wait(&host.lock_file(&name)) else {
        return false;
    };
    RunRecord::load(&host, &name).is_ok_and(|record| record.is_none_or(|record| record.supervisor != own))
}

/// The outer mount namespace of a guest, which its keeper holds open.
pub(crate) fn outer_namespace(keeper: i32) -> Option<OwnedFd> {
    let path = format!("/proc/{keeper}/fd/{}", fds::OUTER);
    let target = std::fs::read_link(&path).ok()?;
    target.to_string_lossy().starts_with("mnt:[").then(|| File::open(&path).ok().map(OwnedFd::from))?
}

/// The host's side of a stop.
struct Stopping<'a> {
    host: &'a Host,
    orders: Option<StopOrders>,
    vdir: PathBuf,
    scripts: Scripts<'a>,
    report: Vec<String>,
}

impl<'a> Stopping<'a> {
    /// Of a guest that is killed, and has no script that would want to know of it.
    fn unasked(host: &'a Host, record: &'a RunRecord, cwd: &Path) -> Self {
        let scripts = Scripts::new(host, &record.name, "stop", None, cwd);
        let vdir = host.confdir.join(record.name.as_str()).join("vdir");
        Self { host, orders: None, vdir, scripts, report: Vec::new() }
    }

    /// The configuration counts as it is now; one that cannot be read does not keep a guest from being stopped.
    fn new(host: &'a Host, record: &'a RunRecord, default_tty: bool, cwd: &Path) -> Self {
        let name = &record.name;
        let config = vserver_config::read(&host.confdir, name).ok().map(|(config, _)| config);
        let mut scripts = Scripts::new(host, name, "stop", None, cwd);
        scripts.define("S_CONTEXT", record.xid);
        scripts.define("N_CONTEXT", record.nid);
        scripts.mute(record.errand);
        if default_tty {
            scripts.set_tty(vserver_config::default_tty(&host.confdir, name));
        }
        let vdir = config.as_ref().map_or_else(|| host.confdir.join(name.as_str()).join("vdir"), |c| c.vdir.clone());
        // A guest that was started to be rescued has nothing of its configured init.
        let ending = config.filter(|_| !record.rescue).and_then(|config| plan::ending(&config).ok());
        let orders = ending.map(|(init, orders)| {
            scripts.define("INITSTYLE", &init.style);
            for (name, value) in &init.stop_levels {
                scripts.export(name, value);
            }
            if let StopPlan::Command(stop) = init.stop {
                scripts.define_array("INITCMD_STOP", stop);
            }
            orders
        });
        Self { host, orders, vdir, scripts, report: Vec::new() }
    }

    fn pre_stop(&mut self) {
        let failures = self.scripts.run_all(Flavour::PreStop, &self.vdir);
        self.report.extend(failures);
    }

    /// How the guest is to be ended, as configuration and scripts say now.
    fn orders(&self) -> Option<StopOrders> {
        let mut orders = self.orders.clone()?;
        let command = self.scripts.array("INITCMD_STOP");
        if let StopPlan::Command(stop) = &mut orders.stop
            && !command.is_empty()
        {
            *stop = command.to_vec();
        }
        Some(orders)
    }

    fn tear_down(&mut self, layout: Result<Layout>, record: &RunRecord) -> Result<()> {
        let Self { host, vdir, scripts, report, .. } = self;
        teardown_with(host, layout, record, |flavour| report.extend(scripts.run_all(flavour, vdir)))
    }
}

/// Takes away what is left of a guest whose keeper is gone.
fn clear(host: &Host, record: &RunRecord) -> Result<Stopped> {
    let processes = crate::list::status(host, &record.name)?.processes;
    let mut stopping = Stopping::new(host, record, false, &given_in());
    stopping.tear_down(layout(record), record)?;
    if processes == 0 {
        return Ok(Stopped::WasNotRunning);
    }
    let mut report = vec![format!("its supervisor was gone; its {processes} processes were killed")];
    report.append(&mut stopping.report);
    Ok(Stopped::Now { report })
}

/// A guest on hold (`sched_pause`) could not end itself. If this fails it is killed at the deadline.
fn wake(layout: &Layout, name: &GuestName) {
    if let Some(cgroup) = GuestCgroup::open(layout, name) {
        cgroup.thaw().ok();
    }
}

/// No answer is an answer too: the guest is ending by itself at this moment, and waiting is all there is to do.
fn ask(host: &Host, name: &GuestName, options: &StopOptions, orders: Option<StopOrders>) -> Option<OwnedFd> {
    let socket = control::dial(&host.control(name)).ok()?;
    let request = Request::Stop { kill: options.kill, orders: orders.map(Box::new) };
    let sent = control::send_request(socket.as_fd(), &request, &[]);
    sent.ok().map(|()| socket)
}

fn wait_for_end(socket: &OwnedFd, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    while ready(socket, end) {
        match control::receive_reply(socket.as_fd()) {
            Ok(Some((Reply::Ended { killed }, _))) => return killed,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return false,
        }
    }
    false
}

/// The supervisor has answered, or is gone: either way the first process is ending.
fn wait_for_init(record: &RunRecord, patience: Duration) -> Result<()> {
    let init = pidfd::open(record.init).ok().filter(|_| record.init_lives());
    match init.is_none_or(|init| ready(&init, Instant::now() + patience)) {
        true => Ok(()),
        false => Err(Error::Stuck { name: record.name.clone(), seconds: patience.as_secs() }),
    }
}

/// Whether `fd` becomes readable before `end`.
pub(crate) fn ready(fd: &OwnedFd, end: Instant) -> bool {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) if left.is_zero() => return false,
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}
