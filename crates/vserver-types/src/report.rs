//! What was asked for and what this kernel could do of it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much of a setting is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// All of it.
    Full,
    /// Some of it.
    Partial,
    /// Nothing.
    None,
}

/// A setting or a protection that this kernel enforces only partly or not at all. Shown at start and by `status`;
/// with `--strict` it is a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unenforced {
    /// What was asked for, as in `sched/tokens-min` or `abstract unix sockets`.
    pub setting: String,
    /// How much of it holds.
    pub degree: Enforcement,
    /// Why, and what to do.
    pub reason: String,
}

impl Unenforced {
    /// Nothing of `setting` holds, for this reason.
    pub fn none(setting: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { setting: setting.into(), degree: Enforcement::None, reason: reason.into() }
    }

    /// `setting` holds in part, for this reason.
    pub fn partial(setting: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { setting: setting.into(), degree: Enforcement::Partial, reason: reason.into() }
    }
}

impl fmt::Display for Unenforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let degree = match self.degree {
            Enforcement::Full => "enforced",
            Enforcement::Partial => "only partly enforced",
            Enforcement::None => "not enforced",
        };
        write!(f, "{} is {degree}: {}", self.setting, self.reason)
    }
}
