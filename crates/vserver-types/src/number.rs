//! Numbers as C reads them: decimal, `0x` hexadecimal, `0` octal, with a sign. strtoll(3) with base 0, whole text.

use std::num::IntErrorKind;

/// Whatever its size; what not even 128 bits hold is the largest or the least number. No blank is allowed anywhere.
pub fn c_number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.strip_prefix("0x") {
        Some(hex) => (16, hex),
        None if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        None => (10, lower.as_str()),
    };
    // from_str_radix takes a sign of its own.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = match i128::from_str_radix(digits, radix) {
        Ok(value) => value,
        // An overflow is told before the rest is looked at.
        Err(error) if *error.kind() == IntErrorKind::PosOverflow && digits.chars().all(|c| c.is_digit(radix)) => {
            i128::MAX
        }
        Err(_) => return None,
    };
    Some(if negative { -value } else { value })
}

/// One of 64 bits with a sign.
pub fn c_integer(text: &str) -> Option<i64> {
    c_number(text).and_then(|number| i64::try_from(number).ok())
}

/// A pattern of 64 bits: a negative number is its two's complement, as where C has no type without a sign.
pub fn c_pattern(text: &str) -> Option<u64> {
    let number = c_number(text)?;
    let bits = u64::try_from(number.unsigned_abs()).ok()?;
    Some(if number < 0 { bits.wrapping_neg() } else { bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_signs_and_what_is_no_number() {
        for (text, expected) in [
            ("10", Some(10)),
            ("0x1F", Some(31)),
            ("0XfF", Some(255)),
            ("010", Some(8)),
            ("0", Some(0)),
            ("-0x10", Some(-16)),
            ("+7", Some(7)),
            ("08", None),
            ("0x", None),
            ("", None),
            ("-", None),
            ("--1", None),
            ("0x-1", None),
            ("1 ", None),
            (" 1", None),
            ("1k", None),
        ] {
            assert_eq!(c_number(text), expected, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_the_largest_or_none() {
        let huge = "9".repeat(60);
        assert_eq!(c_number(&huge), Some(i128::MAX));
        assert_eq!(c_number(&format!("-{huge}")), Some(-i128::MAX));
        assert_eq!(c_number(&format!("{huge}x")), None);
        assert_eq!((c_integer(&huge), c_pattern(&huge)), (None, None));
        assert_eq!((c_integer("9223372036854775808"), c_pattern("-1")), (None, Some(u64::MAX)));
        assert_eq!((c_pattern("18446744073709551615"), c_pattern("18446744073709551616")), (Some(u64::MAX), None));
    }
}
