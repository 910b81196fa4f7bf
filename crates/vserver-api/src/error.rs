//! Why the daemon could not be asked, or what it answered.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::Refusal;

/// A request that was not done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody listens there, or the caller may not connect.
    #[error("cannot connect to the daemon at '{}'", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The connection broke or took too long.
    #[error("cannot ask the daemon at '{}' for {request}", socket.display())]
    Exchange {
        /// The socket.
        socket: PathBuf,
        /// Method and path.
        request: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// What came back is not what this client understands.
    #[error("the answer to {request} is not understood: {reason}")]
    Answer {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The daemon says no.
    #[error("{}", refusal.error)]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words.
        refusal: Refusal,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
