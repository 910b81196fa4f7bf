//! The plan of a rename, on disk for as long as it is under way: `.rename-<old name>` in the configuration root.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use vserver_types::GuestName;

use super::plan::Plan;
use crate::Error;

const PREFIX: &str = ".rename-";

fn place(confdir: &Path, from: &GuestName) -> PathBuf {
    confdir.join(format!("{PREFIX}{from}"))
}

/// Durable when it returns. One that is torn says that nothing was begun.
pub(super) fn write(confdir: &Path, plan: &Plan) -> Result<(), Error> {
    let path = place(confdir, &plan.from);
    let failed = || Error::io("write", &path);
    let text = serde_json::to_vec(plan).map_err(|error| failed()(error.into()))?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(failed())?;
    let written = (&file).write_all(&text).and_then(|()| file.sync_all()).and_then(|()| sync(confdir));
    written.map_err(|error| {
        // The write's own fault is the one to report.
        fs::remove_file(&path).ok();
        failed()(error)
    })
}

/// Makes a directory's entries durable.
pub(super) fn sync(dir: &Path) -> std::io::Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all())
}

/// The one of this name, if it is there and whole.
pub(super) fn read(confdir: &Path, from: &GuestName) -> Option<Plan> {
    let bytes = fs::read(place(confdir, from)).ok()?;
    serde_json::from_slice::<Plan>(&bytes).ok().filter(|plan| plan.from == *from)
}

/// Old names of all renames that are under way or were killed.
pub(super) fn all(confdir: &Path) -> Vec<GuestName> {
    let names = fs::read_dir(confdir).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.to_str()?.strip_prefix(PREFIX)?.parse().ok()).collect()
}

/// It is over.
pub(super) fn remove(confdir: &Path, from: &GuestName) -> Result<(), Error> {
    let path = place(confdir, from);
    fs::remove_file(&path).map_err(Error::io("remove", &path))
}
