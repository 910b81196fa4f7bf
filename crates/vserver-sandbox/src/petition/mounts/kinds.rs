//! Which file systems are mounted for a guest, and with which options. All others of a type's options are refused.
//!
//! btrfs is not among them: it looks for its devices by an id that stands on them, so what a guest writes there could name a file
//! system of the host's. What one of these has on other devices (the journal of an ext4) the guest's device policy decides.

use std::ffi::{CStr, CString};

use nix::errno::Errno;

use crate::userns::IDS;

/// A type of file systems.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// As the kernel calls it.
    pub name: &'static CStr,
    pub owners: Owners,
    /// It writes to its device though it is mounted read-only, to bring its journal to an end.
    pub journal: bool,
    /// How a file of this type is mounted: as which type, and with what it keeps on no other device.
    pub alone: (&'static CStr, Option<&'static CStr>),
    /// What it is mounted with unless the call says otherwise.
    defaults: &'static [(&'static str, &'static str)],
    options: &'static [(&'static str, Takes)],
}

/// How the owners of its files become the guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owners {
    /// The mount maps them: those on the disk are those inside.
    Mapped,
    /// It cannot: all files have one owner, by an option that wants the host's number.
    One,
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    /// One of these.
    Word(&'static [&'static str]),
    /// Bits, octal.
    Mode,
    /// A user or a group of the guest's.
    Id,
}

use Takes::{Id, Mode, Nothing, Word};

/// Without "panic": that would be the host's.
const ERRORS: (&str, Takes) = ("errors", Word(&["continue", "remount-ro"]));

/// Those of one driver. That it is to be read-only after an error is always said: what stands on the disk could want a panic
/// of the kernel then.
const fn ext(name: &'static CStr) -> Kind {
    const OPTIONS: [(&str, Takes); 5] =
        [ERRORS, ("discard", Nothing), ("nodiscard", Nothing), ("noload", Nothing), ("norecovery", Nothing)];
    Kind {
        name,
        owners: Owners::Mapped,
        journal: true,
        // The driver of ext4 mounts the older ones, too, and only of an ext4 it takes the word.
        alone: (c"ext4", Some(c"noload")),
        defaults: &[("errors", "remount-ro")],
        options: &OPTIONS,
    }
}

/// All of them.
const KINDS: [Kind; 6] = [
    ext(c"ext4"),
    ext(c"ext3"),
    ext(c"ext2"),
    Kind {
        name: c"xfs",
        owners: Owners::Mapped,
        journal: true,
        alone: (c"xfs", None),
        defaults: &[],
        options: &[("discard", Nothing), ("nodiscard", Nothing), ("norecovery", Nothing), ("nouuid", Nothing)],
    },
    Kind {
        name: c"vfat",
        owners: Owners::Mapped,
        journal: false,
        alone: (c"vfat", None),
        defaults: &[("errors", "remount-ro")],
        options: &[
            ERRORS,
            ("discard", Nothing),
            ("uid", Id),
            ("gid", Id),
            ("umask", Mode),
            ("dmask", Mode),
            ("fmask", Mode),
        ],
    },
    Kind {
        name: c"iso9660",
        owners: Owners::One,
        journal: false,
        alone: (c"iso9660", None),
        defaults: &[("uid", "0"), ("gid", "0")],
        options: &[
            ("uid", Id),
            ("gid", Id),
            ("mode", Mode),
            ("dmode", Mode),
            ("norock", Nothing),
            ("nojoliet", Nothing),
        ],
    },
];

impl Kind {
    /// The one of this name, if it is mounted for guests.
    pub fn of(name: &CStr) -> Option<&'static Self> {
        const ALL: &[Kind] = &KINDS;
        ALL.iter().find(|kind| kind.name == name)
    }

    /// What `data`, as mount(2) takes it, says to the file system, for a guest whose ids begin at `base`. `EINVAL` for what is
    /// not allowed.
    pub fn options(&self, data: &CStr, base: u32) -> nix::Result<Vec<(CString, Option<CString>)>> {
        let text = data.to_str().map_err(|_| Errno::EINVAL)?;
        let said = text.split(',').filter(|word| !word.is_empty());
        let said: Vec<_> =
            said.map(|word| word.split_once('=').map_or((word, None), |(n, v)| (n, Some(v)))).collect();
        let is_said = |name: &str| said.iter().any(|(said, _)| *said == name);
        let defaults =
            self.defaults.iter().filter(|(name, _)| !is_said(name)).map(|(name, value)| (*name, Some(*value)));
        let all: Vec<_> = defaults.chain(said.iter().copied()).collect();
        all.into_iter().map(|(name, value)| self.option(name, value, base)).collect()
    }

    fn option(&self, name: &str, value: Option<&str>, base: u32) -> nix::Result<(CString, Option<CString>)> {
        let takes = self.options.iter().find(|(known, _)| *known == name).map(|(_, takes)| *takes);
        let value = match (takes, value) {
            (Some(Nothing), None) => None,
            (Some(Word(words)), Some(value)) if words.contains(&value) => Some(value.to_owned()),
            (Some(Mode), Some(value)) if u32::from_str_radix(value, 8).is_ok_and(|mode| mode <= 0o777) => {
                Some(value.to_owned())
            }
            (Some(Id), Some(value)) => Some(self.id(value, base)?.to_string()),
            _ => return Err(Errno::EINVAL),
        };
        let text = |text: &str| CString::new(text).map_err(|_| Errno::EINVAL);
        Ok((text(name)?, value.as_deref().map(text).transpose()?))
    }

    fn id(&self, value: &str, base: u32) -> nix::Result<u32> {
        let inside = value.parse::<u32>().ok().filter(|id| *id < IDS).ok_or(Errno::EINVAL)?;
        match self.owners {
            Owners::Mapped => Ok(inside),
            Owners::One => base.checked_add(inside).ok_or(Errno::EINVAL),
        }
    }
}

/// Whether it is another type of file systems on block devices. The kernel refuses all of them inside a user namespace, and
/// programs that try one after the other would go no further.
pub(super) fn is_on_a_device(name: &CStr) -> bool {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    known.lines().any(|line| line.strip_prefix('\t').is_some_and(|known| known.as_bytes() == name.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(kind: &CStr, data: &CStr) -> nix::Result<String> {
        let found = Kind::of(kind).unwrap().options(data, 100_000)?;
        let shown = |(name, value): &(CString, Option<CString>)| {
            let value = value.as_ref().map(|value| format!("={}", value.to_str().unwrap())).unwrap_or_default();
            format!("{}{value}", name.to_str().unwrap())
        };
        Ok(found.iter().map(shown).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn few_types_are_mounted() {
        for name in [c"btrfs", c"nfs", c"cifs", c"tmpfs", c"fuseblk", c"overlay", c"ext", c""] {
            assert_eq!(Kind::of(name), None);
        }
    }

    #[test]
    fn no_disk_wants_a_panic() {
        assert_eq!(options(c"ext4", c"").unwrap(), "errors=remount-ro");
        assert_eq!(options(c"ext4", c"errors=continue,,discard").unwrap(), "errors=continue,discard");
        for data in [c"errors=panic", c"errors", c"errors=", c"errors=continue,errors=panic"] {
            assert_eq!(options(c"ext4", data), Err(Errno::EINVAL));
            assert_eq!(options(c"vfat", data), Err(Errno::EINVAL));
        }
    }

    #[test]
    fn other_devices_and_unknown_options_are_refused() {
        for data in
            [c"journal_dev=2049", c"journal_path=/dev/sda1", c"data=journal", c"usrquota", c"discard=1", c"\xff"]
        {
            assert_eq!(options(c"ext4", data), Err(Errno::EINVAL));
        }
        for data in [c"logdev=/dev/sda1", c"rtdev=/dev/sda1", c"uquota"] {
            assert_eq!(options(c"xfs", data), Err(Errno::EINVAL));
        }
        assert_eq!(options(c"vfat", c"iocharset=utf8"), Err(Errno::EINVAL));
    }

    #[test]
    fn owners_are_the_guests() {
        assert_eq!(options(c"vfat", c"uid=1000,umask=022").unwrap(), "errors=remount-ro,uid=1000,umask=022");
        assert_eq!(options(c"iso9660", c"").unwrap(), "uid=100000,gid=100000");
        assert_eq!(options(c"iso9660", c"uid=1000,mode=0444").unwrap(), "gid=100000,uid=101000,mode=0444");
        for data in [c"uid=65536", c"uid=-1", c"uid=", c"mode=4755", c"mode=rw"] {
            assert_eq!(options(c"iso9660", data), Err(Errno::EINVAL));
        }
    }
}
