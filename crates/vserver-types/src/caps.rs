//! Linux capabilities and sets of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{FlagEdit, FlagKind, FlagListError};

/// A capability by its number. Source: `include/uapi/linux/capability.h`, 0–40 as of Linux 6.18.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capability(pub u8);

const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

macro_rules! named {
    ($($name:ident = $number:literal),+ $(,)?) => {
        #[allow(missing_docs, reason = "each is CAP_<name> of capabilities(7)")]
        impl Capability {
            $(pub const $name: Capability = Capability($number);)+
        }
    };
}

named! {
    CHOWN = 0, DAC_OVERRIDE = 1, DAC_READ_SEARCH = 2, FOWNER = 3, FSETID = 4, KILL = 5, SETGID = 6, SETUID = 7,
    SETPCAP = 8, LINUX_IMMUTABLE = 9, NET_BIND_SERVICE = 10, NET_ADMIN = 12, NET_RAW = 13, IPC_LOCK = 14,
    SYS_MODULE = 16, SYS_RAWIO = 17, SYS_CHROOT = 18, SYS_PTRACE = 19, SYS_ADMIN = 21, SYS_BOOT = 22, SYS_NICE = 23,
    SYS_RESOURCE = 24, SYS_TIME = 25, SYS_TTY_CONFIG = 26, MKNOD = 27, LEASE = 28, AUDIT_WRITE = 29, SETFCAP = 31,
    SYSLOG = 34, PERFMON = 38, BPF = 39, CHECKPOINT_RESTORE = 40,
}

impl Capability {
    /// Name without `CAP_`, upper case; `None` for a number that this program does not know.
    pub fn name(self) -> Option<&'static str> {
        NAMES.get(usize::from(self.0)).copied()
    }

    /// By name, any case, with or without `CAP_`.
    pub fn from_name(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        NAMES.iter().position(|n| *n == bare).and_then(|n| u8::try_from(n).ok()).map(Self)
    }
}

/// A set of capabilities, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CapSet(pub u64);

impl CapSet {
    /// No capability.
    pub const EMPTY: CapSet = CapSet(0);

    /// util-vserver's secure set without its accident (it let every capability from 32 up pass). Source: `flags.md` §2.
    pub const SECURE: CapSet = CapSet::of(&[
        Capability::CHOWN,
        Capability::DAC_OVERRIDE,
        Capability::DAC_READ_SEARCH,
        Capability::FOWNER,
        Capability::FSETID,
        Capability::KILL,
        Capability::SETGID,
        Capability::SETUID,
        Capability::NET_BIND_SERVICE,
        Capability::SYS_CHROOT,
        Capability::SYS_PTRACE,
        Capability::SYS_BOOT,
        Capability::SYS_TTY_CONFIG,
        Capability::LEASE,
        Capability::AUDIT_WRITE,
        Capability::SETFCAP,
    ]);

    /// Every capability that this program has a name for.
    pub const ALL: CapSet = CapSet((1 << NAMES.len()) - 1);

    /// This set with a list applied, as in `NET_RAW,~CAP_KILL` (syntax: [`FlagEdit::parse_into`]).
    pub fn with_list(self, list: &str) -> Result<Self, FlagListError> {
        let mut edit = FlagEdit::default();
        edit.parse_into(FlagKind::Bcap, list)?;
        Ok(self.edited(edit))
    }

    /// This set with changes applied. Numbers without a name stay out: `all` must not mean what a later kernel adds.
    #[must_use]
    pub const fn edited(self, edit: FlagEdit) -> Self {
        Self(edit.apply(self.0) & Self::ALL.0)
    }

    /// A set of these.
    pub const fn of(caps: &[Capability]) -> Self {
        let (mut bits, mut i) = (0, 0);
        while i < caps.len() {
            bits |= 1 << caps[i].0;
            i += 1;
        }
        Self(bits)
    }

    /// Whether `cap` is in it.
    pub const fn contains(self, cap: Capability) -> bool {
        self.0 >> cap.0 & 1 == 1
    }

    /// With `cap`.
    #[must_use]
    pub const fn with(self, cap: Capability) -> Self {
        Self(self.0 | 1 << cap.0)
    }

    /// Without `cap`.
    #[must_use]
    pub const fn without(self, cap: Capability) -> Self {
        Self(self.0 & !(1 << cap.0))
    }

    /// The members, lowest first.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        (0..64).map(Capability).filter(move |cap| self.contains(*cap))
    }
}

impl fmt::Display for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, cap) in self.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match cap.name() {
                Some(name) => write!(f, "{comma}{name}")?,
                None => write!(f, "{comma}^{}", cap.0)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_agree_with_the_names() {
        assert_eq!(Capability::CHECKPOINT_RESTORE.name(), Some("CHECKPOINT_RESTORE"));
        assert_eq!(Capability::SETFCAP.name(), Some("SETFCAP"));
        assert_eq!(Capability::from_name("cap_sys_admin"), Some(Capability::SYS_ADMIN));
        assert_eq!(Capability::from_name("SYS_NONSENSE"), None);
    }

    #[test]
    fn lists_change_a_set() {
        let set = CapSet::SECURE.with_list("CAP_IPC_LOCK").unwrap().with_list("~sys_ptrace,NET_RAW").unwrap();
        assert!(set.contains(Capability::IPC_LOCK) && set.contains(Capability::NET_RAW));
        assert!(!set.contains(Capability::SYS_PTRACE));
        assert_eq!(CapSet::EMPTY.with_list("all"), Ok(CapSet::ALL));
        assert_eq!(CapSet::SECURE.with_list("~all,CAP_CHOWN"), Ok(CapSet::of(&[Capability::CHOWN])));
        assert_eq!(CapSet::SECURE.with_list("CAP_NONSENSE").unwrap_err().kind, "bcap");
    }

    #[test]
    fn the_secure_set_has_nothing_above_31() {
        assert_eq!(CapSet::SECURE.0 >> 32, 0);
        assert!(!CapSet::SECURE.contains(Capability::SYS_ADMIN));
    }
}
