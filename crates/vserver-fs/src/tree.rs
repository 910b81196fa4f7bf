//! Bringing files of the host into a guest's tree.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::{Error, GuestRoot, Owner};

/// Largest file that is copied: these are configuration files.
const MAX: u64 = 16 << 20;

/// Copies a regular file of the host, owner and mode included, to `rel` in the guest's tree, replacing what is there.
pub fn copy_from_host(root: &GuestRoot, source: &Path, rel: impl AsRef<Path>) -> Result<(), Error> {
    let object = || source.display().to_string();
    let failed = |e| Error::call("read", object(), e);
    let info = std::fs::metadata(source).map_err(failed)?;
    if !info.is_file() {
        return Err(Error::WrongKind { object: object(), wanted: "regular file" });
    }
    let mut bytes = Vec::new();
    std::fs::File::open(source).map_err(failed)?.take(MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX {
        return Err(Error::TooLarge { object: object(), max: MAX });
    }
    root.write_atomic(rel, &bytes, info.mode() & 0o7777, Some(Owner { uid: info.uid(), gid: info.gid() }))
}
