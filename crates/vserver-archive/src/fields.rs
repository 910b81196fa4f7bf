//! The fields of a header, each with one meaning.

use tar::{EntryType, Header};

use crate::stream::Kind;

/// The sum of a header's bytes, its own field counting as blanks.
pub(crate) fn checksum(block: &[u8]) -> u32 {
    let byte = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) };
    block.iter().enumerate().map(byte).sum()
}

pub(crate) fn kind(header: &Header, name: &[u8]) -> Result<Kind, &'static str> {
    Ok(match header.entry_type() {
        // Before POSIX, a directory was a file with a slash at its end.
        EntryType::Regular if name.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
        EntryType::Link => Kind::HardLink,
        EntryType::Symlink => Kind::Symlink,
        EntryType::Char => Kind::Character,
        EntryType::Block => Kind::Block,
        EntryType::Directory => Kind::Directory,
        EntryType::Fifo => Kind::Fifo,
        _ => return Err("it is of an unknown type"),
    })
}

pub(crate) fn device(header: &Header, kind: Kind) -> Result<(u64, u64), ()> {
    if !matches!(kind, Kind::Character | Kind::Block) {
        return Ok((0, 0));
    }
    // These fields lie in the same place in both formats that have them.
    let block = header.as_bytes();
    Ok((number(&block[329..337])?, number(&block[337..345])?))
}

/// A number: octal digits between blanks or NULs, or big-endian binary after 0x80. Nothing else, no sign, no overflow.
pub(crate) fn number(field: &[u8]) -> Result<u64, ()> {
    if let [0x80, bytes @ ..] = field {
        return bytes.iter().try_fold(0u64, |n, b| n.checked_mul(256)?.checked_add(u64::from(*b))).ok_or(());
    }
    let blank = |b: &u8| *b == b' ' || *b == 0;
    let start = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    if !digits[end..].iter().all(blank) {
        return Err(());
    }
    let digit =
        |n: u64, b: &u8| matches!(b, b'0'..=b'7').then(|| n.checked_mul(8)?.checked_add(u64::from(b - b'0')))?;
    digits[..end].iter().try_fold(0, digit).ok_or(())
}

/// Stretches of the old sparse format, two numbers of 12 bytes each; the first empty one ends them.
pub(crate) fn collect(fields: &[u8], stretches: &mut Vec<(u64, u64)>) -> bool {
    for pair in fields.chunks_exact(24).take_while(|pair| pair[0] != 0) {
        match (number(&pair[..12]), number(&pair[12..])) {
            (Ok(at), Ok(length)) => stretches.push((at, length)),
            _ => return false,
        }
    }
    true
}

/// Seconds; before 1970 they are a negative binary number, as GNU tar writes it.
pub(crate) fn time(field: &[u8]) -> Result<(i64, u32), ()> {
    if let [0xff, 0xff, 0xff, 0xff, bytes @ ..] = field {
        return <[u8; 8]>::try_from(bytes).map(|bytes| (i64::from_be_bytes(bytes), 0)).map_err(drop);
    }
    i64::try_from(number(field)?).map(|seconds| (seconds, 0)).map_err(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_meaning() {
        assert_eq!(number(b"0000644\0"), Ok(0o644));
        assert_eq!(number(b" 644 \0\0\0"), Ok(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Ok(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\x01\0"), Ok(256));
        for bad in [&b"00-1\0\0\0\0"[..], b"0000648\0", b"64 64\0\0\0", b"\xff\xff\xff\xff\xff\xff\xff\xff", b"0x1\0"]
        {
            assert_eq!(number(bad), Err(()), "{bad:?}");
        }
        assert_eq!(time(&[0xff; 12]), Ok((-1, 0)));
        assert_eq!(number(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Err(()));
    }
}
