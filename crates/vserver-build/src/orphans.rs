//! Stages of builds whose process was killed in a way that it could not clean up after: the next build or delete beside
//! them does. What is in one, a disk too, goes with it; its mounts went with the process.

use std::fs;
use std::path::Path;
use std::time::Duration;

use vserver_fs::{Flock, remove_guest_tree};
use vserver_types::GuestName;

use crate::Error;

/// Held in a stage for as long as somebody works there.
pub(crate) const LOCK: &str = "lock";

/// The name of this process's stage for a guest.
pub(crate) fn name(guest: &GuestName) -> String {
    format!(".{guest}.build-{}", std::process::id())
}

/// Says that somebody works in the stage `dir`, in whichever container they are.
pub(crate) fn hold(dir: &Path) -> Result<Flock, Error> {
    Flock::take(&dir.join(LOCK), Duration::ZERO).map_err(Error::from)
}

/// Removes those in the directory `base`. Of the guest `own`, whose lock the caller holds, one that cannot be removed is an
/// error; others are left to those whom they concern.
pub(crate) fn remove(base: &Path, own: &GuestName) -> Result<(), Error> {
    let failed = || Error::io("look into", base);
    for entry in fs::read_dir(base).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        let Some((guest, pid)) = entry.file_name().to_str().and_then(parts) else { continue };
        let ours = guest == *own;
        let gone = pid == std::process::id() || !Path::new("/proc").join(pid.to_string()).exists();
        // Process numbers of another container mean nothing here.
        if !gone || !ours && hold(&entry.path()).is_err() {
            continue;
        }
        match remove_guest_tree(&entry.path()) {
            Err(error) if ours => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// The guest and the process of a stage's name.
fn parts(name: &str) -> Option<(GuestName, u32)> {
    let (guest, pid) = name.strip_prefix('.')?.rsplit_once(".build-")?;
    Some((guest.parse().ok()?, pid.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_works_in_goes_and_the_rest_stays() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path();
        // Beyond the largest number of a process. Source: proc_sys_kernel(5), pid_max.
        let dead = 4_194_305;
        let mine = std::process::id();
        let make = |name: String| {
            fs::create_dir_all(base.join(&name).join("root/etc")).unwrap();
            base.join(name)
        };
        let own = make(format!(".web.build-{dead}"));
        let other = make(format!(".db.build-{dead}"));
        let held = make(format!(".mail.build-{dead}"));
        let alive = make(".log.build-1".to_owned());
        let kept = [make(format!("web.failed-{dead}")), make("web".to_owned()), make(format!(".build-{mine}"))];
        let lock = hold(&held).unwrap();
        remove(base, &"web".parse().unwrap()).unwrap();
        assert!(!own.exists() && !other.exists());
        assert!(held.exists() && alive.exists() && kept.iter().all(|path| path.exists()));
        drop(lock);
        remove(base, &"web".parse().unwrap()).unwrap();
        assert!(!held.exists());
    }
}
