//! Archives made byte by byte, also such as no program would make.

pub mod tricks;

/// One archive in the making.
#[derive(Default)]
pub struct Tar {
    pub bytes: Vec<u8>,
}

/// The fields of a header.
#[derive(Clone)]
pub struct Head<'a> {
    pub name: &'a [u8],
    pub kind: u8,
    pub mode: u64,
    pub owner: u64,
    pub link: &'a [u8],
    pub device: (u64, u64),
}

impl<'a> Head<'a> {
    pub fn new(kind: u8, name: &'a str) -> Self {
        Head { name: name.as_bytes(), kind, mode: 0o644, owner: 0, link: b"", device: (0, 0) }
    }

    pub fn mode(self, mode: u64) -> Self {
        Head { mode, ..self }
    }

    pub fn owner(self, owner: u64) -> Self {
        Head { owner, ..self }
    }

    pub fn link(self, link: &'a str) -> Self {
        Head { link: link.as_bytes(), ..self }
    }

    pub fn device(self, major: u64, minor: u64) -> Self {
        Head { device: (major, minor), ..self }
    }
}

fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    field[..digits].copy_from_slice(format!("{value:0digits$o}").as_bytes());
}

impl Tar {
    /// A header with the size field `size`, and `data` padded to whole blocks.
    pub fn raw(mut self, head: &Head<'_>, size: u64, data: &[u8]) -> Self {
        let mut block = [0u8; 512];
        block[..head.name.len()].copy_from_slice(head.name);
        octal(&mut block[100..108], head.mode);
        octal(&mut block[108..116], head.owner);
        octal(&mut block[116..124], head.owner);
        octal(&mut block[124..136], size);
        octal(&mut block[136..148], 1_000_000_000);
        block[156] = head.kind;
        block[157..157 + head.link.len()].copy_from_slice(head.link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        octal(&mut block[329..337], head.device.0);
        octal(&mut block[337..345], head.device.1);
        self.bytes.extend(checked(block));
        self.bytes.extend(data);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self
    }

    pub fn add(self, head: Head<'_>) -> Self {
        self.raw(&head, 0, b"")
    }

    pub fn file(self, name: &str, data: &[u8]) -> Self {
        self.raw(&Head::new(b'0', name), data.len() as u64, data)
    }

    pub fn dir(self, name: &str) -> Self {
        self.add(Head::new(b'5', name).mode(0o755))
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.add(Head::new(b'2', name).link(target))
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.add(Head::new(b'1', name).link(target))
    }

    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.extended(b'x', records)
    }

    /// A name (`L`) or a link's target (`K`) for the entry that follows.
    pub fn gnu_long(self, kind: u8, text: &str) -> Self {
        self.raw(&Head::new(kind, "././@LongLink"), text.len() as u64 + 1, &[text.as_bytes(), b"\0"].concat())
    }

    pub fn extended(self, kind: u8, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest + 1..).find(|n| n - n.to_string().len() == rest).unwrap();
            data.extend(format!("{length} {key}=").as_bytes());
            data.extend(*value);
            data.push(b'\n');
        }
        self.raw(&Head::new(kind, "pax"), data.len() as u64, &data)
    }

    /// Changes bytes of the last header and sets its checksum anew.
    pub fn patch(mut self, at: usize, bytes: &[u8]) -> Self {
        let start = self.bytes.len() - 512;
        let mut block: [u8; 512] = self.bytes[start..].try_into().unwrap();
        block[at..at + bytes.len()].copy_from_slice(bytes);
        self.bytes.truncate(start);
        self.bytes.extend(checked(block));
        self
    }

    pub fn end(mut self) -> Vec<u8> {
        self.bytes.extend([0; 1024]);
        self.bytes
    }
}

fn checked(mut block: [u8; 512]) -> [u8; 512] {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}
