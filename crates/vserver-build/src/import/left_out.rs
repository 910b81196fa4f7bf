//! What of a machine never becomes part of a guest.

use std::collections::BTreeMap;
use std::path::Path;

use vserver_archive::{Choice, Select};

use super::Import;

/// Directories whose content stays behind, and why. The directory itself is kept.
pub(crate) const EMPTIED: [(&str, &str); 13] = [
    ("dev", "devices are made for the guest"),
    ("proc", "the kernel fills it"),
    ("sys", "the kernel fills it"),
    ("run", "it is made at every start"),
    ("tmp", "temporary files"),
    ("mnt", "mounted there"),
    ("media", "mounted there"),
    ("boot", "the kernel and the boot loader are the host's"),
    ("lib/modules", "kernel modules are the host's"),
    ("usr/lib/modules", "kernel modules are the host's"),
    ("lib/firmware", "firmware is the host's"),
    ("usr/lib/firmware", "firmware is the host's"),
    ("lost+found", "the file system's own"),
];
/// Names that stay behind.
pub(crate) const GONE: [(&str, &str); 10] = [
    ("swapfile", "swap is the host's"),
    ("swap.img", "swap is the host's"),
    ("swap", "swap is the host's"),
    ("var/swap", "swap is the host's"),
    ("vmlinuz", "the kernel is the host's"),
    ("vmlinuz.old", "the kernel is the host's"),
    ("initrd.img", "the kernel is the host's"),
    ("initrd.img.old", "the kernel is the host's"),
    (".autorelabel", "the kernel's policies are the host's"),
    ("var/lib/systemd/random-seed", "the random pool is the host's"),
];
/// Files that are read for the report: the data of others is not needed for that.
const READ: [&str; 3] = ["etc", "usr/lib/os-release", "lib/os-release"];
/// A larger file below these is nothing that a report reads.
const LARGE: u64 = 1 << 20;

/// Why a name stays behind.
pub(crate) fn reason(path: &Path) -> Option<(&'static str, &'static str)> {
    let emptied = EMPTIED.iter().find(|(dir, _)| path.starts_with(dir) && path != Path::new(dir));
    emptied.or_else(|| GONE.iter().find(|(name, _)| path == Path::new(name))).copied()
}

/// Decides while a tree arrives, and counts.
pub(crate) struct Filter<'a> {
    import: &'a Import,
    hollow: bool,
    /// By the name of the rule: how many objects, and bytes.
    pub left: BTreeMap<&'static str, (u64, u64)>,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(import: &'a Import, hollow: bool) -> Self {
        Self { import, hollow, left: BTreeMap::new() }
    }
}

impl Select for Filter<'_> {
    fn choose(&mut self, path: &Path, size: u64) -> Choice {
        if let Some((rule, _)) = reason(path).filter(|_| !self.import.as_is) {
            let (count, bytes) = self.left.entry(rule).or_default();
            *count += 1;
            *bytes += size;
            return Choice::Leave;
        }
        let read = |dir: &str| path.starts_with(dir);
        match self.hollow && (size > LARGE || !READ.iter().any(|dir| read(dir))) {
            true => Choice::Hollow,
            false => Choice::Take,
        }
    }

    fn below(&self) -> &Path {
        &self.import.below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_stay_and_their_content_does_not() {
        for kept in ["dev", "proc", "etc/dev", "var/tmp/x", "usr/lib/modules-load.d", "swapfiles", "home/boot/x"] {
            assert!(reason(Path::new(kept)).is_none(), "{kept}");
        }
        for gone in ["dev/sda", "proc/1/maps", "lib/modules/6.1/kernel", "swapfile", "boot/vmlinuz-6.1", "run/lock"] {
            assert!(reason(Path::new(gone)).is_some(), "{gone}");
        }
    }
}
