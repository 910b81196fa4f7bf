//! Another name for a guest.

use std::path::{Path, PathBuf};

use vserver_config::{Defaults, Edit};
use vserver_types::GuestName;

use crate::Error;
use crate::copy::run_file;
use crate::delete::{check, real};
use crate::signals::Signals;
use crate::stage::Undo;

/// Link to the package data that the host keeps.
const PKGBASE: &str = "apps/pkgmgmt/base";

/// Renames a guest that does not run; the caller holds the locks of both names. A tree and a cache that bear its name are
/// renamed with it; others, which an administrator chose, stay where they are. Guests that depend on it depend on the new
/// name then. Gives what the caller should be told, a sentence each.
///
/// # Errors
/// [`Error::Exists`], and whatever a rename meets: then all is as it was.
pub fn rename(confdir: &Path, from: &GuestName, to: &GuestName) -> Result<Vec<String>, Error> {
    // Nobody is to end it between two of its steps.
    let _signals = Signals::block()?;
    let (old, new) = (confdir.join(from.as_str()), confdir.join(to.as_str()));
    let run = run_file(confdir, from, to);
    if let Some(root) = real(&old.join("vdir")) {
        check(confdir, from, &root, "renamed")?;
    }
    let moved = moved_links(&old, from, to)?;
    let packages = packages(confdir, from, to)?;
    let mut undo = Undo::default();
    let result = moved
        .iter()
        .try_for_each(|link| undo.rename(&link.before, &link.after))
        .and_then(|()| packages.iter().try_for_each(|(before, after)| undo.rename(before, after)))
        .and_then(|()| rename_config(confdir, from, to));
    if let Err(error) = result {
        undo.take_back();
        return Err(error);
    }
    if let Err(error) = relink(&new, &moved, &run) {
        // What cannot be taken back either is told by the next command on this guest.
        moved.iter().for_each(|link| drop(vserver_config::relink(&new.join(link.name), &link.was)));
        drop(vserver_config::rename(confdir, to, from));
        undo.take_back();
        return Err(error);
    }
    dependants(confdir, from, to)
}

fn rename_config(confdir: &Path, from: &GuestName, to: &GuestName) -> Result<(), Error> {
    vserver_config::rename(confdir, from, to).map(drop).map_err(|error| match error {
        vserver_config::Error::Exists { path } => Error::Exists { root: path.clone(), config: path },
        other => other.into(),
    })
}

fn relink(config: &Path, moved: &[Moved], run: &Path) -> Result<(), Error> {
    for link in moved {
        vserver_config::relink(&config.join(link.name), &link.target)?;
    }
    if config.join("run").is_symlink() {
        vserver_config::relink(&config.join("run"), run)?;
    }
    Ok(())
}

/// A link of the configuration to something of this guest's name.
struct Moved {
    name: &'static str,
    was: PathBuf,
    target: PathBuf,
    before: PathBuf,
    after: PathBuf,
}

fn moved_links(config: &Path, from: &GuestName, to: &GuestName) -> Result<Vec<Moved>, Error> {
    let mut all = Vec::new();
    for name in ["vdir", "cache", PKGBASE] {
        let link = config.join(name);
        let (Ok(target), Some(before)) = (std::fs::read_link(&link), real(&link)) else { continue };
        if before.file_name().is_none_or(|last| last != from.as_str()) {
            continue;
        }
        let after = before.with_file_name(to.as_str());
        if after.symlink_metadata().is_ok() {
            return Err(Error::Exists { root: after, config: config.with_file_name(to.as_str()) });
        }
        let new = target.with_file_name(to.as_str());
        all.push(Moved { name, was: target, target: new, before, after });
    }
    Ok(all)
}

/// The package data that the host keeps for the guest, if it does and no link leads there.
fn packages(confdir: &Path, from: &GuestName, to: &GuestName) -> Result<Option<(PathBuf, PathBuf)>, Error> {
    let base = Defaults::new(confdir).pkgbase();
    let (before, after) = (base.join(from.as_str()), base.join(to.as_str()));
    if before.is_dir() && after.symlink_metadata().is_ok() {
        return Err(Error::Exists { root: after, config: confdir.join(to.as_str()) });
    }
    let linked = confdir.join(from.as_str()).join(PKGBASE).is_symlink();
    Ok((before.is_dir() && !linked).then_some((before, after)))
}

fn dependants(confdir: &Path, from: &GuestName, to: &GuestName) -> Result<Vec<String>, Error> {
    const DEPENDS: &str = "apps/init/depends";
    let mut told = Vec::new();
    for other in vserver_config::list(confdir)? {
        let text = std::fs::read_to_string(confdir.join(other.as_str()).join(DEPENDS)).unwrap_or_default();
        if !text.lines().any(|line| line.trim() == from.as_str()) {
            continue;
        }
        let change =
            [Edit::Drop(DEPENDS.to_owned(), from.to_string()), Edit::Add(DEPENDS.to_owned(), to.to_string())];
        told.push(match vserver_config::edit(confdir, &other, &change) {
            Ok(_) => format!("guest '{other}' depends on '{to}' now"),
            Err(error) => {
                format!("guest '{other}' still depends on '{from}' ({error}); write '{to}' into its {DEPENDS}")
            }
        });
    }
    Ok(told)
}
