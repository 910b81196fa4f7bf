//! Debian trees with different packages, built once and kept.

use std::path::PathBuf;

use crate::{Outcome, debian};

/// Names, and what is installed besides what minbase has.
const MORE: [(&str, &str); 3] = [
    ("debian-apache", "systemd-sysv,dbus,openssh-server,apache2,python3"),
    ("debian-git", "systemd-sysv,dbus,openssh-server,git,perl,rsync"),
    ("debian-redis", "systemd-sysv,dbus,openssh-server,redis-server,vim"),
];

/// All four, with the tree that boots.
pub fn ensure() -> Result<Vec<PathBuf>, String> {
    MORE.iter().try_for_each(|(name, packages)| -> Outcome { debian::ensure(&debian::named(name), packages) })?;
    Ok([debian::tree()].into_iter().chain(MORE.iter().map(|(name, _)| debian::named(name))).collect())
}
