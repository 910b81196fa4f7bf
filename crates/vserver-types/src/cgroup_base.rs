//! Where the cgroups of guests are.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// The directory of guests' cgroups, in every hierarchy, below its mount: `vserver` unless `.defaults/cgroup/base` says
/// otherwise. One or more components without `.`, `..` and empty ones. Source: util-vserver, `config-tree.md` §3.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CgroupBase(String);

impl CgroupBase {
    /// Our own directory, in which those of supervisors are, whatever the base of guests.
    pub const OURS: &'static str = "vserver";
    /// Longest base in bytes: a path in a hierarchy, with a guest's own below, stays far below the kernel's 4096.
    pub const MAX: usize = 512;

    /// Its components, joined by single slashes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is [`CgroupBase::OURS`].
    pub fn is_ours(&self) -> bool {
        self.0 == Self::OURS
    }

    /// Itself and what lies above, outermost first: `a`, `a/b`, `a/b/c`.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        let ends = self.0.match_indices('/').map(|(at, _)| at).chain([self.0.len()]);
        ends.map(|end| &self.0[..end])
    }
}

impl Default for CgroupBase {
    fn default() -> Self {
        Self(Self::OURS.to_owned())
    }
}

impl FromStr for CgroupBase {
    type Err = ParseError;

    /// Slashes at the ends and double ones are left out, as the original's concatenation of paths did; nothing at all is
    /// the default.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = |reason| Err(ParseError::new("base directory of cgroups", text, reason));
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if text.len() > Self::MAX {
            return bad("it is longer than 512 bytes");
        }
        if parts.contains(&"..") {
            return bad("'..' would lead out of the hierarchy");
        }
        // The file /proc/PID/cgroup has a line for each hierarchy.
        if text.chars().any(char::is_control) {
            return bad("it has a control character");
        }
        if parts.iter().any(|part| part.len() > 255) {
            return bad("one of its names is longer than 255 bytes");
        }
        match parts.as_slice() {
            [] => Ok(Self::default()),
            [Self::OURS, _, ..] => bad("what lies below vserver/ are guests; take a name of its own"),
            parts => Ok(Self(parts.join("/"))),
        }
    }
}

impl TryFrom<String> for CgroupBase {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<CgroupBase> for String {
    fn from(base: CgroupBase) -> Self {
        base.0
    }
}

impl fmt::Display for CgroupBase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_are_as_in_the_original() {
        for (text, base) in
            [("vservers.slice", "vservers.slice"), ("/a//b/", "a/b"), ("./a", "a"), ("", "vserver"), ("/", "vserver")]
        {
            assert_eq!(text.parse::<CgroupBase>().unwrap().as_str(), base, "{text}");
        }
        assert!("vserver/".parse::<CgroupBase>().unwrap().is_ours());
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        let long = "a".repeat(256);
        for bad in ["..", "a/../..", "vserver/web1", "a\nb", &long, &"a/".repeat(300)] {
            assert!(bad.parse::<CgroupBase>().is_err(), "{bad}");
        }
    }

    #[test]
    fn levels_from_the_outside() {
        let base: CgroupBase = "a/b/c".parse().unwrap();
        assert_eq!(base.levels().collect::<Vec<_>>(), ["a", "a/b", "a/b/c"]);
    }
}
