//! Files in the places of loop devices, in the `/dev` of a guest whose supervisor mounts files for it (ccapability `admin_cloop`): what
//! programs do with them before they mount a file, it answers.

use std::os::fd::BorrowedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{Mode, SFlag, mkdirat, mknodat};
use nix::unistd::linkat;

use super::own;
use crate::error::{Result, Step};

/// So many files can be on their way to be mounted.
pub const COUNT: u32 = 8;
/// What gives out free numbers.
const NUMBERS: &str = "loop-control";
/// The directory of their other names.
const BARE: &str = ".loop";

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

/// Its other path, where nothing is mounted on it.
pub fn bare_path(number: u32) -> String {
    format!("/dev/{BARE}/{number}")
}

/// Makes them, where the guest has no device of that name.
pub fn make(dev: BorrowedFd<'_>, base: u32) -> Result<()> {
    mkdirat(dev, BARE, Mode::S_IRWXU).step(|| format!("make /dev/{BARE}"))?;
    own(dev, BARE, base)?;
    for number in 0..COUNT {
        let name = format!("loop{number}");
        if is_made(dev, &name, base)? {
            let other = format!("{BARE}/{number}");
            linkat(dev, name.as_str(), dev, other.as_str(), AtFlags::empty())
                .step(|| format!("link /dev/{other}"))?;
        }
    }
    is_made(dev, NUMBERS, base).map(drop)
}

/// Makes an empty file, unless something is there already.
fn is_made(dev: BorrowedFd<'_>, name: &str, base: u32) -> Result<bool> {
    match mknodat(dev, name, SFlag::S_IFREG, Mode::S_IRUSR | Mode::S_IWUSR, 0) {
        Ok(()) => own(dev, name, base).map(|()| true),
        Err(Errno::EEXIST) => Ok(false),
        Err(errno) => Err(errno).step(|| format!("make /dev/{name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_known_by_their_paths() {
        assert_eq!(place_of(Path::new("/dev/loop-control")), Some(Place::Numbers));
        assert_eq!(place_of(Path::new(&path(7))), Some(Place::Loop(7)));
        for other in
            ["/dev/loop8", "/dev/loop07", "/dev/.loop/7", "/dev/loop", "/srv/dev/loop0", "/dev/loop0 (deleted)"]
        {
            assert_eq!(place_of(Path::new(other)), None);
        }
    }
}
