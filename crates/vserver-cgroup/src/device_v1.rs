//! The device policy on a host without v2. See `Documentation/admin-guide/cgroup-v1/devices.rst`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::devices::DevicePolicy;
use crate::{Controller, Error, GuestCgroup, base, files};

const EVERYTHING: &str = "a *:* rwm";

/// Writes the policy. A new directory is restricted before `guest/` is made below it and copies its list; an existing one
/// cannot be told `deny a` (`EINVAL` with children), so what is too much is denied line by line, for both at once, and
/// what is missing is allowed in both.
pub(crate) fn apply(cgroup: &GuestCgroup, policy: &DevicePolicy) -> Result<(), Error> {
    let Some(tree) = cgroup.layout.tree_of(Controller::Devices) else {
        let source = io::Error::new(ErrorKind::Unsupported, "no devices controller and no cgroup2");
        return Err(Error::Devices { name: cgroup.name.to_string(), source });
    };
    let (top, guest) = (tree.top(&cgroup.name), tree.guest(&cgroup.name));
    let wanted: Vec<String> = policy.allow.iter().map(ToString::to_string).collect();
    base::make_top(tree, &cgroup.name)?;
    if files::read(&top.join("devices.list"))?.lines().any(|line| line == EVERYTHING) {
        restrict_new(&top, &guest, &wanted)?;
    } else {
        restrict_old(&top, &guest, &wanted)?;
    }
    cgroup.ensure(Controller::Devices)?;
    check(cgroup, &guest, &wanted)
}

fn restrict_new(top: &Path, guest: &Path, wanted: &[String]) -> Result<(), Error> {
    // There is one where the controller shares its hierarchy with others. Not for a running guest: its processes would
    // stand in the way, and it got its policy before they came.
    match fs::remove_dir(guest) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            return Err(Error::Remove { path: guest.to_owned(), source });
        }
        _ => {}
    }
    // A child that was removed counts until the kernel has cleaned it up behind our back.
    let end = Instant::now() + Duration::from_secs(2);
    let file = top.join("devices.deny");
    while let Err(source) = files::write(&file, "a") {
        if source.kind() != ErrorKind::InvalidInput || Instant::now() > end {
            return Err(Error::Write { path: file, value: "a".to_owned(), source });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    wanted.iter().try_for_each(|line| files::must_write(&top.join("devices.allow"), line))
}

fn restrict_old(top: &Path, guest: &Path, wanted: &[String]) -> Result<(), Error> {
    for line in files::read(&top.join("devices.list"))?.lines().filter(|line| !wanted.iter().any(|w| w == line)) {
        files::must_write(&top.join("devices.deny"), line)?;
    }
    for dir in [top, guest].into_iter().filter(|dir| dir.is_dir()) {
        for line in wanted {
            files::must_write(&dir.join("devices.allow"), line)?;
        }
    }
    Ok(())
}

/// Success codes lie: the list of the directory that holds the processes must be the policy's.
fn check(cgroup: &GuestCgroup, guest: &Path, wanted: &[String]) -> Result<(), Error> {
    let list = files::read(&guest.join("devices.list"))?;
    let foreign = list.lines().find(|line| !wanted.iter().any(|w| w == line));
    match foreign {
        None => Ok(()),
        Some(line) => {
            let source = io::Error::other(format!("devices.list still allows '{line}'"));
            Err(Error::Devices { name: cgroup.name.to_string(), source })
        }
    }
}
