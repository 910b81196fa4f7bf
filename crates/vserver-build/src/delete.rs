//! The end of a guest: its tree, its cache, its package data, its run file, its configuration.

use std::fs;
use std::path::{Path, PathBuf};

use vserver_config::Defaults;
use vserver_fs::{GuestRoot, remove_guest_tree};
use vserver_types::GuestName;

use crate::{Error, orphans, own_disk, snapshot};

/// Removes a guest that does not run; the caller has stopped it. The configuration goes last, so that an interrupted
/// removal can be repeated. Gives what stays and should be known, a sentence each.
///
/// # Errors
/// Before anything is removed: there is no such guest, something is mounted in its tree, the tree is another guest's
/// too, or it holds the configuration root.
pub fn delete(confdir: &Path, name: &GuestName) -> Result<Vec<String>, Error> {
    let config = confdir.join(name.as_str());
    if config.symlink_metadata().is_err() {
        return Ok(vserver_config::remove(confdir, name).map(|()| Vec::new())?);
    }
    let root = real(&config.join("vdir"));
    if let Some(root) = &root {
        check(confdir, name, root, "removed")?;
        // What a crash has left beside it goes with it, or stays with it if something is mounted below.
        vserver_unify::Layers::settle(&GuestRoot::open(root)?)?;
        // They are found by the tree, so they go first.
        snapshot::remove_all(root)?;
        remove_guest_tree(root)?;
        if let Some(base) = root.parent() {
            orphans::remove(base, name)?;
        }
    }
    let told = remove_disk(confdir, name, &config)?;
    remove_cache(&config, name)?;
    remove_packages(confdir, &config, name)?;
    if let Ok(run) = fs::read_link(config.join("run")) {
        // It is a file with a number, there only after a crash.
        if run.symlink_metadata().is_ok_and(|found| found.is_file()) {
            fs::remove_file(&run).map_err(Error::io("remove", &run))?;
        }
    }
    vserver_config::remove(confdir, name)?;
    Ok(told)
}

/// Where a link of the configuration leads, if it leads anywhere: the target's own last component is not resolved, so
/// that a link in place of the tree is seen (and refused) later.
pub(crate) fn real(link: &Path) -> Option<PathBuf> {
    let target = fs::read_link(link).unwrap_or_else(|_| link.to_owned());
    let target = link.parent()?.join(target);
    let Some(last) = target.file_name() else {
        return Some(PathBuf::from("/"));
    };
    let path = target.parent()?.canonicalize().ok()?.join(last);
    path.symlink_metadata().is_ok().then_some(path)
}

/// Refuses a tree that is not this guest's alone; `done` says what does not happen to it then.
pub(crate) fn check(confdir: &Path, name: &GuestName, root: &Path, done: &'static str) -> Result<(), Error> {
    let not_ours = |reason| Error::NotOurs { name: name.clone(), path: root.to_owned(), reason, done };
    let confdir = confdir.canonicalize().map_err(Error::io("find", confdir))?;
    if confdir.starts_with(root) {
        return Err(not_ours("holds the configuration of all guests"));
    }
    let usual = root.starts_with(confdir.join(".defaults/vdirbase")) || root.starts_with(confdir.join(name.as_str()));
    if root.starts_with(&confdir) && !usual {
        return Err(not_ours("is a part of the configuration"));
    }
    for other in vserver_config::list(&confdir)?.into_iter().filter(|other| other != name) {
        if let Some(its) = real(&confdir.join(other.as_str()).join("vdir"))
            && (its.starts_with(root) || root.starts_with(&its))
        {
            return Err(Error::Shared { name: name.clone(), other, root: root.to_owned(), done });
        }
    }
    Ok(())
}

/// An image goes with its guest if it bears its name and is no other guest's; any other was chosen by an administrator.
fn remove_disk(confdir: &Path, name: &GuestName, config: &Path) -> Result<Vec<String>, Error> {
    let Some(image) = own_disk::of(config)?.filter(|image| image.symlink_metadata().is_ok()) else {
        return Ok(Vec::new());
    };
    let shown = image.display();
    if !own_disk::bears_name(&image, name) {
        snapshot::remove_all(&image)?;
        return Ok(vec![format!("its disk '{shown}' stays, because it is not called '{name}.img'")]);
    }
    for other in vserver_config::list(confdir)?.into_iter().filter(|other| other != name) {
        if own_disk::of(&confdir.join(other.as_str()))?.as_ref() == Some(&image) {
            return Ok(vec![format!("its disk '{shown}' stays, because it is also that of guest '{other}'")]);
        }
    }
    snapshot::remove_all(&image)?;
    fs::remove_file(&image).map_err(Error::io("remove", &image))?;
    Ok(Vec::new())
}

/// The cache is the guest's own only if it bears its name; any other directory was shared by an administrator.
fn remove_cache(config: &Path, name: &GuestName) -> Result<(), Error> {
    match real(&config.join("cache")) {
        Some(cache) if cache.file_name().is_some_and(|last| last == name.as_str()) && cache.is_dir() => {
            Ok(remove_guest_tree(&cache)?)
        }
        _ => Ok(()),
    }
}

/// `<pkgbase>/<name>`, where the original kept a guest's package data; also of guests that do not use it any more. Where its
/// own link leads is its own only if it bears its name.
fn remove_packages(confdir: &Path, config: &Path, name: &GuestName) -> Result<(), Error> {
    let usual = Defaults::new(confdir).pkgbase().join(name.as_str());
    let own = Some(config.join("apps/pkgmgmt/base")).filter(|link| link.is_symlink());
    for place in own.into_iter().chain([usual]) {
        match real(&place) {
            Some(dir) if dir.is_dir() && dir.file_name().is_some_and(|last| last == name.as_str()) => {
                remove_guest_tree(&dir)?;
            }
            _ => {}
        }
    }
    Ok(())
}
