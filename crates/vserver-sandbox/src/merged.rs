//! The tree of a guest that shares files with others: an overlay over it, so that whatever the guest writes becomes a file
//! of its own. Source: `Documentation/filesystems/overlayfs.rst`.
//!
//! An overlay cannot be mapped to the guest's users itself, but the layers below it can (Linux 5.19): tree and layers are
//! mapped, then the overlay is made, by root of the host as the guest's root. That way what the kernel notes in the upper
//! layer are `trusted.*` attributes, which no guest can forge, and quotas hold: an overlay never uses `CAP_SYS_RESOURCE`.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use caps::CapSet;
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use vserver_sys::mount::{self, NODEV, NOEXEC, NOSUID};

use crate::beneath;
use crate::error::{Error, Result, Step};

/// The overlay, as a detached mount. `tree` and `layers` (the directory with `upper` and `work`) are detached mounts,
/// mapped if the guest, whose ids begin at `base`, has users of its own. Runs in a mount namespace that is not the host's.
pub fn over(tree: BorrowedFd<'_>, layers: BorrowedFd<'_>, base: u32) -> Result<OwnedFd> {
    // The kernel takes layers only from where the caller's mount namespace has them: for a moment they lie on a stage of
    // their own, on top of the root. The overlay keeps private copies.
    let stage = mount::new_filesystem(c"tmpfs", &[(c"size", Some(c"4k"))], NOSUID | NODEV | NOEXEC)
        .step(|| "make a place for the layers".to_owned())?;
    mount::attach(stage.as_fd(), beneath::own_root()?.as_fd()).step(|| "attach a place for the layers".to_owned())?;
    let made = on(&stage, tree, layers, base);
    let place = format!("/proc/self/fd/{}", stage.as_raw_fd());
    let left = umount2(place.as_str(), MntFlags::MNT_DETACH).step(|| "take the place of the layers away".to_owned());
    made.and_then(|overlay| left.map(|()| overlay))
}

fn on(stage: &OwnedFd, tree: BorrowedFd<'_>, layers: BorrowedFd<'_>, base: u32) -> Result<OwnedFd> {
    let place = |name: &str| -> Result<OwnedFd> {
        mkdirat(stage, name, Mode::S_IRWXU).step(|| format!("make a place for the {name}"))?;
        beneath::target(stage, name)
    };
    mount::attach(tree, place("tree")?.as_fd()).step(|| "attach the guest's tree as a layer".to_owned())?;
    mount::attach(layers, place("layers")?.as_fd()).step(|| "attach the guest's own layers".to_owned())?;
    let (upper, work) = (beneath::target(layers, "upper")?, beneath::target(layers, "work")?);
    let named = |fd: BorrowedFd<'_>| CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default();
    let (tree, upper, work) = (named(tree), named(upper.as_fd()), named(work.as_fd()));
    let options = [
        (c"lowerdir", Some(tree.as_c_str())),
        (c"upperdir", Some(upper.as_c_str())),
        (c"workdir", Some(work.as_c_str())),
        // Each file of the upper layer is whole and where it belongs, so that it can be moved into the tree.
        (c"redirect_dir", Some(c"nofollow")),
        (c"metacopy", Some(c"off")),
        (c"index", Some(c"off")),
    ];
    as_guests_root(base, || mount::new_filesystem(c"overlay", &options, NODEV))?.step(|| {
        "make the overlay over its shared tree (it takes a kernel with overlayfs that maps owners, Linux 5.19; or make all \
         its files its own with `vserver NAME flatten`)"
            .to_owned()
    })
}

/// With all capabilities, but new files belong to the guest's root: the host's is nobody on a mapped layer.
fn as_guests_root<T>(base: u32, act: impl FnOnce() -> T) -> Result<T> {
    if base == 0 {
        return Ok(act());
    }
    let failed = |error: caps::errors::CapsError| Error::Child { report: format!("cannot keep its rights: {error}") };
    let all = caps::read(None, CapSet::Effective).map_err(failed)?;
    setfsgid(Gid::from_raw(base));
    setfsuid(Uid::from_raw(base));
    // setfsuid(2) has taken those that concern files.
    let done = caps::set(None, CapSet::Effective, &all).map(|()| act());
    setfsuid(Uid::from_raw(0));
    setfsgid(Gid::from_raw(0));
    caps::set(None, CapSet::Effective, &all).map_err(failed)?;
    done.map_err(failed)
}
