//! What can go wrong with a tree or a store as a whole. What a single file meets is an event, not an error.

use std::io;
use std::path::{Path, PathBuf};

/// Why files could not be shared, or their sharing not be ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused something.
    #[error("cannot {action} '{path}'")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// Something below a guest's root.
    #[error(transparent)]
    Fs(#[from] vserver_fs::Error),
    /// The store and the tree are on different file systems.
    #[error(
        "cannot share the files of '{tree}' in the store '{store}': they are on different file systems; name a store beside it in apps/vunify/hash"
    )]
    OtherDevice {
        /// The guest's tree.
        tree: PathBuf,
        /// The store.
        store: PathBuf,
    },
    /// The tree has a file system of its own.
    #[error("'{tree}' has a file system of its own, so it can share no file with a guest on another one")]
    OwnDevice {
        /// The guest's tree.
        tree: PathBuf,
    },
    /// A store names a digest that we do not know.
    #[error(
        "the store '{store}' uses the digest '{method}', which is not known; sha1, blake3, blake3-80 and pieces-48 are"
    )]
    Method {
        /// The store.
        store: PathBuf,
        /// What its file `method` says.
        method: String,
    },
}

impl Error {
    /// For `map_err`.
    pub(crate) fn io<E: Into<io::Error>, P: AsRef<Path>>(
        action: &'static str,
        path: P,
    ) -> impl FnOnce(E) -> Self + use<E, P> {
        let path = path.as_ref().to_owned();
        move |error| Self::Io { action, path, source: error.into() }
    }
}
