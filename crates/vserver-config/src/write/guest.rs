//! A whole configuration is written: into a new directory, or over what an old one says.

use std::fs;
use std::path::{Path, PathBuf};

use vserver_types::ParseError;

use super::apply::apply;
use super::create::{Draft, install};
use super::editor::Changes;
use super::plan::{differences, plan};
use super::shadow::{detach, shadow};
use super::{hidden, lock, remove_tree};
use crate::error::Error;
use crate::model::GuestConfig;
use crate::read::{read_dir, survey_dir};

/// Makes the directory of a guest say what `config` says, and gives the files that changed. What says so already is left
/// alone to the byte; in a file that changes, comments, order, lines that nothing reads, owner, mode and links stay. What
/// is no longer wanted is disabled or set aside under a hidden name rather than removed where it may hold more than
/// what is read.
///
/// # Errors
/// [`Error::Argument`] if the tree cannot say it, [`Error::Invalid`] if the result would have faults: then nothing has
/// changed.
pub fn write(confdir: &Path, config: &GuestConfig) -> Result<Vec<PathBuf>, Error> {
    let confdir = std::path::absolute(confdir).map_err(Error::io("find", confdir))?;
    let dir = confdir.join(config.name.as_str());
    let _lock = lock(&confdir)?;
    let draft = Draft(hidden(&confdir, "new", &config.name));
    remove_tree(&draft.0)?;
    let there = dir.is_dir();
    match there {
        true => shadow(&dir, &draft.0)?,
        false => fs::create_dir(&draft.0).map_err(Error::io("create", &draft.0))?,
    }
    let now = moved(survey_dir(&confdir, &draft.0, &config.name).0, &draft.0, &dir);
    let changes = plan(&draft.0, &confdir, &now, config).map_err(|error| error.moved(&draft.0, &dir))?;
    detach(&draft.0, &changes)?;
    apply(&draft.0, &changes, None, !there).map_err(|error| error.moved(&draft.0, &dir))?;
    judge(&confdir, &draft.0, &dir, config)?;
    match there {
        true => apply(&dir, &changes, fs::canonicalize(dir.join("vdir")).ok().as_deref(), true)?,
        false => install(&confdir, &draft.0, &dir)?,
    }
    Ok(paths(&dir, &changes))
}

fn paths(dir: &Path, changes: &Changes) -> Vec<PathBuf> {
    changes.keys().map(|file| dir.join(file)).collect()
}

/// Whether the draft says what was wanted.
fn judge(confdir: &Path, draft: &Path, dir: &Path, wanted: &GuestConfig) -> Result<(), Error> {
    let (read, _) = read_dir(confdir, draft, &wanted.name).map_err(|error| error.moved(draft, dir))?;
    let read = moved(read, draft, dir);
    let lost = differences(&read, wanted);
    if lost.is_empty() {
        return Ok(());
    }
    let reason = "files of this guest cannot say this, or the host's .defaults say otherwise";
    Err(ParseError::new("configuration", &lost.join(", "), reason).into())
}

/// The same configuration at another place.
fn moved(mut config: GuestConfig, from: &Path, to: &Path) -> GuestConfig {
    let place = |path: &mut PathBuf| {
        if let Ok(below) = path.strip_prefix(from) {
            *path = if below.as_os_str().is_empty() { to.to_owned() } else { to.join(below) };
        }
    };
    place(&mut config.dir);
    place(&mut config.vdir);
    place(&mut config.run_target);
    config.cache.iter_mut().for_each(place);
    config.fstab.iter_mut().for_each(|entry| place(&mut entry.file));
    config
}
