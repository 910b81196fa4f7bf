//! What can be wrong with a configuration.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use vserver_types::{GuestName, ParseError};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The guest must not be started like this.
    Error,
    /// It is understood, but perhaps not as it was meant.
    Warning,
}

/// One finding about one place of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file or directory.
    pub path: PathBuf,
    /// The line, counted from 1, where there is one.
    pub line: Option<u32>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, one clause.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if self.severity == Severity::Warning {
            f.write_str(" warning:")?;
        }
        write!(f, " {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Why a configuration could not be read or written.
#[derive(Debug, Error)]
pub enum Error {
    /// No directory of that name.
    #[error("no guest is configured at '{}'{}", dir.display(), meant(nearest.as_deref()))]
    NoSuchGuest {
        /// Where it was looked for.
        dir: PathBuf,
        /// A guest with a similar name.
        nearest: Option<String>,
    },
    /// The configuration has faults; all of them, warnings included, in the order of reading.
    #[error("{}", lines(diagnostics))]
    Invalid {
        /// The findings, at least one of them an error.
        diagnostics: Vec<Diagnostic>,
    },
    /// A guest or an entry of that name is there already.
    #[error("a configuration exists already at '{}'", path.display())]
    Exists {
        /// What is in the way.
        path: PathBuf,
    },
    /// All numbers up to 49151 are taken.
    #[error("no context number from {start} to 49151 is free; set a lower one in '{}'", path.display())]
    NoContextLeft {
        /// Where the search began.
        start: u32,
        /// The file that holds the next number.
        path: PathBuf,
    },
    /// An argument of a new guest cannot be used.
    #[error(transparent)]
    Argument(#[from] ParseError),
    /// The kernel refused an operation on a file.
    #[error("cannot {action} '{}'", path.display())]
    Io {
        /// What was tried, a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: an I/O error with what was tried, on what.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// Findings about a draft name the places that its files would have had.
    pub(crate) fn moved(mut self, draft: &Path, dir: &Path) -> Self {
        let place = |path: &mut PathBuf| {
            if let Ok(below) = path.strip_prefix(draft) {
                *path = dir.join(below);
            }
        };
        match &mut self {
            Self::Invalid { diagnostics } => diagnostics.iter_mut().for_each(|finding| place(&mut finding.path)),
            Self::Io { path, .. } => place(path),
            _ => {}
        }
        self
    }
}

/// Something two guests cannot have at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The guest that has it too.
    pub other: GuestName,
    /// What it is.
    pub what: Clash,
}

/// What is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clash {
    /// The context number.
    Context(vserver_types::Xid),
    /// An address.
    Address(std::net::IpAddr),
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            Clash::Context(xid) => write!(f, "context {xid} belongs to guest '{}' already", self.other),
            Clash::Address(ip) => write!(f, "address {ip} belongs to guest '{}' already", self.other),
        }
    }
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default()
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n")
}
