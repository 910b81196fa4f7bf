//! Who a guest is: its name, its numbers, its state.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// The name of a guest: the base name of its directory below the configuration root.
///
/// 1 to 50 bytes (a context's name, the path of its directory, held 64 bytes), letters, digits, `.`, `_`, `-` and `+`,
/// beginning with a letter or digit. It becomes a path component, so nothing else is let in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GuestName(String);

impl GuestName {
    /// Longest name in bytes.
    pub const MAX: usize = 50;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GuestName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = |reason| ParseError::new("guest name", text, reason);
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        if text.len() > Self::MAX {
            return Err(bad("it is longer than 50 bytes"));
        }
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(bad("it must begin with a letter or a digit"));
        }
        if !text.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c)) {
            return Err(bad("only letters, digits, '.', '_', '-' and '+' may be used"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for GuestName {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<GuestName> for String {
    fn from(name: GuestName) -> Self {
        name.0
    }
}

impl fmt::Display for GuestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The number of a context: 0 is the host, 1 sees everything, 2–49151 are given by administrators, 49152–65534 are
/// handed out at start. Source: util-vserver, `flags.md` §11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Xid(pub u32);

/// The number of a network context; the same as the [`Xid`] unless configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nid(pub u32);

/// What range an [`Xid`] lies in (`vserver-info X XIDTYPE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XidKind {
    /// 0, the host.
    Main,
    /// 1, the spectator.
    Watch,
    /// 2–49151, from a `context` file.
    Static,
    /// 49152–65534, chosen at start.
    Dynamic,
    /// Anything above.
    Invalid,
}

impl Xid {
    /// The host.
    pub const HOST: Xid = Xid(0);
    /// The context that sees all others.
    pub const WATCH: Xid = Xid(1);
    /// First number that is handed out at start.
    pub const FIRST_DYNAMIC: Xid = Xid(49152);
    /// Last number that is handed out at start.
    pub const LAST_DYNAMIC: Xid = Xid(65534);

    /// The range that this number lies in.
    pub fn kind(self) -> XidKind {
        match self.0 {
            0 => XidKind::Main,
            1 => XidKind::Watch,
            2..=49151 => XidKind::Static,
            49152..=65534 => XidKind::Dynamic,
            _ => XidKind::Invalid,
        }
    }

    /// First host uid and gid of this context's range of 65 536: `1 000 000 + 65 536 × xid`. Fits 32 bits for every
    /// xid up to 65 519; the last fifteen dynamic numbers have none.
    pub fn id_base(self) -> Option<u32> {
        let base = 1_000_000u64 + 65_536 * u64::from(self.0);
        u32::try_from(base + 65_535).ok().and(u32::try_from(base).ok())
    }
}

macro_rules! number {
    ($type:ty, $kind:literal, $make:expr) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $type {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                let number = text.trim().parse::<u32>();
                match number {
                    Ok(n) if n <= 65534 => Ok($make(n)),
                    Ok(_) => Err(ParseError::new($kind, text, "it is larger than 65534")),
                    Err(_) => Err(ParseError::new($kind, text, "it is not a decimal number")),
                }
            }
        }
    };
}

number!(Xid, "context number", Xid);
number!(Nid, "network context number", Nid);

/// What a guest is doing, as far as the host can prove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuestState {
    /// No supervisor, no process.
    Stopped,
    /// A start holds the guest's lock and its init has not been executed yet.
    Starting,
    /// The supervisor lives and the guest's init runs.
    Running,
    /// A stop was asked for and the guest has not ended yet.
    Stopping,
    /// Processes of the guest are left and their supervisor is gone: `stop` clears them.
    Orphan,
}

impl fmt::Display for GuestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Orphan => "orphan",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_harmless_path_component() {
        for good in ["web1", "a", "0", "Web.Example-org_1+x"] {
            assert_eq!(good.parse::<GuestName>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a/b", "-x", "a b", "a\n", "\u{e4}", &"x".repeat(51)] {
            assert!(bad.parse::<GuestName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn id_ranges_do_not_meet_and_fit() {
        assert_eq!(Xid(2).id_base(), Some(1_131_072));
        assert_eq!(Xid(3).id_base().unwrap() - Xid(2).id_base().unwrap(), 65_536);
        assert!(Xid(49_151).id_base().is_some());
        assert_eq!(Xid(65_534).id_base(), None);
    }

    #[test]
    fn kinds_follow_the_table() {
        assert_eq!(Xid(0).kind(), XidKind::Main);
        assert_eq!(Xid(40_000).kind(), XidKind::Static);
        assert_eq!(Xid(49_152).kind(), XidKind::Dynamic);
        assert_eq!(Xid(65_535).kind(), XidKind::Invalid);
    }
}
