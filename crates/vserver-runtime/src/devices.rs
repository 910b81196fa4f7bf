//! `apps/vdevmap`: devices of the host that a guest may use, or uses in place of others, beyond what every guest has: a
//! rule of its device policy, and a node in its `/dev`. Source: util-vserver, `config-tree.md` §5.11.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use serde::{Deserialize, Serialize};
use vserver_config::{DeviceMap, GuestConfig, Userns};
use vserver_sandbox::blueprint::DeviceNode;
use vserver_types::Unenforced;

/// Names of `/dev` that are mounts and links of the guest's own.
const OURS: [&str; 9] = ["console", "pts", "ptmx", "shm", "mqueue", "fd", "stdin", "stdout", "stderr"];

/// What becomes of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicePlan {
    /// The rule, in the format of `devices.allow`: `c 10:229 rw`.
    pub rule: String,
    /// It allows; otherwise it takes away.
    pub allow: bool,
    /// The name below `/dev` that changes.
    pub path: Option<PathBuf>,
    /// The node that is made there; none is removed.
    pub node: Option<DeviceNode>,
}

/// The guest's own entries and, for other devices, the host's.
pub fn plan(config: &GuestConfig) -> (Vec<DevicePlan>, Vec<Unenforced>) {
    let (mut plans, mut found) = (Vec::new(), Vec::new());
    for map in &vserver_config::device_maps(config) {
        match one(map) {
            Ok(plan) => {
                found.extend(shortfall(config, map, &plan));
                plans.push(plan);
            }
            Err(reason) => found.push(Unenforced::none(setting(map), reason)),
        }
    }
    (plans, found)
}

/// The rule for `/dev/net/tun`. Source: `Documentation/admin-guide/devices.txt`.
pub const TUN_RULE: &str = "c 10:200 rw";

/// `/dev/net/tun`, for tun and tap devices that are made for the guest: the kernel lets it use those of its own users.
pub fn tun() -> DevicePlan {
    let path = PathBuf::from("net/tun");
    let node = DeviceNode { path: path.clone(), block: false, major: 10, minor: 200, mode: 0o666 };
    DevicePlan { rule: TUN_RULE.to_owned(), allow: true, path: Some(path), node: Some(node) }
}

/// The rules for the guest's device policy, as of its cgroup's control files.
pub fn rules(plans: &[DevicePlan]) -> impl Iterator<Item = (String, String)> + '_ {
    plans.iter().map(|plan| {
        let file = if plan.allow { "devices.allow" } else { "devices.deny" };
        (file.to_owned(), plan.rule.clone())
    })
}

fn setting(map: &DeviceMap) -> String {
    format!("apps/vdevmap/{}", map.name)
}

fn one(map: &DeviceMap) -> Result<DevicePlan, String> {
    let real = map.target.as_ref().unwrap_or(&map.device);
    let found =
        std::fs::metadata(real).map_err(|error| format!("'{}' cannot be looked at: {error}", real.display()))?;
    let kind = kind(&found).ok_or_else(|| format!("'{}' is not a device", real.display()))?;
    let access = match (map.open, map.create) {
        (true, false) => "rw",
        (false, true) => "m",
        (true, true) | (false, false) => "rwm",
    };
    let (major, minor) = (major(found.rdev()), minor(found.rdev()));
    let path = below_dev(&map.device);
    let node = path.clone().filter(|_| map.open).map(|path| DeviceNode {
        path,
        block: kind == 'b',
        major,
        minor,
        mode: found.mode() & 0o777,
    });
    Ok(DevicePlan { rule: format!("{kind} {major}:{minor} {access}"), allow: map.open || map.create, path, node })
}

fn kind(found: &Metadata) -> Option<char> {
    match found.file_type() {
        kind if kind.is_char_device() => Some('c'),
        kind if kind.is_block_device() => Some('b'),
        _ => None,
    }
}

/// Its name in the guest's `/dev`, if it may be one there.
fn below_dev(device: &Path) -> Option<PathBuf> {
    let path = device.strip_prefix("/dev").ok()?;
    let first = path.components().next()?;
    let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    (plain && !OURS.iter().any(|own| first.as_os_str() == *own)).then(|| path.to_owned())
}

fn shortfall(config: &GuestConfig, map: &DeviceMap, plan: &DevicePlan) -> Option<Unenforced> {
    let partial = |reason: &str| Some(Unenforced::partial(setting(map), reason));
    if plan.path.is_none() {
        return partial(
            "the rule holds, and no node is made: that is done for names below /dev that are not the guest's own",
        );
    }
    if map.create && config.userns == Userns::Auto {
        return partial(
            "behind a user namespace nobody makes device nodes; with 'open' the guest finds one in its /dev",
        );
    }
    None
}
