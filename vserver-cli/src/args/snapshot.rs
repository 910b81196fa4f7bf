//! `vserver NAME snapshot`.

use clap::{Parser, Subcommand};

/// Keeps what a guest is now, and makes it that again
#[derive(Parser, Debug)]
#[command(
    name = "snapshot",
    bin_name = "vserver NAME snapshot",
    after_help = "A snapshot is a further tree beside the guest's own, .NAME.snapshots/LABEL: of a btrfs subvolume a snapshot, else a copy that \
                  shares its blocks or files. Only of a subvolume, and of a disk on a file system that shares blocks, one can be taken \
                  while the guest runs: it is what a crash would have left.\n\
                  Examples: vserver web1 snapshot create before-upgrade\n          \
                  vserver web1 snapshot create --keep 7\n          \
                  vserver web1 stop && vserver web1 snapshot restore before-upgrade && vserver web1 start"
)]
pub struct SnapshotArgs {
    #[command(subcommand)]
    pub verb: SnapshotVerb,
}

/// What is done.
#[derive(Subcommand, Debug)]
pub enum SnapshotVerb {
    /// Keep what the guest is now, and print the label
    Create {
        /// Letters, digits and . _ : + - only; without it the time in UTC
        #[arg(value_name = "LABEL")]
        label: Option<String>,
        /// Then delete the oldest ones until so many are left, 1 or more [default: apps/snapshot/keep, else all stay]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        keep: Option<u32>,
    },
    /// All snapshots, the oldest first, with the space that they take
    List {
        /// As JSON: times in seconds since 1970, sizes in bytes
        #[arg(long)]
        json: bool,
    },
    /// Make the stopped guest what it was; what it is now becomes a snapshot
    Restore {
        /// Which
        #[arg(value_name = "LABEL")]
        label: String,
        /// Throw away what it is now
        #[arg(long)]
        discard: bool,
    },
    /// Delete snapshots, with all that is only theirs
    Delete {
        /// Which
        #[arg(value_name = "LABEL", required = true)]
        labels: Vec<String>,
    },
}
