//! Directories like those of a guest that a command line names: `vsysctl --dir`, `vlimit --dir`, `vsched --dir`.

use std::collections::BTreeMap;
use std::path::Path;

use vserver_types::{Resource, ResourceLimit};

use super::{limits, sysctl};
use crate::error::{Error, Severity};
use crate::reader::Reader;
use crate::sched::{self, Bucket};

/// Settings below `/proc/sys`, as of `sysctl/`, in alphabetical order of the entries.
///
/// # Errors
/// [`Error::Invalid`] with every fault.
pub fn sysctl_of(dir: &Path) -> Result<Vec<(String, String)>, Error> {
    faultless(|reader| sysctl::entries(reader, dir))
}

/// Limits, as of `rlimits/`.
///
/// # Errors
/// [`Error::Invalid`] with every fault.
pub fn rlimits_of(dir: &Path) -> Result<BTreeMap<Resource, ResourceLimit>, Error> {
    faultless(|reader| limits::rlimits(reader, dir))
}

/// A token bucket, as of `sched/`.
///
/// # Errors
/// [`Error::Invalid`] with every fault.
pub fn bucket_of(dir: &Path) -> Result<Bucket, Error> {
    faultless(|reader| sched::bucket(reader, dir))
}

fn faultless<T>(read: impl FnOnce(&mut Reader) -> T) -> Result<T, Error> {
    let mut reader = Reader::default();
    let found = read(&mut reader);
    if reader.findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(Error::Invalid { diagnostics: reader.findings });
    }
    Ok(found)
}
