//! Why a disk could not be measured or limited.

use std::io;
use std::path::{Path, PathBuf};

use crate::lack::Lack;

/// A failure, with what was tried on what.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A call failed.
    #[error("cannot {action} '{}'", path.display())]
    Call {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file system cannot do it.
    #[error(transparent)]
    Lack(#[from] Lack),
    /// The caller was asked to give up.
    #[error("interrupted")]
    Interrupted,
    /// A program of the host is not installed.
    #[error(
        "{program} is not installed on this host; install the Debian package '{package}' (apt install {package})"
    )]
    Missing {
        /// The program.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// A program failed.
    #[error("{program} failed on '{}' ({status}): {words}", path.display())]
    Program {
        /// The program.
        program: &'static str,
        /// On what.
        path: PathBuf,
        /// How it ended.
        status: String,
        /// Its last words.
        words: String,
    },
    /// An image is in use already.
    #[error("the image '{}' is in use as {}; detach it with `losetup -d`", image.display(), device.display())]
    Busy {
        /// The image.
        image: PathBuf,
        /// The device over it.
        device: PathBuf,
    },
    /// An image without a file system that is known here.
    #[error(
        "the image '{}' holds none of ext4, xfs and btrfs; make a file system in it, for example with mkfs.ext4",
        image.display()
    )]
    Unknown {
        /// The image.
        image: PathBuf,
    },
    /// A size that makes no sense.
    #[error("the image '{}' cannot have {wanted} bytes: {reason}", image.display())]
    Size {
        /// The image.
        image: PathBuf,
        /// What was asked for.
        wanted: u64,
        /// Why not.
        reason: String,
    },
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err`.
    pub(crate) fn call<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |source| Self::Call { action, path: path.to_owned(), source: source.into() }
    }

    /// The kernel's error number, if a call failed.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Call { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}
