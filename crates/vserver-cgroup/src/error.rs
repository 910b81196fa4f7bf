//! The one error of this crate.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why something could not be done with a guest's cgroups.
#[derive(Debug, Error)]
pub enum Error {
    /// No cgroup file system is mounted where this process can see it.
    #[error("no cgroup hierarchy is mounted; mount cgroup2 at /sys/fs/cgroup")]
    NoHierarchy,
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file did not take a value.
    #[error("cannot write '{value}' to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The value.
        value: String,
        /// Why.
        source: io::Error,
    },
    /// A directory could not be made.
    #[error("cannot create the cgroup {}", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory could not be opened.
    #[error("cannot open the cgroup {}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory could not be removed.
    #[error("cannot remove the cgroup {}", path.display())]
    Remove {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A cgroup of this guest exists and processes live in it.
    #[error("the cgroup of guest {name} holds processes already: {pids:?}")]
    Occupied {
        /// The guest.
        name: String,
        /// Their host pids.
        pids: Vec<i32>,
    },
    /// A directory that should hold guests, or be one's, is somebody else's.
    #[error(
        "cannot use the cgroup {} for guests: {reason}; write a name that is free into .defaults/cgroup/base",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        reason: &'static str,
    },
    /// The guest has no cgroup.
    #[error("guest {name} has no cgroup")]
    Gone {
        /// The guest.
        name: String,
    },
    /// Processes are left in a cgroup that should be removed. They were not killed: they may be somebody else's.
    #[error("the cgroup {} still holds processes {pids:?}", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
        /// Their host pids.
        pids: Vec<i32>,
    },
    /// Processes outlived SIGKILL until the deadline: they wait in the kernel, usually for a disk.
    #[error("processes of guest {name} cannot be killed: {pids:?}")]
    Stuck {
        /// The guest.
        name: String,
        /// Their host pids.
        pids: Vec<i32>,
    },
    /// The calling process could not be moved.
    #[error("cannot join the cgroup of supervisors")]
    Join(#[source] io::Error),
    /// The device program could not be put in force.
    #[error("cannot restrict the devices of guest {name}")]
    Devices {
        /// The guest.
        name: String,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// Whether a cgroup was removed by somebody else at that moment.
    pub(crate) fn is_gone(&self) -> bool {
        const ENODEV: i32 = 19;
        match self {
            Self::Read { source, .. }
            | Self::Write { source, .. }
            | Self::Create { source, .. }
            | Self::Open { source, .. }
            | Self::Join(source) => source.kind() == io::ErrorKind::NotFound || source.raw_os_error() == Some(ENODEV),
            _ => false,
        }
    }
}
