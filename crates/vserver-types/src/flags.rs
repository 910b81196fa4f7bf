//! Flag words of a context and of a network context, and the list syntax that they are written in.
//!
//! ```text
//! list  := item ( "," item )* [","]
//! item  := ("!" | "~")* value
//! value := "all" | "any" | "none" | number | "^" number | name
//! ```
//! Source: util-vserver, `flags.md` §1.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::flag_tables as tables;
use crate::number::c_pattern;

/// A list item that names no flag.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("Unknown {kind} '{text}'")]
pub struct FlagListError {
    /// `bcap`, `ccap`, `flag`, `ncap`, `namespace` or `personality flag`.
    pub kind: &'static str,
    /// The item, with anything unprintable escaped.
    pub text: String,
}

/// What the names of a list mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlagKind {
    /// Linux capabilities, `CAP_`.
    Bcap,
    /// Context capabilities, `VXC_`.
    Ccap,
    /// Context flags, `VXF_`.
    Cflag,
    /// Network capabilities, `NXC_`.
    Ncap,
    /// Network context flags, `NXF_`.
    Nflag,
    /// Namespaces (`umask`), no prefix.
    Space,
    /// Flags of a personality: no prefix, no negation, no `all`.
    Personality,
}

impl FlagKind {
    /// The names with the bits that they stand for; of several names of one bit the first is the one printed.
    pub fn names(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Bcap => tables::BCAPS,
            Self::Ccap => tables::CCAPS,
            Self::Cflag => tables::CFLAGS,
            Self::Ncap => tables::NCAPS,
            Self::Nflag => tables::NFLAGS,
            Self::Space => tables::SPACES,
            Self::Personality => tables::PERSONALITY,
        }
    }

    /// The names of `word`, joined by commas as `vattribute --get` does: lowest bit first, but what is left is looked
    /// up as a whole before each step (`default`), and from the first bit without a name on all are `^N`.
    pub fn print(self, word: u64) -> String {
        let (mut rest, mut named, mut out) = (word, true, Vec::new());
        while rest != 0 {
            let lowest = rest & rest.wrapping_neg();
            let found = if named { self.name_of(rest).or_else(|| self.name_of(lowest)) } else { None };
            let Some((name, bits)) = found else {
                named = false;
                out.push(format!("^{}", lowest.trailing_zeros()));
                rest &= !lowest;
                continue;
            };
            out.push(if self == Self::Bcap { name.to_uppercase() } else { name.to_owned() });
            rest &= !bits;
        }
        out.join(",")
    }

    fn name_of(self, bits: u64) -> Option<(&'static str, u64)> {
        self.names().iter().copied().find(|(_, value)| *value == bits)
    }

    fn word(self) -> (&'static str, &'static str) {
        match self {
            Self::Bcap => ("bcap", "cap_"),
            Self::Ccap => ("ccap", "vxc_"),
            Self::Cflag => ("flag", "vxf_"),
            Self::Ncap => ("ncap", "nxc_"),
            Self::Nflag => ("flag", "nxf_"),
            Self::Space => ("namespace", ""),
            Self::Personality => ("personality flag", ""),
        }
    }

    fn bits(self, text: &str) -> Option<u64> {
        let masked = self != Self::Personality;
        // The original compares these words over the length of the item, so `a`, `al`, `n`, `no` … count as well.
        if masked && !text.is_empty() && ("all".starts_with(text) || "any".starts_with(text)) {
            return Some(u64::MAX);
        }
        if masked && !text.is_empty() && "none".starts_with(text) {
            return Some(0);
        }
        if let Some(number) = text.strip_prefix('^') {
            return c_pattern(number).filter(|n| *n < 64).map(|n| 1 << n);
        }
        c_pattern(text).or_else(|| {
            let (_, prefix) = self.word();
            let lower = text.to_ascii_lowercase();
            let bare = lower.strip_prefix(prefix).unwrap_or(&lower);
            self.names().iter().find(|(name, _)| *name == bare).map(|(_, bits)| *bits)
        })
    }
}

/// Changes to a flag word: only the bits in `mask` change, to what they are in `value`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FlagEdit {
    /// Wanted bits; always within the mask.
    pub value: u64,
    /// Bits that are changed at all.
    pub mask: u64,
}

impl FlagEdit {
    /// Takes one list on top of what was there; later items win, bit by bit. On error nothing is taken.
    pub fn parse_into(&mut self, kind: FlagKind, list: &str) -> Result<(), FlagListError> {
        let mut edit = *self;
        let list = list.strip_suffix(',').filter(|rest| !rest.is_empty()).unwrap_or(list);
        for item in list.split(',').filter(|_| !list.is_empty()) {
            let text = if kind == FlagKind::Personality { item } else { item.trim_start_matches(['!', '~']) };
            let negated = (item.len() - text.len()) % 2 == 1;
            let error = || FlagListError { kind: kind.word().0, text: text.escape_debug().to_string() };
            let bits = kind.bits(text).ok_or_else(error)?;
            edit.mask |= bits;
            edit.value = if negated { edit.value & !bits } else { edit.value | bits };
        }
        *self = edit;
        Ok(())
    }

    /// The word that these changes make of `base`.
    pub const fn apply(self, base: u64) -> u64 {
        base & !self.mask | self.value & self.mask
    }
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $kind:ident { $($(#[$flag_doc:meta])* $flag:ident = $bits:expr),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            $($(#[$flag_doc])* pub const $flag: u64 = $bits;)+

            /// Whether all bits of `mask` are set.
            pub const fn contains(self, mask: u64) -> bool {
                self.0 & mask == mask
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&FlagKind::$kind.print(self.0))
            }
        }
    };
}

word! {
    /// Context capabilities (`ccapabilities`). Source: `flags.md` §3.
    ContextCaps, Ccap {
        /// sethostname(2) and setdomainname(2) are allowed.
        SET_UTSNAME = 0x1,
        /// Hard limits of processes may be raised.
        SET_RLIMIT = 0x2,
        /// Typing into an own terminal (`TIOCSTI`).
        TIOCSTI = 0x10,
        /// Raw ICMP sockets without `NET_RAW`.
        RAW_ICMP = 0x100,
        /// The real kernel log is visible.
        SYSLOG = 0x1000,
        /// Processes may lower their own bias on the OOM killer's choice.
        OOM_ADJUST = 0x2000,
        /// Audit requests of PAM and login are accepted.
        AUDIT_CONTROL = 0x4000,
        /// mount(2) in the guest's own namespace.
        SECURE_MOUNT = 0x1_0000,
        /// Changing mounts that are there.
        SECURE_REMOUNT = 0x2_0000,
        /// Block devices that the guest may use are mounted inside.
        BINARY_MOUNT = 0x4_0000,
        /// Quotas of the guest's own disk are its own business.
        QUOTA_CTL = 0x10_0000,
        /// Files of the guest's are mounted inside as disks.
        ADMIN_CLOOP = 0x40_0000,
        /// Namespaces may be made inside.
        NAMESPACE = 0x200_0000,
        /// What `vattribute --secure` sets: the base of every guest.
        SECURE = Self::SET_UTSNAME | Self::RAW_ICMP | Self::AUDIT_CONTROL,
    }
}
word! {
    /// Context flags (`cflags`). Source: `flags.md` §4.
    ContextFlags, Cflag {
        /// Nobody may enter.
        PRIVATE = 0x8,
        /// The first process is seen as PID 1 (always so here).
        FAKEINIT = 0x10,
        /// The token bucket holds processes back.
        SCHED_HARD = 0x100,
        /// The token bucket changes the priority.
        SCHED_PRIO = 0x200,
        /// All processes are on hold.
        SCHED_PAUSE = 0x400,
        /// Memory inside is the guest's.
        VIRT_MEM = 0x1_0000,
        /// Uptime counts from the guest's start.
        VIRT_UPTIME = 0x2_0000,
        /// `/proc` shows its own processors.
        VIRT_CPU = 0x4_0000,
        /// It has a load average of its own.
        VIRT_LOAD = 0x8_0000,
        /// Foreign interfaces are hidden.
        HIDE_NETIF = 0x200_0000,
        /// Start-up and shutdown are told to a helper.
        SC_HELPER = 1 << 36,
        /// The context is being made; taken off by the end of that, as the next.
        STATE_SETUP = 1 << 32,
        /// The next process becomes its first one.
        STATE_INIT = 1 << 33,
        /// The host may change flags, limits and addresses.
        STATE_ADMIN = 1 << 34,
        /// Reboot inside kills everything.
        REBOOT_KILL = 1 << 37,
        /// The context stays without processes.
        PERSISTENT = 1 << 38,
        /// Forking fails above the soft memory limit.
        FORK_RSS = 1 << 48,
        /// Guests may be made inside.
        PROLIFIC = 1 << 49,
        /// Raising one's nice value is ignored, not refused.
        IGNEG_NICE = 1 << 52,
        /// The same for I/O priority.
        IGNEG_IONICE = 1 << 53,
        /// The base of every guest at start.
        START = Self::HIDE_NETIF | Self::VIRT_UPTIME | Self::SC_HELPER | Self::FAKEINIT,
    }
}
word! {
    /// Network capabilities (`ncapabilities`). Source: `flags.md` §5.
    NetCaps, Ncap {
        /// tun and tap devices may be made.
        TUN_CREATE = 0x1,
        /// Raw ICMP sockets without `NET_RAW`.
        RAW_ICMP = 0x100,
        /// Multicast addresses may be bound and sent to; has no name, written `^12`.
        MULTICAST = 0x1000,
        /// The base of every guest.
        SECURE = Self::RAW_ICMP,
    }
}
word! {
    /// Network context flags (`nflags`). Source: `flags.md` §6.
    NetFlags, Nflag {
        /// A wildcard bind becomes a bind to the only IPv4 address.
        SINGLE_IP = 0x100,
        /// 127.0.0.1 is redirected to the guest's private loopback address.
        LBACK_REMAP = 0x200,
        /// Without redirection: 127.0.0.1 is the host's.
        LBACK_ALLOW = 0x400,
        /// Foreign interfaces are hidden.
        HIDE_NETIF = 0x200_0000,
        /// The private loopback address is shown as 127.0.0.1.
        HIDE_LBACK = 0x400_0000,
        /// The network context is being made.
        STATE_SETUP = 1 << 32,
        /// The host may change addresses and flags.
        STATE_ADMIN = 1 << 34,
        /// What the kernel patch gives a new network context.
        KERNEL_DEFAULT =
            Self::SINGLE_IP | Self::LBACK_REMAP | Self::HIDE_NETIF | Self::HIDE_LBACK | Self::STATE_ADMIN,
    }
}

#[cfg(test)]
mod tests;
