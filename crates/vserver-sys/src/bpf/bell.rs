//! A bell: programs ring it, a process sleeps beside it. It is a ring buffer (5.8) whose content nobody reads.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::{MapType, map_create};

/// Size of a page, which the kernel takes for the smallest ring buffer and for the layout of its mapping.
fn page() -> usize {
    // SAFETY: sysconf takes an integer and touches no memory.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// The map of a bell, for programs to ring with `bpf_ringbuf_output(map, 8 bytes, 8, 2)`.
///
/// # Errors
/// `EINVAL` before 5.8.
pub fn bell_create(name: &str) -> io::Result<OwnedFd> {
    map_create(MapType::RingBuffer, 0, 0, page() as u32, name)
}

/// A bell that somebody listens to. Its descriptor can be polled: readable once it has been rung.
#[derive(Debug)]
pub struct Bell {
    map: OwnedFd,
    /// How far it has been heard; the kernel reads it.
    heard: NonNull<AtomicU64>,
    /// How far it has been rung; the kernel writes it.
    rung: NonNull<AtomicU64>,
}

impl Bell {
    /// Of a map that [`bell_create`] made.
    ///
    /// # Errors
    /// `EINVAL` or `ENODEV` if it is another kind of thing.
    pub fn listen(map: OwnedFd) -> io::Result<Self> {
        let heard = position(map.as_fd(), ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, 0)?;
        // `Drop` unmaps the first if the second fails.
        let mut bell = Self { map, heard, rung: heard };
        bell.rung = position(bell.map.as_fd(), ProtFlags::PROT_READ, page())?;
        Ok(bell)
    }

    /// Forgets that it was rung: the next ring is heard anew. Do what it calls for afterwards.
    pub fn silence(&self) {
        // SAFETY: both point to live mappings of at least eight bytes, aligned to a page, for as long as `self`; the kernel
        // and we change them atomically.
        unsafe { self.heard.as_ref().store(self.rung.as_ref().load(Ordering::Acquire), Ordering::Release) };
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let (heard, rung) = (self.heard, self.rung);
        for place in std::iter::once(heard).chain((rung != heard).then_some(rung)) {
            // SAFETY: a mapping of one page that `position` made and nothing refers to any more.
            let _ = unsafe { munmap(place.cast(), page()) };
        }
    }
}

/// One of the pages with a position: that of the reader is the first of the map, that of the writers the second.
fn position(map: BorrowedFd<'_>, access: ProtFlags, offset: usize) -> io::Result<NonNull<AtomicU64>> {
    let length = NonZeroUsize::new(page()).ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: a new mapping at an address that the kernel chooses.
    let place = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, map, offset as libc::off_t) }?;
    Ok(place.cast())
}
