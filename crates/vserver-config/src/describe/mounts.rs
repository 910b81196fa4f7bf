//! What is mounted.

use nix::libc;
use serde_json::{Value, json};

use super::Subject;
use crate::mounts::{FstabEntry, every_line};
use crate::reader::Reader;

/// Flags in the order in which they are printed.
const FLAGS: [(&str, u64); 16] = [
    ("nodev", libc::MS_NODEV),
    ("bind", libc::MS_BIND),
    ("rec", libc::MS_REC),
    ("move", libc::MS_MOVE),
    ("remount", libc::MS_REMOUNT),
    ("ro", libc::MS_RDONLY),
    ("nosuid", libc::MS_NOSUID),
    ("noexec", libc::MS_NOEXEC),
    ("sync", libc::MS_SYNCHRONOUS),
    ("noatime", libc::MS_NOATIME),
    ("nodiratime", libc::MS_NODIRATIME),
    ("relatime", libc::MS_RELATIME),
    ("mandlock", libc::MS_MANDLOCK),
    ("dirsync", libc::MS_DIRSYNC),
    ("silent", libc::MS_SILENT),
    ("strictatime", libc::MS_STRICTATIME),
];

/// The same for how mounts spread; one of them at most.
const PROPAGATION: [(&str, u64); 4] = [
    ("unbindable", libc::MS_UNBINDABLE),
    ("private", libc::MS_PRIVATE),
    ("slave", libc::MS_SLAVE),
    ("shared", libc::MS_SHARED),
];

pub(super) fn all(subject: &Subject<'_>) -> Vec<(&'static str, Value)> {
    let mut reader = Reader::default();
    let mut local = every_line(&mut reader, &subject.own("fstab"), false);
    local.extend(every_line(&mut reader, &subject.own("fstab.local"), false));
    let remote = every_line(&mut reader, &subject.own("fstab.remote"), true);
    let swap = local.iter().chain(&remote).filter(|entry| entry.is_swap()).map(|_| "swap entry");
    let ignored: Vec<&str> = swap.collect();
    let shown = |entries: &[FstabEntry]| entries.iter().filter(|entry| !entry.is_swap()).map(entry_json).collect();
    vec![
        ("fstab", shown(&local)),
        ("fstab_ignored", json!(ignored)),
        ("fstab_remote", shown(&remote)),
        ("namespace_cleanup", cleanup(subject)),
    ]
}

fn entry_json(entry: &FstabEntry) -> Value {
    let options = entry.mount_options();
    let spread = options.propagation.unwrap_or_default();
    let set = FLAGS.into_iter().filter(|(_, bit)| options.flags & bit != 0);
    let set = set.chain(PROPAGATION.into_iter().filter(|(_, bit)| spread & bit != 0));
    let flags: Vec<&str> = set.map(|(name, _)| name).collect();
    let mut out = json!({
        "source": entry.source,
        "target": entry.target,
        "type": entry.fstype,
        "flags": flags,
        "data": options.data,
        "noauto": entry.is_noauto(),
        "method": if options.direct { "direct" } else { "external" },
    });
    if entry.target == "/" {
        out["root"] = json!(true);
    }
    if options.remount {
        out["remount_needed"] = json!(true);
    }
    if entry.remote {
        out["context"] = json!("guest network");
    }
    out
}

/// Whether mounts of the host are taken away from the guest, and which ones stay.
fn cleanup(subject: &Subject<'_>) -> Value {
    let denied = subject.inherited("nonamespace-cleanup").is_some();
    let enabled = subject.own("namespace-cleanup").exists() || !denied;
    let skip = subject.inherited("namespace-cleanup-skip");
    let skip = skip.and_then(|path| Reader::default().argv(&path)).unwrap_or_default();
    json!({"enabled": enabled, "skip": skip})
}
