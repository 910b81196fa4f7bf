//! Whether a template is what was stored: a sum over what stat(2) says of every object, the time of its last change among
//! it, which nobody can set. So a change is seen without reading the data.

use std::os::unix::ffi::OsStrExt;

use sha2::{Digest, Sha256};
use vserver_archive::Report;
use vserver_fs::GuestRoot;

use crate::Error;

/// The sum, and how much there is. The root itself is not in it: its own time changes when the template gets its place.
pub(super) fn of(root: &GuestRoot) -> Result<(String, Report), Error> {
    let mut sum = Sha256::new();
    let report = vserver_archive::survey(root, &mut |path, stat| {
        sum.update(path.as_os_str().as_bytes());
        let numbers = [
            i128::from(stat.st_mode),
            i128::from(stat.st_uid),
            i128::from(stat.st_gid),
            i128::from(stat.st_size),
            i128::from(stat.st_nlink),
            i128::from(stat.st_rdev),
            i128::from(stat.st_mtime),
            i128::from(stat.st_mtime_nsec),
            i128::from(stat.st_ctime),
            i128::from(stat.st_ctime_nsec),
        ];
        numbers.iter().for_each(|number| sum.update(number.to_le_bytes()));
    });
    let report = report.map_err(|source| Error::Unpack { tarball: root.path().to_owned(), source })?;
    Ok((hex(&sum.finalize()), report))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
