//! Flag words of a context and of a network context, and the list syntax that they are written in.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A list item that names no flag.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("Unknown {kind} '{text}'")]
pub struct FlagListError {
    /// `bcap`, `ccap`, `flag`, `ncap` or `namespace`.
    pub kind: &'static str,
    /// The item.
    pub text: String,
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// Whether all bits of `mask` are set.
            pub const fn contains(self, mask: u64) -> bool {
                self.0 & mask == mask
            }
        }
    };
}

word! {
    /// Context capabilities (`ccapabilities`). Source: `flags.md` §3.
    ContextCaps
}
word! {
    /// Context flags (`cflags`). Source: `flags.md` §4.
    ContextFlags
}
word! {
    /// Network capabilities (`ncapabilities`). Source: `flags.md` §5.
    NetCaps
}
word! {
    /// Network context flags (`nflags`). Source: `flags.md` §6.
    NetFlags
}
