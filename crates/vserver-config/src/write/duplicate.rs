//! A guest's directory under another name: a copy for another guest, or the same one renamed.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown, symlink};
use std::path::{Path, PathBuf};

use vserver_types::GuestName;

use super::create::{Created, Draft, check, install, write_file};
use super::{NewGuest, existing, hidden, is_there, lock, remove_tree, sync_dir};
use crate::error::Error;

/// What belongs to one guest only: a copy gets its own or none. A tag would make two guests share one disk limit.
const OWN: [&str; 5] = ["context", "ncontext", "interfaces", "tag", "apps/pkgmgmt/base"];

/// Writes the directory of `guest` as that of `from` with all that is in it, files that nothing reads included, but for its
/// numbers, addresses and package data, and with what `guest` says in place of it. It appears at once and complete.
///
/// # Errors
/// As [`super::create()`]; [`Error::NoSuchGuest`].
pub fn duplicate(confdir: &Path, from: &GuestName, guest: &NewGuest) -> Result<Created, Error> {
    let confdir = std::path::absolute(confdir).map_err(Error::io("find", confdir))?;
    let (old, dir) = (existing(&confdir, from)?, confdir.join(guest.name.as_str()));
    let _lock = lock(&confdir)?;
    if is_there(&dir) {
        return Err(Error::Exists { path: dir });
    }
    let draft = Draft(hidden(&confdir, "new", &guest.name));
    remove_tree(&draft.0)?;
    copy(&old, &draft.0)?;
    OWN.iter().try_for_each(|name| clear(&draft.0.join(name)))?;
    for (link, target) in [("vdir", &guest.vdir), ("cache", &guest.cache), ("run", &guest.lockfile)] {
        target.as_ref().map_or(Ok(()), |target| relink(&draft.0.join(link), target))?;
    }
    let (files, notes) = guest.files();
    for (path, content) in files {
        let path = draft.0.join(path);
        let parent = path.parent().unwrap_or(&draft.0);
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        write_file(&path, &content)?;
    }
    check(&confdir, &draft.0, &dir, guest)?;
    install(&confdir, &draft.0, &dir)?;
    Ok(Created { vdir: guest.vdir.clone().unwrap_or_else(|| dir.join("vdir")), dir, notes })
}

/// Gives the guest `from` the name `to`. Nothing that its links lead to is touched.
///
/// # Errors
/// [`Error::NoSuchGuest`]; [`Error::Exists`].
pub fn rename(confdir: &Path, from: &GuestName, to: &GuestName) -> Result<PathBuf, Error> {
    let confdir = std::path::absolute(confdir).map_err(Error::io("find", confdir))?;
    let (old, dir) = (existing(&confdir, from)?, confdir.join(to.as_str()));
    let _lock = lock(&confdir)?;
    install(&confdir, &old, &dir)?;
    let name = dir.join("name");
    // A name that an administrator chose stays.
    if fs::read_to_string(&name).is_ok_and(|text| text.trim() == from.as_str()) {
        write_file(&name, format!("{to}\n").as_bytes())?;
    }
    Ok(dir)
}

/// Makes the link at `path` lead to `target`, in one step.
///
/// # Errors
/// [`Error::Io`].
pub fn relink(path: &Path, target: &Path) -> Result<(), Error> {
    let draft = path.with_added_extension("new");
    clear(&draft)?;
    symlink(target, &draft).map_err(Error::io("create", &draft))?;
    // A directory in the place of a link cannot be replaced by one, and is not ours to remove.
    fs::rename(&draft, path).map_err(|error| {
        let _ = fs::remove_file(&draft);
        Error::io("replace", path)(error)
    })
}

fn clear(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).map_err(Error::io("remove", path)),
        _ => fs::remove_file(path).map_err(Error::io("remove", path)),
    }
}

/// Files, directories and links with mode and owner; other things are no configuration.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let found = fs::symlink_metadata(from).map_err(Error::io("look at", from))?;
    let failed = || Error::io("copy", from);
    if found.is_symlink() {
        let target = fs::read_link(from).map_err(failed())?;
        return symlink(target, to).map_err(failed());
    }
    if found.is_dir() {
        fs::create_dir(to).map_err(failed())?;
        for entry in fs::read_dir(from).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        fs::set_permissions(to, found.permissions()).map_err(failed())?;
        sync_dir(to)?;
    } else if found.is_file() {
        fs::copy(from, to).map_err(failed())?;
    } else {
        return Ok(());
    }
    lchown(to, Some(found.uid()), Some(found.gid())).map_err(failed())
}
