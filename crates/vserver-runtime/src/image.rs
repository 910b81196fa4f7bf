//! The supervisor's program as a sealed memfd: nothing that runs on a guest's behalf can be reached, as a file of the
//! host, through `/proc/PID/exe`, and the image cannot be written to. Threat model: X01.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::sendfile::sendfile;

use crate::error::{Error, Result};
use crate::record::RunRecord;

/// What makes a memfd immutable for good.
const SEALS: SealFlag =
    SealFlag::F_SEAL_SEAL.union(SealFlag::F_SEAL_SHRINK).union(SealFlag::F_SEAL_GROW).union(SealFlag::F_SEAL_WRITE);

/// The image of a supervisor that is being started.
#[derive(Debug)]
pub struct Image {
    /// What it executes.
    pub fd: OwnedFd,
}

/// The image that a supervisor of `running` executes, if it is the program at `path`, so that any number of guests cost
/// one; else a new one.
pub fn seal(path: &Path, running: &[RunRecord]) -> Result<Image> {
    let program = File::open(path).map_err(Error::io("read the program", path))?;
    if let Some(image) = share(&program, running).map_err(Error::io("read the program", path))? {
        return Ok(Image { fd: image.into() });
    }
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let fd = memfd_create(c"vserver-supervisor", flags).map_err(Error::io("make a memfd for", path))?;
    copy(&program, &fd, path)?;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(SEALS)).map_err(Error::io("seal the copy of", path))?;
    Ok(Image { fd })
}

/// In the kernel, from one page cache to another, and not through our memory.
fn copy(program: &File, image: &OwnedFd, path: &Path) -> Result<()> {
    let whole = program.metadata().map_err(Error::io("read the program", path))?.len();
    let mut left = usize::try_from(whole).unwrap_or(usize::MAX);
    while left > 0 {
        match sendfile(image, program, None, left).map_err(Error::io("copy the program", path))? {
            0 => return Err(Error::io("copy the program", path)(std::io::ErrorKind::UnexpectedEof)),
            copied => left = left.saturating_sub(copied),
        }
    }
    Ok(())
}

/// The image of one of `running`, if it holds what `program` does.
fn share(program: &File, running: &[RunRecord]) -> std::io::Result<Option<File>> {
    if running.is_empty() {
        return Ok(None);
    }
    let mut content = Vec::new();
    let mut program = program;
    program.read_to_end(&mut content)?;
    program.rewind()?;
    Ok(running.iter().find_map(|record| shared(record, &content)))
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
