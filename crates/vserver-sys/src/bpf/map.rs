//! Maps: what programs remember, and share.

use std::ffi::c_int;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use super::call::{NAME_LENGTH, by_id, command, number, object_name};

const BPF_MAP_CREATE: c_int = 0;
const BPF_MAP_LOOKUP_ELEM: c_int = 1;
const BPF_MAP_UPDATE_ELEM: c_int = 2;
const BPF_MAP_GET_FD_BY_ID: c_int = 14;
const BPF_OBJ_GET_INFO_BY_FD: c_int = 15;
/// More maps than any program of ours has.
const MAX_MAPS: usize = 8;
/// `BPF_F_NO_PREALLOC`; 4.6.
const NO_PREALLOC: u32 = 1;

/// `enum bpf_map_type`, those that we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum MapType {
    /// A table, whose entries take memory only while they are there; 3.19.
    Hash = 1,
    /// Values by a number that is below the number of entries; 3.19.
    Array = 2,
    /// The same, a value for each processor; 4.6.
    PercpuArray = 6,
    /// A table whose least used entries give way when it is full; 4.10.
    LruHash = 9,
    /// Sockets by key; one that is closed is taken out; 4.18.
    SockHash = 18,
    /// Something about each socket, which goes with it; see [`super::storage_create`]; 5.2.
    SocketStorage = 24,
    /// A queue from programs to a process, of whole pages; 5.8.
    RingBuffer = 27,
}

/// What is known of a loaded program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgInfo {
    /// Its name, at most 15 letters.
    pub name: String,
    /// The ids of its maps.
    pub maps: Vec<u32>,
}

#[repr(C)]
#[derive(Default)]
pub(super) struct CreateAttr {
    pub map_type: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub map_flags: u32,
    pub inner_map_fd: u32,
    pub numa_node: u32,
    pub map_name: [u8; NAME_LENGTH],
}

#[repr(C)]
#[derive(Default)]
struct InfoAttr {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// Of the commands about one element.
#[repr(C)]
#[derive(Default)]
pub(super) struct ElementAttr {
    pub map_fd: u32,
    pub padding: u32,
    pub key: u64,
    /// Or the next key.
    pub value: u64,
    pub flags: u64,
}

/// The beginning of `struct bpf_map_info`.
#[repr(C)]
#[derive(Default)]
pub(super) struct RawMapInfo {
    pub kind: u32,
    id: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    map_flags: u32,
    name: [u8; NAME_LENGTH],
}

/// The beginning of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Default)]
struct RawProgInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_len: u32,
    xlated_len: u32,
    jited: u64,
    xlated: u64,
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; NAME_LENGTH],
}

const _: () = assert!(size_of::<CreateAttr>() == 44 && size_of::<InfoAttr>() == 16);
const _: () = assert!(size_of::<ElementAttr>() == 32 && size_of::<RawMapInfo>() == 40);
const _: () = assert!(size_of::<RawProgInfo>() == 80 && std::mem::offset_of!(RawProgInfo, map_ids) == 56);

/// Makes a map (`BPF_MAP_CREATE`). It lives as long as a descriptor or a program refers to it. Sizes in bytes.
///
/// # Errors
/// `EINVAL` if the kernel does not know the type or the sizes do not suit it.
pub fn map_create(kind: MapType, key: u32, value: u32, entries: u32, name: &str) -> io::Result<OwnedFd> {
    let mut attr = CreateAttr {
        map_type: kind as u32,
        key_size: key,
        value_size: value,
        max_entries: entries,
        map_flags: if kind == MapType::Hash { NO_PREALLOC } else { 0 },
        map_name: object_name(name),
        ..CreateAttr::default()
    };
    // SAFETY: the attribute holds numbers and a name, and outlives the call; a success is a new descriptor that nobody owns.
    unsafe { command(BPF_MAP_CREATE, &mut attr).map(|fd| OwnedFd::from_raw_fd(fd)) }
}

/// The map with this id (`BPF_MAP_GET_FD_BY_ID`, 4.13). Needs CAP_SYS_ADMIN.
///
/// # Errors
/// `ENOENT` if there is none.
pub fn map_by_id(id: u32) -> io::Result<OwnedFd> {
    by_id(BPF_MAP_GET_FD_BY_ID, id)
}

/// Name and maps of a loaded program (`BPF_OBJ_GET_INFO_BY_FD`, 4.15).
///
/// # Errors
/// `EINVAL` if it is no program.
pub fn prog_info(program: BorrowedFd<'_>) -> io::Result<ProgInfo> {
    let mut ids = [0_u32; MAX_MAPS];
    let mut info = RawProgInfo {
        nr_map_ids: MAX_MAPS as u32,
        map_ids: ids.as_mut_ptr().expose_provenance() as u64,
        ..RawProgInfo::default()
    };
    // SAFETY: `map_ids` points to room for `nr_map_ids` numbers, which nothing else touches before the call returns; the
    // other addresses in the structure are null with length 0.
    unsafe { object_info(program, &mut info) }?;
    let length = info.name.iter().position(|&byte| byte == 0).unwrap_or(NAME_LENGTH);
    let known = MAX_MAPS.min(info.nr_map_ids as usize);
    Ok(ProgInfo { name: String::from_utf8_lossy(&info.name[..length]).into_owned(), maps: ids[..known].to_vec() })
}

/// Name of a map (4.15).
///
/// # Errors
/// `EINVAL` if it is none.
pub fn map_name(map: BorrowedFd<'_>) -> io::Result<String> {
    let mut info = RawMapInfo::default();
    // SAFETY: the structure is the beginning of the kernel's, numbers and bytes only, without addresses.
    unsafe { object_info(map, &mut info) }?;
    let length = info.name.iter().position(|&byte| byte == 0).unwrap_or(NAME_LENGTH);
    Ok(String::from_utf8_lossy(&info.name[..length]).into_owned())
}

/// The value of `key` (`BPF_MAP_LOOKUP_ELEM`), whose length is `length`, a multiple of 8; those of all processors one after the
/// other if `each` processor has its own. `key` must be as long as the map's keys, `length` as its values, and `each` true for
/// such maps: the call asks the kernel and refuses otherwise.
///
/// # Errors
/// `ENOENT` if there is none, `EINVAL` if the lengths are others.
pub fn map_read(map: BorrowedFd<'_>, key: &[u8], length: u32, each: bool) -> io::Result<Vec<u8>> {
    fits(map, key, length, each)?;
    let processors = if each { possible_processors()? } else { 1 };
    let mut value = vec![0_u8; length as usize * processors];
    let mut attr = ElementAttr {
        map_fd: number(map),
        key: key.as_ptr().expose_provenance() as u64,
        value: value.as_mut_ptr().expose_provenance() as u64,
        ..ElementAttr::default()
    };
    // SAFETY: the kernel has said that keys of this map are as long as `key` and values as `length`, one for each processor at
    // most, for which `value` has room; nothing else touches it before the call returns.
    unsafe { command(BPF_MAP_LOOKUP_ELEM, &mut attr) }?;
    Ok(value)
}

/// Sets the value of `key` (`BPF_MAP_UPDATE_ELEM`) in a map that has one for all processors.
///
/// # Errors
/// `EINVAL` if the lengths are not those of the map.
pub fn map_write(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    fits(map, key, value.len() as u32, false)?;
    let mut attr = ElementAttr {
        map_fd: number(map),
        key: key.as_ptr().expose_provenance() as u64,
        value: value.as_ptr().expose_provenance() as u64,
        ..ElementAttr::default()
    };
    // SAFETY: the kernel has said that keys and values of this map are as long as these, which it only reads.
    unsafe { command(BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
}

/// Whether a map has such keys and values.
fn fits(map: BorrowedFd<'_>, key: &[u8], value: u32, each: bool) -> io::Result<()> {
    let mut info = RawMapInfo::default();
    // SAFETY: as in `map_name`.
    unsafe { object_info(map, &mut info) }?;
    let lengths = info.key_size as usize == key.len() && info.value_size == value && value.is_multiple_of(8);
    let kind = if each { info.kind == MapType::PercpuArray as u32 } else { info.kind == MapType::Array as u32 };
    if lengths && kind { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// How many values the kernel copies: processors that could ever be there, `0-N`.
fn possible_processors() -> io::Result<usize> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    let last = text.trim().rsplit(['-', ',']).next().and_then(|number| number.parse::<usize>().ok());
    last.map(|last| last + 1).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Fills the beginning of a structure that describes an object.
///
/// # Safety
/// `T` is the beginning of the structure that the kernel has for this kind of object, valid as any bytes, and the
/// addresses in it are valid for what the kernel writes there.
pub(super) unsafe fn object_info<T>(object: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    let mut attr = InfoAttr {
        bpf_fd: number(object),
        info_len: size_of::<T>() as u32,
        info: std::ptr::from_mut(info).expose_provenance() as u64,
    };
    // SAFETY: `info` is exclusively borrowed and has `info_len` bytes; the rest is the caller's promise.
    unsafe { command(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }.map(drop)
}
