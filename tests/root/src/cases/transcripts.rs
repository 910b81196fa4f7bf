//! What the commands print, compared to the byte: one file of `transcripts/` each. A new one: a file there, a line here.

use crate::needs::Need;
use crate::transcript::play;
use crate::trial::Trial;

macro_rules! transcripts {
    ($($name:literal)*) => {
        vec![$(Trial::new(concat!("transcripts::", $name), || {
            play(include_str!(concat!("../../transcripts/", $name, ".txt")))
        }),)*]
    };
}

/// All of them.
pub fn tests() -> Vec<Trial> {
    let mut all = transcripts![
        "stat" "vps" "info" "status" "vlimit" "vwait" "helpers" "obsolete" "vkill" "chain" "attributes" "vsched" "vuname"
        "contexts" "packages" "boot" "mounts" "legacy" "templates" "methods" "snapshot"
    ];
    // With file systems of their own.
    let xfs = transcripts!["lsxid" "vdu" "fileattrs"].into_iter().map(|trial| trial.needs(Need::Tool("mkfs.xfs")));
    let btrfs = transcripts!["vdlimit"].into_iter().map(|trial| trial.needs(Need::Tool("mkfs.btrfs")));
    all.extend(xfs.chain(btrfs));
    all
}
