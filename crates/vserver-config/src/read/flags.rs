//! The flag lists, and what a guest's final sets are. Source: `flags.md` §12.

use std::path::{Path, PathBuf};

use vserver_types::{ContextCaps, ContextFlags, FlagEdit, FlagKind, NetCaps, NetFlags};

use crate::model::Interface;
use crate::nearest::nearest;
use crate::reader::{Line, Reader};

/// The final sets, and the edits whose base is not ours to know.
pub(super) struct Flags {
    pub bcaps: FlagEdit,
    pub ccaps: ContextCaps,
    pub cflags: ContextFlags,
    pub ncaps: NetCaps,
    pub nflags: NetFlags,
    pub umask: FlagEdit,
    /// A line `fakeinit` of its own was there.
    pub fakeinit: bool,
}

pub(super) fn read(reader: &mut Reader, dir: &Path, interfaces: &[Interface]) -> Flags {
    let bcaps = edit(reader, &dir.join("bcapabilities"), FlagKind::Bcap);
    let ccaps = edit(reader, &dir.join("ccapabilities"), FlagKind::Ccap);
    let ncaps = edit(reader, &dir.join("ncapabilities"), FlagKind::Ncap);
    let nflags = edit(reader, &dir.join("nflags"), FlagKind::Nflag);
    let umask = edit(reader, &dir.join("umask"), FlagKind::Space);
    let (cflags, fakeinit) = cflags(reader, dir);
    Flags {
        bcaps,
        ccaps: ContextCaps(ccaps.apply(ContextCaps::SECURE)),
        cflags,
        ncaps: NetCaps(ncaps.apply(NetCaps::SECURE)),
        nflags: NetFlags(net_flags(nflags, interfaces)),
        umask,
        fakeinit,
    }
}

/// What the changes come to for a guest with these addresses.
pub(crate) fn net_flags(edit: FlagEdit, interfaces: &[Interface]) -> u64 {
    let net = edit.apply(NetFlags::KERNEL_DEFAULT | NetFlags::HIDE_NETIF);
    // The kernel patch clears it when a second IPv4 address comes.
    let several = interfaces.iter().filter(|interface| interface.address.ip.is_ipv4()).count() > 1;
    if edit.mask & NetFlags::SINGLE_IP == 0 && several { net & !NetFlags::SINGLE_IP } else { net }
}

/// `personality`: a type on the first line, flags on the following ones. Source: `include/uapi/linux/personality.h`.
pub(super) fn personality(reader: &mut Reader, dir: &Path) -> Option<u32> {
    let path = dir.join("personality");
    let kind = reader.scalar(&path).filter(|kind| !kind.is_empty())?;
    let Some(value) = personality_type(&kind) else {
        let message = format!("bad personality type '{}'", kind.escape_debug());
        reader.error(&path, Some(1), message, "LINUX and LINUX32 are the ones that mean something today");
        return None;
    };
    let mut flags = FlagEdit::default();
    for line in reader.list(&path).iter().filter(|line| line.number > 1) {
        take(reader, &path, FlagKind::Personality, line, &mut flags);
    }
    u32::try_from(u64::from(value) | flags.value).ok()
}

/// The number of a personality by its name, `PER_` optional, any case. Source: `include/uapi/linux/personality.h`.
pub fn personality_type(name: &str) -> Option<u32> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("PER_").unwrap_or(&upper);
    PERSONALITIES.iter().find(|(known, _)| *known == bare).map(|(_, value)| *value)
}

fn edit(reader: &mut Reader, path: &Path, kind: FlagKind) -> FlagEdit {
    let mut edit = FlagEdit::default();
    for line in reader.list(path) {
        take(reader, path, kind, &line, &mut edit);
    }
    edit
}

/// `cflags`, or `flags` if there is none. The words `namespace` and `fakeinit` are special when alone on a line.
fn cflags(reader: &mut Reader, dir: &Path) -> (ContextFlags, bool) {
    let files: [PathBuf; 2] = [dir.join("cflags"), dir.join("flags")];
    let (mut edit, mut fakeinit) = (FlagEdit::default(), false);
    if let Some(path) = files.iter().find(|path| reader.has_file(path)) {
        for line in reader.list(path) {
            match line.text.as_str() {
                "namespace" => {}
                "fakeinit" => fakeinit = true,
                _ => take(reader, path, FlagKind::Cflag, &line, &mut edit),
            }
        }
    }
    (ContextFlags(edit.apply(ContextFlags::START)), fakeinit)
}

fn take(reader: &mut Reader, path: &Path, kind: FlagKind, line: &Line, edit: &mut FlagEdit) {
    let before = edit.mask;
    if let Err(error) = edit.parse_into(kind, &line.text) {
        let near = nearest(&bare(&error.text), kind.names().iter().map(|(name, _)| *name));
        let hint = match near {
            Some(near) => format!("did you mean '{near}'?"),
            None if error.text.contains('#') => "a comment needs a line of its own".to_owned(),
            None => format!("the names are: {}", names(kind)),
        };
        reader.error(path, Some(line.number), error.to_string(), &hint);
        return;
    }
    let named = kind.names().iter().fold(0, |sum, (_, bits)| sum | bits);
    let unnamed = (edit.mask & !before) & !named;
    if unnamed != 0 && edit.mask != u64::MAX && !matches!(kind, FlagKind::Ncap | FlagKind::Nflag) {
        let message = format!("'{}' names a bit that means nothing here", line.text.escape_debug());
        reader.warn(path, Some(line.number), message, "it is ignored");
    }
}

/// Those that have one bit.
fn names(kind: FlagKind) -> String {
    let single = kind.names().iter().filter(|(_, bits)| bits.count_ones() == 1);
    single.map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}

fn bare(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let prefixes = ["cap_", "vxc_", "vxf_", "nxc_", "nxf_"];
    let bare = prefixes.iter().find_map(|prefix| lower.strip_prefix(prefix));
    bare.unwrap_or(&lower).to_owned()
}

/// Types of personality.
pub(crate) const PERSONALITIES: [(&str, u32); 21] = [
    ("LINUX", 0x0000),
    ("LINUX_32BIT", 0x080_0000),
    ("SVR4", 0x0001 | 0x410_0000),
    ("SVR3", 0x0002 | 0x500_0000),
    ("SCOSVR3", 0x0003 | 0x700_0000),
    ("OSR5", 0x0003 | 0x600_0000),
    ("WYSEV386", 0x0004 | 0x500_0000),
    ("ISCR4", 0x0005 | 0x400_0000),
    ("BSD", 0x0006),
    ("SUNOS", 0x0006 | 0x400_0000),
    ("XENIX", 0x0007 | 0x500_0000),
    ("LINUX32", 0x0008),
    ("LINUX32_3GB", 0x0008 | 0x800_0000),
    ("IRIX32", 0x0009 | 0x400_0000),
    ("IRIXN32", 0x000a | 0x400_0000),
    ("IRIX64", 0x000b | 0x400_0000),
    ("RISCOS", 0x000c),
    ("SOLARIS", 0x000d | 0x400_0000),
    ("UW7", 0x000e | 0x410_0000),
    ("OSF4", 0x000f),
    ("HPUX", 0x0010),
];
