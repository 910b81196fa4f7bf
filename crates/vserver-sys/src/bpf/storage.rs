//! What programs note of a socket, at the socket itself (`BPF_MAP_TYPE_SK_STORAGE`): it goes with the socket, takes memory
//! only where something was noted, and is read by whoever has a descriptor of the socket.
//!
//! The kernel wants to know the types of such a map's keys and values: two integers, described here in its own format.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::MapType;
use super::call::{command, number, object_name};
use super::map::{CreateAttr, ElementAttr, RawMapInfo, object_info};

const BPF_MAP_CREATE: c_int = 0;
const BPF_MAP_LOOKUP_ELEM: c_int = 1;
const BPF_BTF_LOAD: c_int = 18;
/// `BPF_F_NO_PREALLOC`, which this type asks for.
const NO_PREALLOC: u32 = 1;
/// Bytes of a descriptor and of what is noted.
const KEY: u32 = 4;
const VALUE: u32 = 8;
/// Numbers of the two types in [`types`].
const KEY_TYPE: u32 = 1;
const VALUE_TYPE: u32 = 2;

#[repr(C)]
struct TypedAttr {
    map: CreateAttr,
    map_ifindex: u32,
    btf_fd: u32,
    btf_key_type_id: u32,
    btf_value_type_id: u32,
}

#[repr(C)]
#[derive(Default)]
struct TypesAttr {
    btf: u64,
    btf_log_buf: u64,
    btf_size: u32,
    btf_log_size: u32,
}

const _: () = assert!(size_of::<TypedAttr>() == 60 && size_of::<TypesAttr>() == 24);

/// Makes a map that holds eight bytes for each socket, which programs read and write with `bpf_sk_storage_get`; 5.2.
///
/// # Errors
/// `EINVAL` if the kernel does not know it.
pub fn storage_create(name: &str) -> io::Result<OwnedFd> {
    let bytes = types();
    let mut attr = TypesAttr {
        btf: bytes.as_ptr().expose_provenance() as u64,
        btf_size: bytes.len() as u32,
        ..TypesAttr::default()
    };
    // SAFETY: `btf` points to `btf_size` bytes, which the kernel only reads and which outlive the call; there is no log. A
    // success is a new descriptor that nobody owns.
    let types = unsafe { command(BPF_BTF_LOAD, &mut attr).map(|fd| OwnedFd::from_raw_fd(fd)) }?;
    let map = CreateAttr {
        map_type: MapType::SocketStorage as u32,
        key_size: KEY,
        value_size: VALUE,
        map_flags: NO_PREALLOC,
        map_name: object_name(name),
        ..CreateAttr::default()
    };
    let mut attr = TypedAttr {
        map,
        map_ifindex: 0,
        btf_fd: number(types.as_fd()),
        btf_key_type_id: KEY_TYPE,
        btf_value_type_id: VALUE_TYPE,
    };
    // SAFETY: the attribute holds numbers and a name, and outlives the call; a success is a new descriptor that nobody owns.
    unsafe { command(BPF_MAP_CREATE, &mut attr).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

/// What programs have noted of a socket; `None`: nothing.
///
/// # Errors
/// `EINVAL` if `map` is not of [`storage_create`], `ENOTSOCK` if `socket` is none.
pub fn storage_get(map: BorrowedFd<'_>, socket: BorrowedFd<'_>) -> io::Result<Option<[u8; VALUE as usize]>> {
    let mut info = RawMapInfo::default();
    // SAFETY: the structure is the beginning of the kernel's, numbers and bytes only, without addresses.
    unsafe { object_info(map, &mut info) }?;
    if (info.kind, info.value_size) != (MapType::SocketStorage as u32, VALUE) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (key, mut value) = (socket.as_raw_fd(), [0; VALUE as usize]);
    let mut attr = ElementAttr {
        map_fd: number(map),
        key: (&raw const key).expose_provenance() as u64,
        value: (&raw mut value).expose_provenance() as u64,
        ..ElementAttr::default()
    };
    // SAFETY: keys of this type are descriptors, and the kernel has said how long the values are; both places outlive the call,
    // and nothing else touches them.
    match unsafe { command(BPF_MAP_LOOKUP_ELEM, &mut attr) } {
        Ok(_) => Ok(Some(value)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Two types, `int` and `long`, as `Documentation/bpf/btf.rst` describes them.
fn types() -> Vec<u8> {
    const MAGIC: u16 = 0xeb9f;
    const HEADER: u32 = 24;
    const INTEGER: u32 = 1 << 24;
    const SIGNED: u32 = 1 << 24;
    let names = b"\0int\0long\0";
    let types = [[1, INTEGER, KEY, SIGNED | (8 * KEY)], [5, INTEGER, VALUE, 8 * VALUE]].concat();
    let length = 4 * types.len() as u32;
    let mut bytes = MAGIC.to_ne_bytes().to_vec();
    // Version 1, no flags.
    bytes.extend([1, 0]);
    let header = [HEADER, 0, length, length, names.len() as u32];
    bytes.extend(header.iter().chain(&types).flat_map(|word| word.to_ne_bytes()));
    bytes.extend(names);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_are_of_the_promised_lengths() {
        let bytes = types();
        assert_eq!(bytes.len(), 24 + 2 * 16 + 10);
        assert_eq!(&bytes[24 + 32..], b"\0int\0long\0");
    }
}
