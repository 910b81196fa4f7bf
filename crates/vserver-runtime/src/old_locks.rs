//! Locks by the names of util-vserver, so that scripts which take or look at them and our commands keep out of each other's
//! way. Ours is `Host::lock`; these are held besides, and one that cannot be had keeps nothing from being done, as in the
//! original. Source: `behaviours.md` §13.

use vserver_fs::OldLock;
use vserver_types::GuestName;

use crate::host::Host;
use crate::interrupt::Interrupts;
use crate::start::LOCK_PATIENCE;

/// A lock, or a sentence why there is none.
#[derive(Debug, Default)]
pub struct Held {
    _lock: Option<OldLock>,
    /// For the caller.
    pub warning: Option<String>,
}

/// Of a start and a stop.
pub fn startup(host: &Host, name: &GuestName, interrupts: Option<&Interrupts>) -> Held {
    take(host, &host.old_lock(name), interrupts)
}

/// Of changes of addresses and devices.
pub fn interfaces(host: &Host, interrupts: Option<&Interrupts>) -> Held {
    take(host, "vserver.interfaces", interrupts)
}

fn take(host: &Host, file: &str, interrupts: Option<&Interrupts>) -> Held {
    // Without the directory there are no scripts that look there.
    if !host.lock_dir.is_dir() {
        return Held::default();
    }
    let path = host.lock_dir.join(file);
    let stop = || interrupts.is_some_and(Interrupts::came);
    let (lock, why) = match OldLock::take(&path, LOCK_PATIENCE, stop) {
        Ok(Some(lock)) => return Held { _lock: Some(lock), warning: None },
        Ok(None) => (None, format!("another program holds it for {} s", LOCK_PATIENCE.as_secs())),
        Err(error) => (None, error.to_string()),
    };
    Held { _lock: lock, warning: Some(format!("the lock '{}' is not taken: {why}", path.display())) }
}
