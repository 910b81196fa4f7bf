//! The loop: begin what may begin, wait for what ends, keep everybody's time. One thread, no busy waiting.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use vserver_config::order::Schedule;
use vserver_types::GuestName;

use crate::bulk::job::Job;
use crate::bulk::report::Report;
use crate::bulk::row::Row;
use crate::bulk::{Goal, Wish};
use crate::commands::status::is_running;
use crate::context::Context;
use crate::error::CliError;

/// How long killing a guest may take.
const KILL: Duration = Duration::from_secs(60);

/// Runs the whole schedule. SIGINT, SIGTERM and SIGHUP let nothing more begin, and are passed on to what has begun.
pub fn run(schedule: Schedule, wish: &Wish, report: &mut Report, context: &Context) -> Result<(), CliError> {
    let interrupts = interrupts().map_err(CliError::io("cannot watch for signals"))?;
    let mut run = Run { schedule, wish, context, jobs: Vec::new(), options: options(wish, context, report.as_json) };
    loop {
        while let Some(name) = run.schedule.begin() {
            run.begin(name, report)?;
        }
        if run.jobs.is_empty() {
            return Ok(());
        }
        wait(&run.jobs, &interrupts).map_err(CliError::io("cannot wait for commands"))?;
        if let Ok(Some(_)) = interrupts.read_signal() {
            run.interrupt(report)?;
        }
        run.jobs.iter_mut().for_each(Job::keep_time);
        run.reap(report)?;
    }
}

struct Run<'w> {
    schedule: Schedule,
    wish: &'w Wish,
    context: &'w Context,
    jobs: Vec<Job>,
    options: Vec<OsString>,
}

impl Run<'_> {
    fn begin(&mut self, name: GuestName, report: &mut Report) -> Result<(), CliError> {
        if self.is_there(&name) {
            self.schedule.ended(&name, true);
            return report.add(Row::already(name, self.wish.goal), self.context);
        }
        let words = &self.wish.words;
        match Job::begin(name.clone(), &self.options, words, self.wish.timeout, Instant::now()) {
            Ok(job) => self.jobs.push(job),
            Err(error) => {
                let row = Row::failed(name.clone(), format!("its command could not be run: {error}"));
                report.add(row, self.context)?;
                self.end(&name, false, report)?;
            }
        }
        Ok(())
    }

    /// Whether the guest is in the goal state. What cannot be found out is left to the command.
    fn is_there(&self, name: &GuestName) -> bool {
        let runs = || vserver_runtime::status(&self.context.host, name).map(|status| is_running(&status));
        match self.wish.goal {
            Goal::Up => runs().unwrap_or(false),
            Goal::Down => vserver_runtime::status(&self.context.host, name)
                .is_ok_and(|status| status.state == vserver_types::GuestState::Stopped),
            Goal::Any => false,
        }
    }

    fn reap(&mut self, report: &mut Report) -> Result<(), CliError> {
        let mut index = 0;
        while index < self.jobs.len() {
            let ended = self.jobs[index].reap().map_err(CliError::io("cannot learn how a command ended"))?;
            let Some(ended) = ended else {
                index += 1;
                continue;
            };
            let job = self.jobs.swap_remove(index);
            let name = job.name.clone();
            if job.timed_out && self.wish.goal == Goal::Down && !report.was_killed(&name) {
                report.kills(&name);
                let words = ["stop".into(), "--kill".into()];
                let kill = Job::begin(name, &self.options, &words, KILL, job.begun);
                self.jobs.push(kill.map_err(CliError::io("cannot run the command that kills a guest"))?);
                continue;
            }
            let row = Row::of(&job, ended, self.wish.timeout);
            let well = row.code == Some(0);
            report.add(row, self.context)?;
            self.end(&name, well, report)?;
        }
        Ok(())
    }

    fn end(&mut self, name: &GuestName, well: bool, report: &mut Report) -> Result<(), CliError> {
        for kept_back in self.schedule.ended(name, well) {
            report.add(Row::kept_back(kept_back, name.as_str()), self.context)?;
        }
        Ok(())
    }

    fn interrupt(&mut self, report: &mut Report) -> Result<(), CliError> {
        report.interrupted = true;
        for name in self.schedule.give_up() {
            report.add(Row::interrupted(name), self.context)?;
        }
        self.jobs.iter_mut().for_each(|job| job.ask(Signal::SIGTERM));
        Ok(())
    }
}

/// The options of `vserver` that each guest's command gets.
fn options(wish: &Wish, context: &Context, as_json: bool) -> Vec<OsString> {
    let mut options = wish.options.clone();
    options.extend(["--confdir".into(), context.host.confdir.clone().into()]);
    if as_json {
        options.push("--json".into());
    }
    options
}

fn interrupts() -> std::io::Result<SignalFd> {
    let mut set = SigSet::empty();
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().for_each(|signal| set.add(signal));
    set.thread_block()?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

/// Until one ends, a signal comes, or somebody's time is up.
fn wait(jobs: &[Job], interrupts: &SignalFd) -> std::io::Result<()> {
    use std::os::fd::AsFd;
    let next = jobs.iter().filter_map(Job::deadline).min();
    let left = next.map(|deadline| deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
    let timeout = left.map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
    let watched = jobs.iter().map(Job::as_fd).chain([interrupts.as_fd()]);
    let mut watched: Vec<_> = watched.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    match poll(&mut watched, timeout) {
        Ok(_) | Err(nix::Error::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
