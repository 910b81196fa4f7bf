//! Headers: `ustar`, and before it an extended one for whatever does not fit. Source: POSIX.1-2017, pax.

use nix::sys::stat::FileStat;

use crate::fields::checksum;
use crate::sparse::Map;

const BLOCK: usize = 512;

/// What an entry's headers say.
pub(super) struct Head<'a> {
    pub name: &'a [u8],
    pub kind: u8,
    /// Bytes of data that follow, without a map of holes.
    pub size: u64,
    pub link: Vec<u8>,
    pub device: (u64, u64),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub holes: Option<Map>,
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, u32),
}

impl<'a> Head<'a> {
    /// A file without data.
    pub(super) fn new(name: &'a [u8], stat: &FileStat) -> Self {
        Self {
            name,
            kind: b'0',
            size: 0,
            link: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
            holes: None,
            mode: stat.st_mode & 0o7777,
            owner: (stat.st_uid, stat.st_gid),
            mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
        }
    }

    /// All headers, and the map of holes, which stands before the data.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let map = self.holes.as_ref().map(lines).unwrap_or_default();
        let size = self.size + map.len() as u64;
        let records = self.records(size);
        let mut bytes = Vec::new();
        if !records.is_empty() {
            bytes.extend(block(b"./PaxHeaders", b'x', 0o644, (0, 0), records.len() as u64, 0, b"", (0, 0)));
            bytes.extend(&records);
            pad(&mut bytes);
        }
        let seconds = u64::try_from(self.mtime.0).unwrap_or(0);
        bytes.extend(block(self.name, self.kind, self.mode, self.owner, size, seconds, &self.link, self.device));
        bytes.extend(map);
        bytes
    }

    fn records(&self, size: u64) -> Vec<u8> {
        let mut records = Vec::new();
        let mut add = |key: &[u8], value: &[u8]| record(&mut records, key, value);
        if self.name.len() > 100 && self.holes.is_none() {
            add(b"path", self.name);
        }
        if self.link.len() > 100 {
            add(b"linkpath", &self.link);
        }
        if size >= 1 << 33 {
            add(b"size", size.to_string().as_bytes());
        }
        for (key, id) in [(&b"uid"[..], self.owner.0), (b"gid", self.owner.1)] {
            if id >= 1 << 21 {
                add(key, id.to_string().as_bytes());
            }
        }
        if self.mtime.1 != 0 || !(0..1 << 33).contains(&self.mtime.0) {
            add(b"mtime", time(self.mtime).as_bytes());
        }
        if let Some(map) = &self.holes {
            add(b"GNU.sparse.major", b"1");
            add(b"GNU.sparse.minor", b"0");
            add(b"GNU.sparse.name", self.name);
            add(b"GNU.sparse.realsize", map.size.to_string().as_bytes());
        }
        for (name, value) in &self.xattrs {
            add(&[b"SCHILY.xattr.", &name[..]].concat(), value);
        }
        records
    }
}

/// `[-]seconds[.fraction]`; what is before 1970 counts backwards as a whole.
fn time((seconds, nanos): (i64, u32)) -> String {
    match (seconds < 0, nanos) {
        (_, 0) => seconds.to_string(),
        (false, nanos) => format!("{seconds}.{nanos:09}"),
        (true, nanos) => {
            let rest = 1_000_000_000 - nanos;
            format!("-{}.{rest:09}", -(seconds + 1))
        }
    }
}

fn lines(map: &Map) -> Vec<u8> {
    let mut text = format!("{}\n", map.stretches.len());
    for (at, length) in &map.stretches {
        text.push_str(&format!("{at}\n{length}\n"));
    }
    let mut bytes = text.into_bytes();
    pad(&mut bytes);
    bytes
}

fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    // The length counts its own digits.
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length += 1;
    }
    records.extend(format!("{length} ").as_bytes());
    records.extend([key, b"=", value, b"\n"].concat());
}

#[expect(clippy::too_many_arguments, reason = "they are the fields of a header, each once")]
fn block(
    name: &[u8],
    kind: u8,
    mode: u32,
    owner: (u32, u32),
    size: u64,
    seconds: u64,
    link: &[u8],
    device: (u64, u64),
) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    put(&mut block[..100], name);
    octal(&mut block[100..108], u64::from(mode));
    // What does not fit stands in the extended header.
    octal(&mut block[108..116], u64::from(owner.0));
    octal(&mut block[116..124], u64::from(owner.1));
    octal(&mut block[124..136], size);
    octal(&mut block[136..148], seconds);
    block[156] = kind;
    put(&mut block[157..257], link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    octal(&mut block[329..337], device.0);
    octal(&mut block[337..345], device.1);
    let sum = checksum(&block);
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn put(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

/// Zero where the number has too many digits.
fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let value = if value >> (3 * digits) == 0 { value } else { 0 };
    put(field, format!("{value:0digits$o}").as_bytes());
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_read_as_they_were() {
        for mtime in [(-2, 500_000_000), (0, 1), (-1, 999_999_999), (5, 0), (-7, 0), (1 << 40, 123)] {
            let mut records = Vec::new();
            record(&mut records, b"mtime", time(mtime).as_bytes());
            assert_eq!(crate::pax::Pax::parse(&records).unwrap().mtime, Some(mtime), "{}", time(mtime));
        }
    }
}
