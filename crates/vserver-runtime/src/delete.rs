//! `vserver NAME delete`: the guest is stopped, then its tree, its cache, its console log and its configuration go, the
//! configuration last, so that a deletion that was broken off can be repeated.

use std::io::ErrorKind;
use std::path::Path;

use vserver_types::GuestName;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::start::LOCK_PATIENCE;
use crate::stop::{StopOptions, stop};

/// Removes a guest from this host. Refused while anything is mounted below its tree: that may be somebody else's.
pub fn delete(host: &Host, name: &GuestName) -> Result<()> {
    let config = vserver_config::read(&host.confdir, name).ok().map(|(config, _)| config);
    if config.is_none() && !host.confdir.join(name.as_str()).is_dir() {
        vserver_config::read(&host.confdir, name)?;
    }
    stop(host, name, &StopOptions::default())?;
    let _lock = host.lock(name, LOCK_PATIENCE)?;
    if let Some(config) = config {
        if config.vdir.exists() {
            vserver_fs::remove_guest_tree(&config.vdir).map_err(Error::layer("remove the tree", name))?;
        }
        if let Some(cache) = config.cache.filter(|cache| cache.is_dir()) {
            vserver_fs::remove_guest_tree(&cache).map_err(Error::layer("remove the cache", name))?;
        }
        remove(&config.run_target)?;
    }
    let log = host.console_log(name);
    let mut older = log.clone().into_os_string();
    older.push(".1");
    remove(&log)?;
    remove(Path::new(&older))?;
    vserver_config::remove(&host.confdir, name)?;
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}
