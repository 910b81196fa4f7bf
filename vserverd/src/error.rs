//! Why the daemon cannot serve.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A reason to end.
#[derive(Debug, Error)]
pub enum Error {
    /// Only root can start guests.
    #[error("must be run as root: it starts guests")]
    NotRoot,
    /// Somebody listens at that place.
    #[error("another vserverd answers at '{}' ({holder}); stop that one or choose another place with --socket", path.display())]
    Taken {
        /// The socket.
        path: PathBuf,
        /// What is known of it.
        holder: String,
    },
    /// The place is not safe, or is something else.
    #[error("cannot listen at '{}': {reason}", path.display())]
    Place {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// systemd handed over something that is not one listening unix socket.
    #[error("the socket handed over by systemd (LISTEN_FDS) cannot be used: {reason}")]
    Activation {
        /// What is wrong with it.
        reason: String,
    },
    /// The process that starts and stops guests has ended.
    #[error("the launcher process ended; guests run on, start vserverd again")]
    Launcher,
    /// What the guests' configuration root is cannot be told.
    #[error(transparent)]
    Confdir(#[from] vserver_runtime::Error),
    /// The kernel refused something.
    #[error("cannot {action}")]
    Io {
        /// What was tried, completes "cannot …".
        action: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Result of the daemon.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err`: an I/O error with what was tried.
    pub fn io<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        let action = action.into();
        move |source| Self::Io { action, source: source.into() }
    }

    /// The whole chain of reasons in one sentence.
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error and its reasons in one sentence.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        let words = reason.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        source = reason.source();
    }
    text
}
