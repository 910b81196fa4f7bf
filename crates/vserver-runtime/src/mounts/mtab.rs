//! The guest's `/etc/mtab`.

use vserver_config::FstabEntry;
use vserver_fs::{GuestRoot, Kind};
use vserver_types::GuestName;

use crate::error::{Error, Result};

/// Every extN is shown as ufs. Source: `config-tree.md` §5.5.
pub fn mtab_line(entry: &FstabEntry) -> String {
    let kind = entry.fstype.as_deref().map_or("none", |kind| if kind.starts_with("ext") { "ufs" } else { kind });
    format!("{} {} {kind} {} 0 0\n", entry.source, entry.target, entry.options.join(","))
}

/// The guest's `/etc/mtab`, unless that is a link, as into `/proc`: `first`, then a line for each mount. One that says so
/// already stays: a file that is written anew costs a start a wait for the disk.
pub fn write_mtab(lines: &[String], tree: &GuestRoot, first: &[u8], name: &GuestName) -> Result<()> {
    let regular = match tree.readlink("etc/mtab") {
        Ok(_) => false,
        Err(_) => matches!(tree.kind("etc/mtab"), Ok(None | Some(Kind::File))),
    };
    if !regular || !matches!(tree.kind("etc"), Ok(Some(Kind::Directory))) {
        return Ok(());
    }
    let text = [first, lines.concat().as_bytes()].concat();
    if tree.read("etc/mtab", text.len() as u64).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let owner = Some(vserver_fs::Owner::ROOT);
    tree.write_atomic("etc/mtab", &text, 0o644, owner).map_err(Error::layer("write its /etc/mtab", name))
}
