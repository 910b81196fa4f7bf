//! The supervisor's program as a sealed memfd: nothing that runs on a guest's behalf can be reached, as a file of the
//! host, through `/proc/PID/exe`, and the image cannot be written to. Threat model: X01.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::error::{Error, Result};

/// A sealed copy of the program at `path`.
pub fn seal(path: &Path) -> Result<OwnedFd> {
    let mut program = File::open(path).map_err(Error::io("open the program", path))?;
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let memory = memfd_create(c"vserver-supervisor", flags).map_err(Error::io("make a memfd for", path))?;
    let mut memory = File::from(memory);
    io::copy(&mut program, &mut memory).map_err(Error::io("copy the program", path))?;
    let seals = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    fcntl(&memory, FcntlArg::F_ADD_SEALS(seals)).map_err(Error::io("seal the copy of", path))?;
    Ok(memory.into())
}
