//! Why an archive was not unpacked.

use std::io;

/// What went wrong, with the entry's name, escaped, where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes could not be read or not be decompressed.
    #[error("cannot read the archive {}", after(.entry))]
    Read {
        /// The last entry that was seen.
        entry: Option<String>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ends too early.
    #[error("the archive ends {}, before its end mark: it is truncated", after(.entry))]
    Truncated {
        /// The last entry that was seen.
        entry: Option<String>,
    },
    /// It is something else.
    #[error("this is neither a tar nor a cpio archive (plain, gzip, bzip2, xz or zstd), but {found}")]
    NotTar {
        /// What it looks like.
        found: &'static str,
    },
    /// A field or record cannot be understood, or could be understood in two ways.
    #[error("the archive is damaged {}: {reason}", after(.entry))]
    Malformed {
        /// The entry, or the one before it.
        entry: Option<String>,
        /// What is wrong.
        reason: &'static str,
    },
    /// The entry tries what no entry may.
    #[error("the archive is refused: entry '{entry}' {reason}")]
    Refused {
        /// The entry.
        entry: String,
        /// What it tries.
        reason: String,
    },
    /// More than the limits allow.
    #[error("the archive is refused at entry '{entry}': more than {limit} {unit}")]
    TooMuch {
        /// The entry.
        entry: String,
        /// The limit.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// The entry could not be made.
    #[error("cannot {action} '{entry}' of the archive")]
    Place {
        /// What was tried, as a verb.
        action: &'static str,
        /// The entry.
        entry: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An object could not be read from the tree, or not be written into the archive.
    #[error("cannot {action} '{entry}' for the archive")]
    Pack {
        /// What was tried, as a verb.
        action: &'static str,
        /// The object.
        entry: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The caller wants no more.
    #[error("the work on the archive was interrupted")]
    Interrupted,
    /// The guest's root itself could not be used.
    #[error(transparent)]
    Root(#[from] vserver_fs::Error),
}

impl Error {
    /// The kernel's error number, if what failed is on the guest's side.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Place { source, .. } | Self::Pack { source, .. } => source.raw_os_error(),
            Self::Root(e) => e.errno(),
            _ => None,
        }
    }
}

/// A name of an archive as it may appear in a message.
pub(crate) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).escape_debug().to_string()
}

fn after(entry: &Option<String>) -> String {
    entry.as_ref().map_or_else(|| "at its beginning".to_owned(), |name| format!("at entry '{name}'"))
}
