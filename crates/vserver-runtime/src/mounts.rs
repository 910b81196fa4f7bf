//! The configured mounts of a guest, as far as they are more than what every guest has.

use nix::libc;
use vserver_config::{FstabEntry, GuestConfig};
use vserver_sandbox::blueprint::{MountKind, MountPlan};
use vserver_sys::mount::{NODEV, NOEXEC, NOSUID, RDONLY};
use vserver_types::Unenforced;

/// What every guest has anyway, made in the right way by the sandbox.
const ALWAYS_THERE: [&str; 6] = ["/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"];

/// The mounts of `fstab`, and what of it is not done.
pub fn plan(config: &GuestConfig) -> (Vec<MountPlan>, Vec<Unenforced>) {
    let (mut plans, mut refused) = (Vec::new(), Vec::new());
    for entry in &config.fstab {
        let target = format!("/{}", entry.target.trim_matches('/'));
        if ALWAYS_THERE.contains(&target.as_str()) {
            continue;
        }
        match one(entry, target) {
            Ok(plan) => plans.push(plan),
            Err(reason) => refused.push(Unenforced::none(format!("fstab:{}", entry.line), reason)),
        }
    }
    (plans, refused)
}

fn one(entry: &FstabEntry, target: String) -> Result<MountPlan, String> {
    let options = entry.mount_options();
    let attributes = attributes(options.flags);
    if target == "/" {
        return Err(
            "a file system as the guest's root is not mounted; mount it on the host at the guest's tree".to_owned()
        );
    }
    if options.flags & libc::MS_BIND != 0 {
        let recursive = options.flags & libc::MS_REC != 0;
        let kind = MountKind::Bind { source: entry.source.clone(), recursive };
        return Ok(MountPlan { target, kind, attributes });
    }
    match entry.fstype.as_deref() {
        Some("tmpfs") => {
            let pairs = options.data.split(',').filter_map(|pair| pair.split_once('='));
            let options = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            Ok(MountPlan { target, kind: MountKind::Tmpfs { options }, attributes: attributes | NOSUID })
        }
        other => {
            let kind = other.unwrap_or("none");
            Err(format!("file systems of type '{kind}' are not mounted; only tmpfs and bind mounts are"))
        }
    }
}

fn attributes(flags: u64) -> u64 {
    let pairs =
        [(libc::MS_RDONLY, RDONLY), (libc::MS_NOSUID, NOSUID), (libc::MS_NODEV, NODEV), (libc::MS_NOEXEC, NOEXEC)];
    pairs.iter().filter(|(flag, _)| flags & flag != 0).fold(0, |all, (_, attribute)| all | attribute)
}
