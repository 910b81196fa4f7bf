//! The supervisor's program as a sealed memfd: nothing that runs on a guest's behalf can be reached, as a file of the
//! host, through `/proc/PID/exe`, and the image cannot be written to. Threat model: X01.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::error::{Error, Result};
use crate::record::RunRecord;

/// What makes a memfd immutable for good.
const SEALS: SealFlag =
    SealFlag::F_SEAL_SEAL.union(SealFlag::F_SEAL_SHRINK).union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_WRITE);

/// A sealed copy of the program at `path`: the one that a supervisor of `running` executes, if it is the same program,
/// so that any number of guests cost one image; else a new one.
pub fn seal(path: &Path, running: &[RunRecord]) -> Result<OwnedFd> {
    let program = std::fs::read(path).map_err(Error::io("read the program", path))?;
    if let Some(image) = running.iter().find_map(|record| shared(record, &program)) {
        return Ok(image.into());
    }
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let memory = memfd_create(c"vserver-supervisor", flags).map_err(Error::io("make a memfd for", path))?;
    let mut memory = File::from(memory);
    memory.write_all(&program).map_err(Error::io("copy the program", path))?;
    fcntl(&memory, FcntlArg::F_ADD_SEALS(SEALS)).map_err(Error::io("seal the copy of", path))?;
    Ok(memory.into())
}

/// The image of a running supervisor, if it is sealed and holds `program`.
fn shared(record: &RunRecord, program: &[u8]) -> Option<File> {
    let mut image = File::open(format!("/proc/{}/exe", record.supervisor)).ok()?;
    let seals = fcntl(&image, FcntlArg::F_GET_SEALS).ok()?;
    if !SealFlag::from_bits_retain(seals).contains(SEALS) || image.metadata().ok()?.len() != program.len() as u64 {
        return None;
    }
    let mut content = Vec::with_capacity(program.len());
    image.read_to_end(&mut content).ok()?;
    (content == program).then_some(image)
}
