//! Files in the places of loop devices, in the `/dev` of a guest whose supervisor mounts files for it (ccapability `admin_cloop`): what
//! programs do with them before they mount a file, it answers.

use std::os::fd::BorrowedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag, mknodat};

use super::own;
use crate::error::{Result, Step};

/// So many files can be on their way to be mounted.
pub const COUNT: u32 = 8;
/// What gives out free numbers.
const NUMBERS: &str = "loop-control";

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// That of `/dev/loop-control`.
    Numbers,
    /// That of a loop device.
    Loop(u32),
}

/// Which one has this path.
pub fn place_of(path: &Path) -> Option<Place> {
    let name = path.to_str()?.strip_prefix("/dev/")?;
    let is_loop = |number: &u32| name == format!("loop{number}");
    if name == NUMBERS { Some(Place::Numbers) } else { (0..COUNT).find(is_loop).map(Place::Loop) }
}

/// Its path in the guest.
pub fn path(number: u32) -> String {
    format!("/dev/loop{number}")
}

/// Makes them, where the guest has no device of that name.
pub fn make(dev: BorrowedFd<'_>, base: u32) -> Result<()> {
    let names = (0..COUNT).map(|number| format!("loop{number}"));
    for name in names.chain([NUMBERS.to_owned()]) {
        match mknodat(dev, name.as_str(), SFlag::S_IFREG, Mode::from_bits_truncate(0o600), 0) {
            Ok(()) => own(dev, &name, base)?,
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno).step(|| format!("make /dev/{name}")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_known_by_their_paths() {
        assert_eq!(place_of(Path::new("/dev/loop-control")), Some(Place::Numbers));
        assert_eq!(place_of(Path::new(&path(7))), Some(Place::Loop(7)));
        for other in ["/dev/loop8", "/dev/loop07", "/dev/loop", "/srv/dev/loop0", "/dev/loop0 (deleted)"] {
            assert_eq!(place_of(Path::new(other)), None);
        }
    }
}
