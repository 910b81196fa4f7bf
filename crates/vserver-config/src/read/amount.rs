//! R4: the numbers of `rlimits/` and `ulimits/`. Source: `config-tree.md` §1.3, `flags.md` §7.

use std::path::Path;

use vserver_types::{Rlimit, c_number};

use crate::reader::Reader;

/// All ones of 64 bits is infinity, and one less is "keep", as numbers with and without a sign.
const INFINITY: [i128; 2] = [-1, u64::MAX as i128];
const KEEP: [i128; 2] = [-2, u64::MAX as i128 - 1];

/// The value of a file; `None` keeps what there is.
pub(super) fn limit(reader: &mut Reader, path: &Path) -> Option<Rlimit> {
    let text = reader.text(path)?;
    let parsed = if text.len() > 127 { Err("it has more than 127 bytes".to_owned()) } else { parse_limit(&text) };
    parsed.unwrap_or_else(|why| {
        let hint = "a number in C notation with at most one of K, M (1024), k, m (1000) right after it, or 'inf'";
        reader.error(path, Some(1), format!("Invalid limit: {why}"), hint);
        None
    })
}

/// A limit as its file has it, R4 of `config-tree.md` §1.3: `inf`, or a number in C notation with one of K, M (1024), k, m
/// (1000). `Ok(None)` is "keep"; an error is the reason, without the text's place.
pub fn parse_limit(text: &str) -> Result<Option<Rlimit>, String> {
    if text.starts_with("inf") {
        return Ok(Some(Rlimit::Infinity));
    }
    let line = text.split('\n').next().unwrap_or_default().trim_start_matches([' ', '\t']);
    let (number, factor) = match line.as_bytes().last() {
        Some(b'K') => (&line[..line.len() - 1], 1 << 10),
        Some(b'M') => (&line[..line.len() - 1], 1 << 20),
        Some(b'k') => (&line[..line.len() - 1], 1000),
        Some(b'm') => (&line[..line.len() - 1], 1_000_000),
        _ => (line, 1),
    };
    let value = c_number(number).ok_or_else(|| fault(line))?;
    if factor == 1 && INFINITY.contains(&value) {
        return Ok(Some(Rlimit::Infinity));
    }
    if factor == 1 && KEEP.contains(&value) {
        return Ok(None);
    }
    let all = u64::try_from(value).ok().and_then(|value| value.checked_mul(factor));
    all.map(|value| Some(Rlimit::Value(value))).ok_or_else(|| match value < 0 {
        true => format!("'{line}' is below nought"),
        false => format!("'{line}' is more than 64 bits hold"),
    })
}

/// Why a line is no limit.
fn fault(line: &str) -> String {
    let shown = line.escape_debug();
    let digits = line.trim_start_matches(['+', '-']);
    let hexadecimal = digits.starts_with("0x") || digits.starts_with("0X");
    let suffix = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    if line.is_empty() {
        "there is none".to_owned()
    } else if line.ends_with('\r') {
        "its line ends in CR LF".to_owned()
    } else if line.ends_with([' ', '\t']) {
        format!("'{shown}' ends in a blank")
    } else if suffix.is_empty() {
        format!("'{shown}' is octal, and has a digit beyond 7")
    } else if suffix.len() < digits.len() && !hexadecimal {
        format!("'{shown}' has the unknown suffix '{}'", suffix.escape_debug())
    } else {
        format!("'{shown}' is not a number")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_the_multipliers_of_the_original() {
        let value = |n| Ok(Some(Rlimit::Value(n)));
        let (infinity, keep) = (Ok(Some(Rlimit::Infinity)), Ok(None));
        for (text, expected) in [
            ("256K\n", value(262_144)),
            ("2M", value(2 << 20)),
            ("2k\nrest", value(2000)),
            ("2m\n", value(2_000_000)),
            ("0x10", value(16)),
            ("0X1fK", value(31 << 10)),
            ("010", value(8)),
            (" \t+7", value(7)),
            ("infinity", infinity.clone()),
            ("inf", infinity.clone()),
            ("-1\n", infinity.clone()),
            ("0xffffffffffffffff\n", infinity.clone()),
            ("18446744073709551615", infinity),
            ("-2\n", keep.clone()),
            ("0xfffffffffffffffe", keep),
            ("0x8000000000000000", value(1 << 63)),
            ("4294967295", value(0xffff_ffff)),
        ] {
            assert_eq!(parse_limit(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_limit_is_told_with_its_reason() {
        for (text, reason) in [
            ("1G\n", "'1G' has the unknown suffix 'G'"),
            ("1KK", "'1KK' has the unknown suffix 'KK'"),
            ("1 K\n", "'1 K' has the unknown suffix ' K'"),
            ("1 \n", "'1 ' ends in a blank"),
            ("1\r\n", "its line ends in CR LF"),
            ("", "there is none"),
            ("\n5", "there is none"),
            ("08", "'08' is octal, and has a digit beyond 7"),
            ("0xfg", "'0xfg' is not a number"),
            ("K", "'K' is not a number"),
            ("INF", "'INF' is not a number"),
            ("unlimited", "'unlimited' is not a number"),
            ("-3", "'-3' is below nought"),
            ("-1K", "'-1K' is below nought"),
            ("9223372036854775807M", "'9223372036854775807M' is more than 64 bits hold"),
            (
                "99999999999999999999999999999999999999999999",
                "'99999999999999999999999999999999999999999999' is more than 64 bits hold",
            ),
        ] {
            assert_eq!(parse_limit(text), Err(reason.to_owned()), "{text:?}");
        }
    }
}
