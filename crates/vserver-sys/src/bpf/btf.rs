//! The kernel's own types: only the number of a function, by which an iterator is loaded.
//!
//! Source: `Documentation/bpf/btf.rst`, `include/uapi/linux/btf.h`.

use std::io;

/// Where the kernel shows its types; 5.4 with `CONFIG_DEBUG_INFO_BTF`.
const KERNEL: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
/// `struct btf_type`: name, info, size or type.
const TYPE: usize = 12;
const FUNCTION: u32 = 12;

/// The number of the kernel function `name` among the kernel's types.
///
/// # Errors
/// `NotFound` if the kernel has no such function or does not show its types.
pub fn kernel_function(name: &str) -> io::Result<u32> {
    function(&std::fs::read(KERNEL)?, name).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

/// The same in types that were read. `None` also for bytes that make no sense.
fn function(bytes: &[u8], name: &str) -> Option<u32> {
    let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    if bytes.get(..2)? != MAGIC.to_ne_bytes() {
        return None;
    }
    let header = word(4)? as usize;
    let part = |at: usize| {
        let start = header + word(at)? as usize;
        bytes.get(start..start + word(at + 4)? as usize)
    };
    let (types, strings) = (part(8)?, part(16)?);
    let wanted = offset_of(strings, name)?;
    let (mut at, mut id) = (0, 1);
    while let Some(found) = types.get(at..at + TYPE) {
        let field = |from: usize| found[from..from + 4].try_into().ok().map(u32::from_ne_bytes);
        let (name, info) = (field(0)?, field(4)?);
        let kind = info >> 24 & 0x1f;
        if kind == FUNCTION && name == wanted {
            return Some(id);
        }
        (at, id) = (at + TYPE + more(kind, info & 0xffff)?, id + 1);
    }
    None
}

/// Where `name` stands among the strings, each of which ends with a zero.
fn offset_of(strings: &[u8], name: &str) -> Option<u32> {
    let mut at = 0;
    for string in strings.split(|&byte| byte == 0) {
        if string == name.as_bytes() {
            return u32::try_from(at).ok();
        }
        at += string.len() + 1;
    }
    None
}

/// Bytes that follow a type of this kind with so many members. `None`: a kind that nobody knew when this was written.
fn more(kind: u32, members: u32) -> Option<usize> {
    let members = members as usize;
    Some(match kind {
        // Pointer, forward, typedef, volatile, const, restrict, function, float, type tag.
        2 | 7..=12 | 16 | 18 => 0,
        // Integer, variable, declaration tag.
        1 | 14 | 17 => 4,
        // Array.
        3 => 12,
        // Structure, union, section, enumeration of 64 bits.
        4 | 5 | 15 | 19 => 12 * members,
        // Enumeration, prototype.
        6 | 13 => 8 * members,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(strings: &str, types: &[u32]) -> Vec<u8> {
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut all = MAGIC.to_ne_bytes().to_vec();
        all.extend([1, 0]);
        for word in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
            all.extend(u32::to_ne_bytes(word));
        }
        all.extend(types);
        all.extend(strings.as_bytes());
        all
    }

    /// A structure with one member stands before the function, and another kind of type has the same name.
    #[test]
    fn a_function_is_found_behind_other_types() {
        let kind = |kind: u32, members: u32| kind << 24 | members;
        let bytes = types("\0some\0iter\0", &[1, kind(4, 1), 4, 1, 2, 0, 6, kind(8, 0), 1, 6, kind(FUNCTION, 0), 1]);
        assert_eq!(function(&bytes, "iter"), Some(3));
        assert_eq!(function(&bytes, "some"), None);
        assert_eq!(function(&bytes, "none"), None);
        assert_eq!(function(&types("\0iter\0", &[1, kind(31, 0), 1]), "iter"), None);
        for length in 0..bytes.len() {
            assert_eq!(function(&bytes[..length], "iter"), None, "{length}");
        }
    }
}
