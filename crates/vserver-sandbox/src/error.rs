//! What can go wrong while a guest's walls are raised.

use std::io;

use thiserror::Error;

/// A step of building or entering a guest's namespaces that the kernel refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A call in this process failed.
    #[error("cannot {step}")]
    Step {
        /// What was tried, on what: completes "cannot …".
        step: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A helper process or the guest's first process reported this before it could execute its program.
    #[error("{report}")]
    Child {
        /// The whole sentence.
        report: String,
    },
    /// The kernel said yes, and reading back showed something else.
    #[error("{what} is not what was set: wanted {wanted}, found {found}")]
    ReadBack {
        /// Which property.
        what: &'static str,
        /// What was set.
        wanted: String,
        /// What was found.
        found: String,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Adds to a kernel's refusal what was tried.
pub(crate) trait Step<T> {
    /// `step` completes the sentence "cannot …".
    fn step(self, step: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Step<T> for std::result::Result<T, E> {
    fn step(self, step: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::Step { step: step(), source: error.into() })
    }
}

impl Error {
    /// The whole chain in one line, for the report of a child.
    pub fn line(&self) -> String {
        match self {
            Self::Step { step, source } => format!("cannot {step}: {source}"),
            other => other.to_string(),
        }
    }
}
