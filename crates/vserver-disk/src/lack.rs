//! What a file system lacks, and what helps.

use std::path::PathBuf;

/// Why a limit or a tag has no effect there. Each sentence says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lack {
    /// No project quotas, which this kind of file system can have.
    #[error(
        "the {kind} at '{}' does not count projects; {}, or give the guest a disk of its own: build it with \
         `--disk SIZE`", path.display(), remedy(.kind)
    )]
    NotCounted {
        /// Where.
        path: PathBuf,
        /// ext4 or xfs.
        kind: &'static str,
    },
    /// They are counted and not held to a limit.
    #[error("the {kind} at '{}' counts projects but holds none to a limit; mount it with the option 'prjquota'", path.display())]
    NotEnforced {
        /// Where.
        path: PathBuf,
        /// ext4 or xfs.
        kind: &'static str,
    },
    /// btrfs without quotas.
    #[error(
        "the btrfs at '{0}' has no quotas; turn them on with `btrfs quota enable {0}`, or give the guest a disk of its own: \
         build it with `--disk SIZE`", path.display()
    )]
    NoQuotaGroups {
        /// Where.
        path: PathBuf,
    },
    /// btrfs limits subvolumes only.
    #[error(
        "btrfs limits subvolumes, and '{0}' is a directory; make it one: `btrfs subvolume create {0}.new`, copy the tree \
         there with `cp -a --reflink=always`, and rename it", path.display()
    )]
    NoSubvolume {
        /// The tree.
        path: PathBuf,
    },
    /// The tree lies on another file system than the limit speaks of.
    #[error("the guest's tree '{}' is not on the file system at '{}'", tree.display(), path.display())]
    Elsewhere {
        /// What the limit is for.
        path: PathBuf,
        /// The tree.
        tree: PathBuf,
    },
    /// An ext4 that counts what users use, on a kernel that cannot.
    #[error(
        "the disk '{0}' counts what its users use (the feature 'quota' of ext4), and this kernel, which has no quotas \
         (CONFIG_QUOTA and CONFIG_QFMT_V2), mounts it for reading only; start the guest on a kernel that has them, or give \
         its quotas up: `tune2fs -O ^quota {0}`", image.display()
    )]
    CountedHere {
        /// The image.
        image: PathBuf,
    },
    /// No tags, and no limits either.
    #[error(
        "the file system at '{}' ({kind}) has neither tags nor limits; give the guest a disk of its own: build it with \
         `--disk SIZE`", path.display()
    )]
    Nothing {
        /// Where.
        path: PathBuf,
        /// What it is.
        kind: String,
    },
}

fn remedy(kind: &str) -> &'static str {
    match kind {
        "ext4" => "unmount it, run `tune2fs -O project,quota DEVICE` and mount it with the option 'prjquota'",
        _ => "mount it with the option 'prjquota'",
    }
}
