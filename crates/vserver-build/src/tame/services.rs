//! What a tree starts by itself, and how to make it start less, for each init.

use std::collections::BTreeSet;

use vserver_fs::GuestRoot;

use super::change::{Change, What};
use super::system::{Init, System, directory, names, text};
use crate::Error;

const TABLE: &str = include_str!("../../../../distributions/defaults/services");
/// systemd's own units that look after hardware, whether they are there or not. With a name's kind, unlike the table.
const MASK: &str = include_str!("../../../../distributions/defaults/mask");
const UNITS: [&str; 3] = ["etc/systemd/system", "lib/systemd/system", "usr/lib/systemd/system"];
/// Run levels in which services are started.
const LEVELS: [&str; 5] = ["S", "2", "3", "4", "5"];
/// What OpenRC calls a guest of this kind: services that have nothing to do in one say so by that word.
const TOLD: &str = "rc_sys=\"vserver\"\n";
const OPENRC: [&str; 4] = ["sysinit", "boot", "default", "shutdown"];

/// Services of the table, with the reason.
pub(crate) fn foreign() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (name, reason) = line.split_once(char::is_whitespace)?;
        Some((name, reason.trim()))
    })
}

/// A unit and the reason, from the list of systemd's own.
fn masked() -> impl Iterator<Item = (&'static str, &'static str)> {
    MASK.lines().filter_map(|line| {
        let (unit, reason) = line.split_once('#')?;
        Some((unit.trim(), reason.trim())).filter(|(unit, _)| !unit.is_empty())
    })
}

/// The names of what is started at boot, without `.service`.
pub(crate) fn enabled(root: &GuestRoot, system: &System) -> Result<BTreeSet<String>, Error> {
    let mut found = BTreeSet::new();
    for (dir, name) in started(root, system)? {
        let name = match system.init {
            Init::Systemd if dir.starts_with("etc/systemd") => {
                name.strip_suffix(".service").unwrap_or(&name).to_owned()
            }
            Init::Openrc => name,
            Init::Upstart if dir == "etc/init" => name.trim_end_matches(".conf").to_owned(),
            _ => name.trim_start_matches(['S']).trim_start_matches(|c: char| c.is_ascii_digit()).to_owned(),
        };
        found.insert(name);
    }
    Ok(found)
}

/// The names that start something, each with its directory.
fn started(root: &GuestRoot, system: &System) -> Result<Vec<(String, String)>, Error> {
    let mut found = Vec::new();
    let mut take = |dir: String, wanted: &dyn Fn(&str) -> bool| {
        let list = names(root, &dir)?;
        let dir = directory(root, &dir);
        found.extend(list.into_iter().filter(|name| wanted(name)).map(|name| (dir.clone(), name)));
        Ok::<(), Error>(())
    };
    match system.init {
        Init::Systemd => {
            for dir in names(root, "etc/systemd/system")?.into_iter().filter(|name| name.ends_with(".wants")) {
                take(format!("etc/systemd/system/{dir}"), &|_| true)?;
            }
        }
        Init::Openrc => {
            for level in OPENRC {
                take(format!("etc/runlevels/{level}"), &|_| true)?;
            }
        }
        Init::Upstart => take("etc/init".to_owned(), &|name| name.ends_with(".conf"))?,
        _ => {}
    }
    if system.init != Init::Openrc {
        for level in LEVELS {
            let dir = match names(root, &format!("etc/rc{level}.d"))?.is_empty() {
                true => format!("etc/rc.d/rc{level}.d"),
                false => format!("etc/rc{level}.d"),
            };
            take(dir, &|name| name.starts_with('S') && name[1..].starts_with(|c: char| c.is_ascii_digit()))?;
        }
    }
    Ok(found)
}

/// What keeps the host's business away from the guest.
pub(crate) fn changes(root: &GuestRoot, system: &System) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    if system.init == Init::Openrc {
        let old = text(root, "etc/rc.conf")?.unwrap_or_default();
        if !old.lines().any(|line| line.trim_start().starts_with("rc_sys=")) {
            changes.push(Change::write("etc/rc.conf", format!("{old}{TOLD}"), "it is told that it is a guest"));
        }
    }
    if system.init == Init::Systemd {
        for (unit, reason) in masked() {
            changes.push(mask(unit, reason));
        }
        for (name, reason) in foreign() {
            let unit = format!("{name}.service");
            let is_there = |dir: &str| root.exists(format!("{dir}/{unit}")).unwrap_or(false);
            if masked().all(|(known, _)| known != unit) && UNITS.iter().any(|dir| is_there(dir)) {
                changes.push(mask(&unit, reason));
            }
        }
    }
    for (dir, name) in started(root, system)? {
        let bare = name.trim_start_matches('S').trim_start_matches(|c: char| c.is_ascii_digit());
        let job = name.trim_end_matches(".conf");
        let reason = |wanted: &str| foreign().find(|(known, _)| *known == wanted).map(|(_, reason)| reason);
        if dir.starts_with("etc/systemd") {
            continue;
        } else if dir == "etc/init" {
            if let Some(reason) = reason(job) {
                changes.push(Change::write(&format!("etc/init/{job}.override"), "manual\n", reason));
            }
        } else if let Some(reason) = reason(bare).or_else(|| reason(&name)) {
            changes.push(Change::remove(format!("{dir}/{name}"), reason));
        }
    }
    Ok(changes)
}

fn mask(unit: &str, reason: &str) -> Change {
    let path = format!("etc/systemd/system/{unit}");
    Change { path, what: What::Link { target: "/dev/null" }, why: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_one_reason() {
        let mut seen = BTreeSet::new();
        for (name, reason) in foreign() {
            assert!(!reason.is_empty() && seen.insert(name), "{name}");
        }
        assert!(seen.len() > 100);
    }

    #[test]
    fn every_masked_unit_has_a_name_and_a_reason() {
        for (unit, reason) in masked() {
            assert!(!reason.is_empty(), "{unit}");
            let kind = unit.rsplit_once('.').unwrap().1;
            assert!(["service", "socket", "mount", "automount", "timer"].contains(&kind), "{unit}");
        }
    }
}
