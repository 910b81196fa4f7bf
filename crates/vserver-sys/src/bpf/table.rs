//! Tables, as a process reads and changes them.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::MapType;
use super::call::{command, number};
use super::map::{ElementAttr, RawMapInfo, object_info};

const BPF_MAP_LOOKUP_ELEM: c_int = 1;
const BPF_MAP_UPDATE_ELEM: c_int = 2;
const BPF_MAP_DELETE_ELEM: c_int = 3;
const BPF_MAP_GET_NEXT_KEY: c_int = 4;
const BPF_NOEXIST: u64 = 1;

/// The value of `key`, `None` if there is none; of a table of sockets it is the cookie of the socket (5.1).
///
/// # Errors
/// `EINVAL` if it is no table or the key has another length.
pub fn table_get(map: BorrowedFd<'_>, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let info = table(map, Some(key))?;
    let mut value = vec![0_u8; info.value_size as usize];
    let mut attr = ElementAttr { value: value.as_mut_ptr().expose_provenance() as u64, ..element(map, key) };
    // SAFETY: the kernel has said that keys of this map are as long as `key` and values as `value`, which nothing else touches.
    match unsafe { command(BPF_MAP_LOOKUP_ELEM, &mut attr) } {
        Ok(_) => Ok(Some(value)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets the value of `key` in a table whose values are bytes.
///
/// # Errors
/// `EINVAL` if it is no such table or the lengths are others.
pub fn table_set(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    let info = table(map, Some(key))?;
    if info.kind != MapType::LruHash as u32 || info.value_size as usize != value.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut attr = ElementAttr { value: value.as_ptr().expose_provenance() as u64, ..element(map, key) };
    // SAFETY: the kernel has said that keys and values of this map are as long as these, which it only reads.
    unsafe { command(BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
}

/// All keys; what comes or goes meanwhile may be missing.
///
/// # Errors
/// `EINVAL` if it is no table.
pub fn table_keys(map: BorrowedFd<'_>) -> io::Result<Vec<Vec<u8>>> {
    let info = table(map, None)?;
    let mut keys: Vec<Vec<u8>> = Vec::new();
    // The kernel begins anew after a key that has gone, so without a bound this might never end.
    while keys.len() < 2 * info.max_entries as usize {
        let mut next = vec![0_u8; info.key_size as usize];
        let mut attr = ElementAttr {
            value: next.as_mut_ptr().expose_provenance() as u64,
            ..element(map, keys.last().map_or(&[], Vec::as_slice))
        };
        // SAFETY: `key` is null, for the first, or as long as the keys of this map; `value` has room for one.
        match unsafe { command(BPF_MAP_GET_NEXT_KEY, &mut attr) } {
            Ok(_) => keys.push(next),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => break,
            Err(error) => return Err(error),
        }
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// Takes `key` out; that it is not there is no error.
///
/// # Errors
/// `EINVAL` if it is no table or the key has another length.
pub fn table_remove(map: BorrowedFd<'_>, key: &[u8]) -> io::Result<()> {
    table(map, Some(key))?;
    // SAFETY: the kernel has said that keys of this map are as long as `key`, which it only reads.
    match unsafe { command(BPF_MAP_DELETE_ELEM, &mut element(map, key)) } {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        _ => Ok(()),
    }
}

/// Enters a socket in a table of sockets; one that is there under this key stays. A process may do that from 5.9 on.
///
/// # Errors
/// `EOPNOTSUPP` if it is neither a listening TCP socket nor a datagram socket.
pub fn socket_enter(map: BorrowedFd<'_>, key: &[u8], socket: BorrowedFd<'_>) -> io::Result<()> {
    if table(map, Some(key))?.kind != MapType::SockHash as u32 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let descriptor = u64::from(socket.as_raw_fd().cast_unsigned());
    let mut attr = ElementAttr {
        value: (&raw const descriptor).expose_provenance() as u64,
        flags: BPF_NOEXIST,
        ..element(map, key)
    };
    // SAFETY: the kernel has said that keys of this map are as long as `key`; the value is a descriptor of eight bytes, as
    // tables of sockets take it whose values have eight (`table` asks), and lives until the call returns.
    match unsafe { command(BPF_MAP_UPDATE_ELEM, &mut attr) } {
        Err(error) if error.raw_os_error() != Some(libc::EEXIST) => Err(error),
        _ => Ok(()),
    }
}

fn element(map: BorrowedFd<'_>, key: &[u8]) -> ElementAttr {
    let key = if key.is_empty() { 0 } else { key.as_ptr().expose_provenance() as u64 };
    ElementAttr { map_fd: number(map), key, ..ElementAttr::default() }
}

/// What the kernel says of a table whose keys are like `key`.
fn table(map: BorrowedFd<'_>, key: Option<&[u8]>) -> io::Result<RawMapInfo> {
    let mut info = RawMapInfo::default();
    // SAFETY: as in `map_name`.
    unsafe { object_info(map, &mut info) }?;
    let sockets = info.kind == MapType::SockHash as u32 && info.value_size == 8;
    let known = sockets || info.kind == MapType::LruHash as u32;
    let fits = key.is_none_or(|key| key.len() == info.key_size as usize);
    if known && fits { Ok(info) } else { Err(io::ErrorKind::InvalidInput.into()) }
}
