//! Links: attachments to a network namespace, which live as long as a descriptor.

use std::ffi::c_int;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use super::AttachType;
use super::call::{IdAttr, by_id, command, number};
use super::map::object_info;

const BPF_LINK_CREATE: c_int = 28;
const BPF_LINK_UPDATE: c_int = 29;
const BPF_LINK_GET_FD_BY_ID: c_int = 30;
const BPF_LINK_GET_NEXT_ID: c_int = 31;
const BPF_LINK_TYPE_ITER: u32 = 4;
const BPF_LINK_TYPE_NETNS: u32 = 5;

/// An attachment to a network namespace.
#[derive(Debug)]
pub struct NetnsLink {
    /// It ends with the last descriptor.
    pub fd: OwnedFd,
    /// Id of its program.
    pub program: u32,
    /// Inode number of the namespace.
    pub netns: u32,
    /// `enum bpf_attach_type`.
    pub place: u32,
}

#[repr(C)]
#[derive(Default)]
struct CreateAttr {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct UpdateAttr {
    link_fd: u32,
    new_prog_fd: u32,
    flags: u32,
    old_prog_fd: u32,
}

/// The beginning of `struct bpf_link_info` with the part about network namespaces.
#[repr(C)]
#[derive(Default)]
struct RawInfo {
    kind: u32,
    id: u32,
    prog_id: u32,
    padding: u32,
    netns_ino: u32,
    attach_type: u32,
}

const _: () = assert!(size_of::<CreateAttr>() == 16 && std::mem::offset_of!(RawInfo, netns_ino) == 16);

/// Attaches a program to a network namespace (`BPF_LINK_CREATE`, 5.8), after those that are there; at most 64.
///
/// # Errors
/// `EINVAL` if the kernel does not know the place; `E2BIG` if there are too many.
pub fn link_create(program: BorrowedFd<'_>, netns: BorrowedFd<'_>, place: AttachType) -> io::Result<OwnedFd> {
    let mut attr = CreateAttr {
        prog_fd: number(program),
        target_fd: number(netns),
        attach_type: place as u32,
        ..CreateAttr::default()
    };
    // SAFETY: the attribute holds numbers only and outlives the call; a success is a new descriptor that nobody owns.
    unsafe { command(BPF_LINK_CREATE, &mut attr).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

/// Puts `program` in the place of the one of an attachment or iterator (`BPF_LINK_UPDATE`, 5.8), which must be of the same kind.
///
/// # Errors
/// `EINVAL` if it is of another kind.
pub fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = UpdateAttr { link_fd: number(link), new_prog_fd: number(program), ..UpdateAttr::default() };
    // SAFETY: the attribute holds numbers only and outlives the call.
    unsafe { command(BPF_LINK_UPDATE, &mut attr) }.map(drop)
}

/// All attachments to network namespaces, of whoever made them (`BPF_LINK_GET_NEXT_ID`, 5.8). Needs CAP_SYS_ADMIN.
///
/// # Errors
/// `EINVAL` if the kernel does not know links.
pub fn netns_links() -> io::Result<Vec<NetnsLink>> {
    let of_namespaces = links(BPF_LINK_TYPE_NETNS)?.into_iter().map(|(fd, info)| NetnsLink {
        fd,
        program: info.prog_id,
        netns: info.netns_ino,
        place: info.attach_type,
    });
    Ok(of_namespaces.collect())
}

/// All iterators, of whoever made them, with the ids of their programs. Needs CAP_SYS_ADMIN.
///
/// # Errors
/// As [`netns_links`].
pub fn iter_links() -> io::Result<Vec<(OwnedFd, u32)>> {
    Ok(links(BPF_LINK_TYPE_ITER)?.into_iter().map(|(fd, info)| (fd, info.prog_id)).collect())
}

fn links(kind: u32) -> io::Result<Vec<(OwnedFd, RawInfo)>> {
    let (mut found, mut id) = (Vec::new(), 0);
    loop {
        let mut attr = IdAttr { id, ..IdAttr::default() };
        // SAFETY: the attribute holds numbers only and outlives the call.
        match unsafe { command(BPF_LINK_GET_NEXT_ID, &mut attr) } {
            Ok(_) => id = attr.next_id,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(found),
            Err(error) => return Err(error),
        }
        // One that has gone meanwhile is none.
        let Ok(fd) = by_id(BPF_LINK_GET_FD_BY_ID, id) else { continue };
        let mut info = RawInfo::default();
        // SAFETY: the structure is the beginning of the kernel's, numbers only. Of some other kinds of links the kernel takes
        // what stands where the namespace's numbers are for the address of a name and its length, which are null here.
        unsafe { object_info(std::os::fd::AsFd::as_fd(&fd), &mut info) }?;
        if info.kind == kind {
            found.push((fd, info));
        }
    }
}
