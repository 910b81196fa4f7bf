//! What can go wrong, each with the call and its object.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

/// Why something with files did not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A mount's target is not in the guest's tree.
    #[error("{object} climbs above the root, or is a symbolic link to nothing in the guest's tree")]
    Escape {
        /// The target.
        object: String,
    },
    /// The kernel refused a call.
    #[error("cannot {action} {object}")]
    Call {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what; a name below a guest's root is followed by "below ROOT".
        object: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The way to the object goes through a symbolic link, or the object is one.
    #[error("cannot {action} {object}: there is a symbolic link in the way, and it is not followed")]
    Symlink {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        object: String,
    },
    /// The object is not of the kind that was asked for.
    #[error("{object} is not a {wanted}")]
    WrongKind {
        /// What was found.
        object: String,
        /// What it should have been.
        wanted: &'static str,
    },
    /// More bytes than the caller is ready to take.
    #[error("{object} is larger than {max} bytes")]
    TooLarge {
        /// The file.
        object: String,
        /// The limit in bytes.
        max: u64,
    },
    /// A name that cannot stand below a root: empty, with `..` or with a NUL byte.
    #[error("{name:?} is not a name below a guest's root")]
    BadName {
        /// The name.
        name: PathBuf,
    },
    /// The directory given as a guest's root is the host's own.
    #[error("{path} is the host's own root directory, not a guest's")]
    HostRoot {
        /// The path that was given.
        path: PathBuf,
    },
    /// Something is mounted where a tree was to be removed.
    #[error("{path} is not removed: mounted below it: {}; unmount it first", list(.mounts))]
    Mounted {
        /// The tree.
        path: PathBuf,
        /// The mount points.
        mounts: Vec<PathBuf>,
    },
    /// Something is mounted where a tree was to be copied.
    #[error("{path} is not copied: mounted below it: {}; unmount it first", list(.mounts))]
    NotCopied {
        /// The tree.
        path: PathBuf,
        /// The mount points.
        mounts: Vec<PathBuf>,
    },
    /// Another process holds the lock.
    #[error("{path} is locked by another process ({holder}); gave up after {seconds} s")]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What the holder wrote into it: a hint, not a proof.
        holder: String,
        /// How long we waited.
        seconds: u64,
    },
}

impl Error {
    /// The kernel's error number, if a call failed.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Call { source, .. } => source.raw_os_error(),
            Self::Symlink { .. } => Some(Errno::ELOOP as i32),
            _ => None,
        }
    }

    /// Whether the object (or a directory on the way to it) does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self.errno(), Some(e) if e == Errno::ENOENT as i32 || e == Errno::ENOTDIR as i32)
    }

    /// A failed call on an object that is described by `object`.
    pub(crate) fn call(action: &'static str, object: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let (object, source) = (object.into(), source.into());
        if source.raw_os_error() == Some(Errno::ELOOP as i32) {
            return Self::Symlink { action, object };
        }
        Self::Call { action, object, source }
    }
}

fn list(mounts: &[PathBuf]) -> String {
    let mut names: Vec<_> = mounts.iter().take(5).map(|m| m.display().to_string()).collect();
    if mounts.len() > names.len() {
        names.push(format!("and {} more", mounts.len() - names.len()));
    }
    names.join(", ")
}
