//! Why a guest could not be started, stopped or entered.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use vserver_config::Diagnostic;
use vserver_types::{GuestName, Unenforced, Xid};

/// A refusal or a failure, with what was tried on what; the source says why.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration is missing or has faults.
    #[error(transparent)]
    Config(#[from] vserver_config::Error),
    /// What the guest asks for belongs to another one.
    #[error("guest '{name}' cannot be started: {what}")]
    Taken {
        /// The guest.
        name: GuestName,
        /// What is taken, by whom, and what to do.
        what: String,
    },
    /// The same, and its configuration has faults, too.
    #[error("guest '{name}' cannot be started: {what}{}", more(faults))]
    TakenAndMore {
        /// The guest.
        name: GuestName,
        /// What is taken, by whom, and what to do.
        what: String,
        /// Every fault of its configuration.
        faults: Vec<Diagnostic>,
    },
    /// A switch could not be made, removed or found.
    #[error("switch '{name}' {what}")]
    Switch {
        /// Its name.
        name: String,
        /// What it is or cannot be, and why.
        what: String,
    },
    /// Its tree has no program to begin with.
    #[error("guest '{name}' has no init: none of {looked} is an executable file in its tree")]
    NoInit {
        /// The guest.
        name: GuestName,
        /// Where it was looked for.
        looked: String,
    },
    /// Nobody may enter.
    #[error(
        "guest '{name}' has the flag 'private': nobody enters it; take the flag off with `vattribute --xid {name} --set \
         --flag ~private`"
    )]
    Private {
        /// The guest.
        name: GuestName,
    },
    /// The guest does not run.
    #[error("guest '{name}' is not running")]
    NotRunning {
        /// The guest.
        name: GuestName,
    },
    /// This kernel cannot enforce what was asked for, and `--strict` was given.
    #[error("guest '{name}' is not started because of --strict: {}", list(unenforced))]
    Strict {
        /// The guest.
        name: GuestName,
        /// What cannot be enforced.
        unenforced: Vec<Unenforced>,
    },
    /// The start script of an init-less guest failed; the guest may run nevertheless.
    #[error("the start command of guest '{name}' ended with status {status}; what it started goes on{}", last(words))]
    StartCommand {
        /// The guest.
        name: GuestName,
        /// Its number.
        xid: Xid,
        /// Exit status of the command.
        status: i32,
        /// The end of the console log.
        words: String,
    },
    /// The start script of an init-less guest succeeded and left no process: the guest has ended.
    #[error(
        "guest '{name}' ended as soon as it was started: its start command left no process running (let it start a \
         service, or write 'persistent' to cflags){}",
        last(words)
    )]
    NothingLeft {
        /// The guest.
        name: GuestName,
        /// The end of the console log.
        words: String,
    },
    /// It did not end in time.
    #[error("guest '{name}' still has processes after {seconds} s; see its console log, then try again with --kill")]
    Stuck {
        /// The guest.
        name: GuestName,
        /// How long was waited.
        seconds: u64,
    },
    /// A start was interrupted by a signal and has been undone.
    #[error("the start of guest '{name}' was interrupted and has been undone")]
    Interrupted {
        /// The guest.
        name: GuestName,
    },
    /// A script of the administrator's failed or may not be run.
    #[error("the {flavour} script '{}' of guest '{name}' {what}", path.display())]
    Script {
        /// The guest.
        name: GuestName,
        /// When.
        flavour: vserver_config::Flavour,
        /// The script.
        path: PathBuf,
        /// What happened, completes "the script …".
        what: String,
    },
    /// The builder of a guest reported this.
    #[error("guest '{name}' cannot be started: {report}")]
    Start {
        /// The guest.
        name: GuestName,
        /// The whole sentence.
        report: String,
    },
    /// The command could not be executed in the guest.
    #[error("{report}")]
    Exec {
        /// The whole sentence.
        report: String,
    },
    /// A lower layer refused.
    #[error("cannot {action} for guest '{name}'")]
    Layer {
        /// What was tried, completes "cannot …".
        action: String,
        /// The guest.
        name: GuestName,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// About a context without a guest.
    #[error("cannot {action}")]
    Context {
        /// What was tried, completes "cannot …".
        action: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The kernel refused an operation on a file or socket of ours.
    #[error("cannot {action} '{}'", path.display())]
    Io {
        /// What was tried, a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A guest's own disk cannot be what was asked for.
    #[error("the disk of guest '{name}' does not grow: {what}")]
    Disk {
        /// The guest.
        name: GuestName,
        /// Why, and what to do.
        what: String,
    },
    /// Undoing was not complete.
    #[error("guest '{name}' left something behind: {left}")]
    LeftBehind {
        /// The guest.
        name: GuestName,
        /// Every failure of the clean-up, first one first.
        left: String,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err`: a lower layer's refusal with what was tried.
    pub(crate) fn layer<E>(action: impl Into<String>, name: &GuestName) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (action, name) = (action.into(), name.clone());
        move |source| Self::Layer { action, name, source: source.into() }
    }

    /// For `map_err`: an I/O error with what was tried, on what.
    pub(crate) fn io<E: Into<io::Error>>(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source: source.into() }
    }

    /// The whole chain of reasons in one sentence.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let reason = error.to_string();
            if !text.ends_with(&reason) {
                text = format!("{text}: {reason}");
            }
            source = error.source();
        }
        text
    }
}

/// One line each.
fn more(faults: &[Diagnostic]) -> String {
    faults.iter().map(|fault| format!("\n{fault}")).collect()
}

fn last(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(". Its last words: {words}") }
}

fn list(unenforced: &[Unenforced]) -> String {
    unenforced.iter().map(Unenforced::to_string).collect::<Vec<_>>().join("; ")
}
