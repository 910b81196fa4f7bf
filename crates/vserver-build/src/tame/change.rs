//! One change to a guest's tree, as data: planned, told, then done by descriptors, no link followed on the way.

use std::path::Path;

use vserver_fs::{GuestRoot, Owner};

use crate::Error;

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A file gets this content.
    Write { content: Vec<u8>, mode: u32 },
    /// A link with this text is put there.
    Link { target: &'static str },
    /// The name is removed.
    Remove,
    /// The file gets another name, with this at its end.
    Rename { suffix: &'static str },
}

/// A change, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub path: String,
    pub what: What,
    /// For people, in a few words.
    pub why: String,
}

impl Change {
    pub(crate) fn write(path: &str, content: impl Into<Vec<u8>>, why: impl Into<String>) -> Self {
        Self { path: path.to_owned(), what: What::Write { content: content.into(), mode: 0o644 }, why: why.into() }
    }

    pub(crate) fn remove(path: impl Into<String>, why: impl Into<String>) -> Self {
        Self { path: path.into(), what: What::Remove, why: why.into() }
    }

    /// As it stands in a report.
    pub(crate) fn told(&self) -> String {
        let (path, why) = (&self.path, &self.why);
        match &self.what {
            What::Write { .. } => format!("/{path}: {why}"),
            What::Link { .. } => format!("/{path} is masked: {why}"),
            What::Remove => format!("/{path} is removed: {why}"),
            What::Rename { suffix } => format!("/{path} is renamed to *{suffix}: {why}"),
        }
    }

    /// Does it. A directory on the way that is a link to another place of the guest is gone through as the guest would.
    pub(crate) fn apply(&self, root: &GuestRoot) -> Result<(), Error> {
        let path = Path::new(&self.path);
        match &self.what {
            What::Write { content, mode } => {
                if let Some(dir) = path.parent() {
                    root.create_dir_all(dir, 0o755)?;
                }
                root.write_atomic(path, content, *mode, Some(Owner::ROOT))?;
            }
            What::Link { target } => {
                if let Some(dir) = path.parent() {
                    root.create_dir_all(dir, 0o755)?;
                }
                root.remove_file(path)?;
                root.symlink(target, path)?;
            }
            What::Remove => root.remove_file(path)?,
            What::Rename { suffix } => root.rename(path, Path::new(&format!("{}{suffix}", self.path)))?,
        }
        Ok(())
    }
}
