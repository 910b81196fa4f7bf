//! Access control lists as GNU tar and star write them, `user::rw-,user:1000:r--,…`, and as the kernel takes them.
//! Source: acl(5), include/uapi/linux/posix_acl_xattr.h.

/// Most entries of a list.
const ENTRIES: usize = 1024;

/// The value of the attribute `system.posix_acl_…`; `None` if an entry is for a name, which would have to be looked up
/// in a list of users that is not ours, or if it is no such list.
pub(crate) fn of_text(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut entries = text.split(['\n', ',']).map(|line| line.split('#').next().unwrap_or_default().trim());
    let mut list = entries.by_ref().filter(|line| !line.is_empty()).map(entry).collect::<Option<Vec<_>>>()?;
    if list.is_empty() || list.len() > ENTRIES {
        return None;
    }
    list.sort_unstable();
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, id, rights) in list {
        value.extend(tag.to_le_bytes());
        value.extend(rights.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    Some(value)
}

/// Tag, number, rights.
fn entry(line: &str) -> Option<(u16, u32, u16)> {
    let mut fields = line.split(':');
    let (kind, who, rights) = (fields.next()?, fields.next()?, fields.next()?);
    // star adds the number behind the name.
    let mut number = || fields.next().unwrap_or(who).parse::<u32>().ok();
    let (tag, id) = match (kind, who.is_empty()) {
        ("user" | "u", true) => (0x01, u32::MAX),
        ("user" | "u", false) => (0x02, number()?),
        ("group" | "g", true) => (0x04, u32::MAX),
        ("group" | "g", false) => (0x08, number()?),
        ("mask" | "m", true) => (0x10, u32::MAX),
        ("other" | "o", true) => (0x20, u32::MAX),
        _ => return None,
    };
    let right = |sum: u16, letter: char| match letter {
        'r' => Some(sum | 4),
        'w' => Some(sum | 2),
        'x' => Some(sum | 1),
        '-' => Some(sum),
        _ => None,
    };
    Some((tag, id, rights.trim_end().chars().try_fold(0, right)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tar_writes_is_what_the_kernel_takes() {
        let value = of_text(b"user::rw-\nuser:1000:r--\ngroup::r--\nmask::r--\nother::---\n").unwrap();
        assert_eq!(value[..4], [2, 0, 0, 0]);
        assert_eq!(value[4..12], [1, 0, 6, 0, 255, 255, 255, 255]);
        assert_eq!(value[12..20], [2, 0, 4, 0, 0xe8, 3, 0, 0]);
        assert_eq!(value.len(), 4 + 5 * 8);
        assert_eq!(of_text(b"user:joe:rwx:7").unwrap()[4..12], [2, 0, 7, 0, 7, 0, 0, 0]);
        for bad in [&b"user:joe:rwx"[..], b"", b"user::q", b"what::r", b"user", b"mask:1:r"] {
            assert!(of_text(bad).is_none(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
