//! `apps/vdevmap/`: what a guest may do with single devices. Source: util-vserver, `config-tree.md` §5.11.

use std::path::{Path, PathBuf};

use crate::model::DeviceMap;
use crate::reader::Reader;

/// Bits of the file `flags`. Source: util-vserver, `flags.md` §11.
const CREATE: i64 = 0x1;
const OPEN: i64 = 0x2;
const REMAP: i64 = 0x10;

/// All entries of a directory, in alphabetical order. One with a fault is left out.
pub(crate) fn read(reader: &mut Reader, base: &Path) -> Vec<DeviceMap> {
    let mut all = Vec::new();
    for name in reader.names(base) {
        let dir = base.join(&name);
        if dir.is_dir() {
            all.extend(one(reader, &dir, name));
        }
    }
    all
}

fn one(reader: &mut Reader, dir: &Path, name: String) -> Option<DeviceMap> {
    let bits = reader.integer(&dir.join("flags")).unwrap_or(0);
    if bits & !(CREATE | OPEN | REMAP) != 0 {
        let message = format!("{bits} has bits that mean nothing");
        reader.error(&dir.join("flags"), Some(1), message, "create is 1, open 2, remap 16");
    }
    let set = |reader: &mut Reader, file: &str, bit| reader.has(&dir.join(file)) || bits & bit != 0;
    let (create, open) = (set(reader, "create", CREATE), set(reader, "open", OPEN));
    let remap = set(reader, "remap", REMAP);
    let device = path(reader, &dir.join("device"), true);
    let target = path(reader, &dir.join("target"), remap);
    if target.is_some() && !remap {
        reader.warn(
            &dir.join("target"),
            Some(1),
            "without the file 'remap' it has no effect",
            "make 'remap' beside it",
        );
    }
    let target = if remap { Some(target?) } else { None };
    Some(DeviceMap { name, device: device?, create, open, target })
}

fn path(reader: &mut Reader, file: &Path, needed: bool) -> Option<PathBuf> {
    let text = reader.scalar(file).filter(|text| !text.is_empty());
    match text {
        Some(text) if text.starts_with('/') => Some(PathBuf::from(text)),
        Some(text) => {
            reader.error(
                file,
                Some(1),
                format!("'{}' is not an absolute path", text.escape_debug()),
                "as in /dev/fuse",
            );
            None
        }
        None => {
            if needed {
                reader.error(file, None, "it names no device", "write the path of a device of the host into it");
            }
            None
        }
    }
}
