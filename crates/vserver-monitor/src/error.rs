//! What can fail when looking.

use thiserror::Error;

/// A look into `/proc` that did not succeed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// `/proc` itself cannot be listed.
    #[error("cannot list the processes in /proc")]
    List {
        /// Why.
        #[source]
        source: procfs::ProcError,
    },
    /// One file of a process cannot be read, and the process has not ended.
    #[error("cannot read /proc/{pid}/{file}")]
    Read {
        /// Whose.
        pid: i32,
        /// Which file.
        file: &'static str,
        /// Why.
        #[source]
        source: procfs::ProcError,
    },
    /// The clock that process start times are measured by cannot be read.
    #[error("cannot read CLOCK_BOOTTIME")]
    Clock {
        /// Why.
        #[source]
        source: nix::errno::Errno,
    },
}
