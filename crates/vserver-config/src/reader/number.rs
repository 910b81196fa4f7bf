//! Numbers as C reads them.

use std::num::IntErrorKind;

/// An integer in C notation: decimal, `0x` hexadecimal, `0` octal, with a sign.
pub(crate) fn c_integer(text: &str) -> Option<i64> {
    c_number(text).and_then(|number| i64::try_from(number).ok())
}

/// The same with more room; what has none even there is the largest or the least number.
pub(crate) fn c_number(text: &str) -> Option<i128> {
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
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = match i128::from_str_radix(digits, radix) {
        Ok(value) => value,
        Err(error) if *error.kind() == IntErrorKind::PosOverflow && all_digits(digits, radix) => i128::MAX,
        Err(_) => return None,
    };
    Some(if negative { -value } else { value })
}

/// An overflow is told before the rest is looked at.
fn all_digits(text: &str, radix: u32) -> bool {
    text.chars().all(|c| c.is_digit(radix))
}
