//! What became of one guest.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use vserver_types::GuestName;

use crate::bulk::Goal;
use crate::bulk::job::{Ended, Job};

/// How it went for one guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The command ended with 0.
    Done,
    /// There was nothing to do.
    Already,
    /// It did not end in time: what it did is undone, or (stop) the guest was killed.
    TimedOut,
    /// The command ended with another status.
    Failed,
    /// It was not tried: a guest that it needs could not be started.
    KeptBack,
    /// It was not tried: a signal came before.
    Interrupted,
}

/// One guest.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which.
    pub name: GuestName,
    /// How it went.
    pub outcome: Outcome,
    /// Status of its command; 0 if there was nothing to do, `None` if none was run.
    pub code: Option<u8>,
    /// How long it took.
    pub took: Duration,
    pub(super) output: String,
    pub(super) errors: String,
}

impl Row {
    /// Nothing has been done.
    pub fn empty(name: GuestName) -> Self {
        let (output, errors) = (String::new(), String::new());
        Self { name, outcome: Outcome::Failed, code: None, took: Duration::ZERO, output, errors }
    }

    /// It is as it should be.
    pub fn already(name: GuestName, goal: Goal) -> Self {
        let errors = if goal == Goal::Up { "already running" } else { "not running" }.to_owned();
        Self { outcome: Outcome::Already, code: Some(0), errors, ..Self::empty(name) }
    }

    /// It is not started because of another one.
    pub fn kept_back(name: GuestName, need: &str) -> Self {
        let errors = format!("not started: it depends on '{need}', which could not be started");
        Self { outcome: Outcome::KeptBack, errors, ..Self::empty(name) }
    }

    /// A signal came before its turn.
    pub fn interrupted(name: GuestName) -> Self {
        Self { outcome: Outcome::Interrupted, ..Self::empty(name) }
    }

    /// Its command could not even be run.
    pub fn failed(name: GuestName, errors: String) -> Self {
        Self { errors, ..Self::empty(name) }
    }

    /// From its ended command.
    pub fn of(job: &Job, ended: Ended, timeout: Duration) -> Self {
        let mut errors = ended.errors;
        if job.timed_out {
            errors.push_str(&format!("it took longer than {} s\n", timeout.as_secs()));
        }
        let outcome = match (job.timed_out, ended.code) {
            (true, _) => Outcome::TimedOut,
            (false, 0) => Outcome::Done,
            (false, _) => Outcome::Failed,
        };
        // It was interrupted by us: 130 would say that the caller was.
        let code = if job.timed_out { 1 } else { ended.code };
        Self {
            name: job.name.clone(),
            outcome,
            code: Some(code),
            took: job.begun.elapsed(),
            output: ended.output,
            errors,
        }
    }

    pub(super) fn well(&self) -> bool {
        self.code == Some(0)
    }

    /// What its command wrote to standard error, each line with the guest's name before it, once.
    pub(super) fn remarks(&self) -> String {
        let lines = self.errors.lines().filter(|line| !line.is_empty()).map(|line| {
            let line = line.strip_prefix("vserver: ").unwrap_or(line);
            let line = line.strip_prefix(self.name.as_str()).and_then(|line| line.strip_prefix(": ")).unwrap_or(line);
            format!("{}: {line}", self.name)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The line that `start` and `stop` get.
    pub(super) fn verdict(&self, past: &str) -> String {
        let (name, seconds) = (&self.name, self.took.as_secs_f32());
        match (&self.outcome, self.code) {
            (Outcome::Done, _) => format!("{name}: {past} ({seconds:.1} s)"),
            (Outcome::TimedOut, _) => format!("{name}: not {past} in time ({seconds:.1} s)"),
            (Outcome::Failed, Some(code)) => format!("{name}: not {past}, status {code} ({seconds:.1} s)"),
            (Outcome::Interrupted, _) => format!("{name}: not {past}, interrupted"),
            (Outcome::Failed | Outcome::Already | Outcome::KeptBack, _) => String::new(),
        }
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let output = serde_json::from_str(&self.output).unwrap_or_else(|_| json!(self.output));
        let (seconds, errors) = ((self.took.as_secs_f64() * 1e3).round() / 1e3, self.errors.trim_end());
        json!({
            "name": self.name, "outcome": self.outcome, "status": self.code, "seconds": seconds,
            "output": output, "errors": errors,
        })
    }
}
