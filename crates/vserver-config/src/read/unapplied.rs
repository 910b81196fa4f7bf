//! Settings of the tree that are understood by the original and that nothing here applies: they are named, not dropped.

use std::path::Path;

use vserver_types::Unenforced;

use crate::reader::{Reader, is_backup};

/// Path below the guest's directory, and why it has no effect.
const SETTINGS: [(&str, &str); 7] = [
    ("netns", "named network namespaces are not supported; the guest shares the host's network stack"),
    ("spaces/net", "network namespaces are not supported; the guest shares the host's network stack"),
    ("spaces/mask", "every guest has its own pid, mount, uts, ipc, cgroup and time namespaces"),
    ("dlimits", "disk limits are not supported"),
    ("apps/vdevmap", "device maps are not supported"),
    ("nonamespace", "a guest without a mount namespace cannot be made safe; it has one"),
    ("capabilities", "this list is of the 2.4 kernels; use bcapabilities"),
];

/// Files of one interface of the same kind.
const INTERFACE: [(&str, &str); 4] = [
    ("tun", "tun devices are not made"),
    ("tap", "tap devices are not made"),
    ("indirect", "the original never finished this mode"),
    ("mac", "the original never finished this mode"),
];

pub(super) fn read(reader: &mut Reader, dir: &Path) -> Vec<Unenforced> {
    let mut found = Vec::new();
    for (name, reason) in SETTINGS {
        if is_set(reader, &dir.join(name)) {
            found.push(Unenforced::none(name, reason));
        }
    }
    let interfaces = dir.join("interfaces");
    for interface in reader.names(&interfaces) {
        for (name, reason) in INTERFACE {
            if Reader::exists(&interfaces.join(&interface).join(name)) {
                found.push(Unenforced::none(format!("interfaces/{interface}/{name}"), reason));
            }
        }
    }
    found
}

/// A file that exists, or a directory with something in it.
fn is_set(reader: &mut Reader, path: &Path) -> bool {
    match path.is_dir() {
        true => reader.names(path).iter().any(|name| !is_backup(name)),
        false => Reader::exists(path),
    }
}
