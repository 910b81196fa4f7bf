//! Addresses come from outside: what would set them from inside is put out of the way, under a name that says so.

use vserver_fs::GuestRoot;

use super::change::{Change, What};
use super::system::{names, text};
use crate::Error;

const WHY: &str = "addresses are given from outside";
const SUFFIX: &str = ".imported";
const INTERFACES: &str = "# The addresses of this guest are given from outside, by its configuration on the host.\n\
                          # What was here is in interfaces.imported.\n";
/// Directories whose files describe interfaces, and how those files end.
const PLACES: [(&str, &str); 5] = [
    ("etc/netplan", ".yaml"),
    ("etc/systemd/network", ".network"),
    ("etc/systemd/network", ".netdev"),
    ("etc/systemd/network", ".link"),
    ("etc/network/interfaces.d", ""),
];

/// For a machine that had a network of its own.
pub(crate) fn changes(root: &GuestRoot) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    if let Some(old) = text(root, "etc/network/interfaces")?.filter(|old| old != INTERFACES) {
        changes.push(Change::write("etc/network/interfaces.imported", old, "what interfaces said before"));
        changes.push(Change::write("etc/network/interfaces", INTERFACES, WHY));
    }
    for (dir, end) in PLACES {
        for name in names(root, dir)?.into_iter().filter(|name| name.ends_with(end) && !name.ends_with(SUFFIX)) {
            let what = What::Rename { suffix: SUFFIX };
            changes.push(Change { path: format!("{dir}/{name}"), what, why: WHY.to_owned() });
        }
    }
    for dir in ["etc/sysconfig/network-scripts", "etc/sysconfig/network"] {
        for name in names(root, dir)?.into_iter().filter(|name| name.starts_with("ifcfg-") && name != "ifcfg-lo") {
            let path = format!("{dir}/{name}");
            if let Some(old) = text(root, &path)? {
                changes.push(Change::write(&path, not_at_boot(&old), WHY));
            }
        }
    }
    let rules = "etc/udev/rules.d";
    for name in names(root, rules)?.into_iter().filter(|name| name.contains("persistent-net")) {
        changes.push(Change::remove(format!("{rules}/{name}"), "interfaces are the host's"));
    }
    Ok(changes)
}

/// `ONBOOT` is Red Hat's word, `STARTMODE` that of SUSE.
fn not_at_boot(old: &str) -> String {
    let keep = |line: &&str| !line.starts_with("ONBOOT=") && !line.starts_with("STARTMODE=");
    let rest: String = old.lines().filter(keep).map(|line| format!("{line}\n")).collect();
    format!("{rest}ONBOOT=no\nSTARTMODE='off'\n")
}
