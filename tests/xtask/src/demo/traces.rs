//! What the demo brought to this host, noted before it is made, so that `--clean` takes away that and no more.

use std::fs;
use std::path::{Path, PathBuf};

use super::guest::{Demo, Kind};
use crate::Outcome;
use crate::shell::KEEP;

/// Directories that a first guest makes on a host.
const COMMON: &[&str] = &[
    "/vservers",
    "/var/lib/vservers",
    "/var/cache/vservers",
    "/run/vserver",
    "/run/vservers",
    "/run/vservers.rev",
    "/run/vshelper",
    "/var/log/vserver",
];

fn note() -> PathBuf {
    Path::new(KEEP).join("demo")
}

/// Notes which of the directories were not there. A second attempt keeps the first one's note.
pub fn begin(kind: Kind) -> Outcome {
    let (word, _) = words(kind);
    let mut missing: Vec<String> = match fs::read_to_string(note()) {
        Ok(old) => old.lines().skip(1).map(str::to_owned).collect(),
        Err(_) => candidates().filter(|dir| !dir.exists()).map(|dir| dir.display().to_string()).collect(),
    };
    missing.insert(0, word.to_owned());
    let written = fs::create_dir_all(KEEP).and_then(|()| fs::write(note(), missing.join("\n") + "\n"));
    written.map_err(|error| format!("could not write {}: {error}", note().display()))
}

/// What the demo on this host is made of, if there is one.
pub fn kind() -> Option<Kind> {
    let text = fs::read_to_string(note()).ok()?;
    [Kind::Debian, Kind::Busybox].into_iter().find(|kind| text.lines().next() == Some(words(*kind).0))
}

/// Directories that were not there before.
pub fn made() -> Vec<PathBuf> {
    let text = fs::read_to_string(note()).unwrap_or_default();
    text.lines().skip(1).map(PathBuf::from).collect()
}

/// Forgets.
pub fn end() {
    let _ = fs::remove_file(note());
    // Other verbs may keep things there.
    let _ = fs::remove_dir(KEEP);
}

fn candidates() -> impl Iterator<Item = PathBuf> {
    let confdir = Demo::cfg().parent().map(Path::to_owned);
    confdir.into_iter().chain(COMMON.iter().map(PathBuf::from))
}

/// A kind's word in the note, and for people.
pub fn words(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Debian => ("debian", "Debian 12"),
        Kind::Busybox => ("busybox", "busybox"),
    }
}
