//! Amounts and the error of parsing one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Text that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{text}' is not a valid {kind}: {reason}")]
pub struct ParseError {
    /// What was expected, as in "guest name".
    pub kind: &'static str,
    /// What was found.
    pub text: String,
    /// Why it is refused, a clause.
    pub reason: &'static str,
}

impl ParseError {
    /// An error about `text`, which should have been a `kind`.
    pub fn new(kind: &'static str, text: &str, reason: &'static str) -> Self {
        Self { kind, text: text.escape_debug().to_string(), reason }
    }
}

/// A number of bytes. Parses `123`, `4K`, `4M`, `4G`, `4T` (powers of 1024, either case, an optional `B` or `iB` after).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// So many mebibytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }
}

impl FromStr for Bytes {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = |reason| ParseError::new("size", text, reason);
        let trimmed = text.trim();
        let digits = trimmed.len() - trimmed.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, suffix) = trimmed.split_at(digits);
        let number: u64 = number.parse().map_err(|_| bad("it does not begin with a number"))?;
        let shift = match suffix.to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => return Err(bad("the suffix is none of K, M, G, T")),
        };
        number.checked_mul(1 << shift).map(Self).ok_or_else(|| bad("it does not fit 64 bits"))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut value, mut unit) = (self.0, 0);
        while value >= 1024 && value % 1024 == 0 && unit < 4 {
            (value, unit) = (value / 1024, unit + 1);
        }
        f.pad(&format!("{value}{}", ["", "K", "M", "G", "T"][unit]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_printed_reads_back(n: u64) {
            prop_assert_eq!(Bytes(n).to_string().parse::<Bytes>(), Ok(Bytes(n)));
        }

        #[test]
        fn no_text_makes_a_panic(text in ".*") {
            let _ = text.parse::<Bytes>();
        }
    }

    #[test]
    fn suffixes_are_powers_of_1024() {
        assert_eq!("512M".parse(), Ok(Bytes::mib(512)));
        assert_eq!("1gib".parse(), Ok(Bytes(1 << 30)));
        assert!("1.5G".parse::<Bytes>().is_err());
        assert!("99999999999T".parse::<Bytes>().is_err());
    }
}
