//! `vserver-stat`'s texts, to the byte. Source: util-vserver, `commands.md` §6.

use crate::Row;

/// The first line.
pub const HEADER: &str = "CTX   PROC    VSZ    RSS  userTIME   sysTIME    UPTIME NAME";

/// Longest name shown, in bytes.
const NAME_MAX: usize = 20;

/// One row, without newline: numbers right-aligned, their last columns 9, 16, 23, 33, 43 and 53; the name from column 55.
pub fn line(row: &Row) -> String {
    let Row { xid, name, usage } = row;
    format!(
        "{:<5} {:>4}{:>7}{:>7}{:>10}{:>10}{:>10} {}",
        xid.0,
        usage.processes,
        size(usage.vsz),
        size(usage.rss),
        time(usage.utime),
        time(usage.stime),
        time(usage.uptime),
        cut(name, NAME_MAX),
    )
}

/// An amount of bytes: divided by 1024 until below 1000, one truncated decimal if it is not 0, and a suffix; a blank is
/// the suffix of bytes, `+` that of anything above tebibytes.
pub fn size(bytes: u64) -> String {
    let (mut value, mut rest, mut suffix) = (bytes, 0, 0);
    while value >= 1000 {
        (value, rest, suffix) = (value / 1024, value % 1024, suffix + 1);
    }
    let suffix = [' ', 'K', 'M', 'G', 'T'].get(suffix).unwrap_or(&'+');
    match rest * 10 / 1024 {
        0 => format!("{value}{suffix}"),
        tenths => format!("{value}.{tenths}{suffix}"),
    }
}

/// A span of `ms`: `MmSSsCC` (CC hundredths), from one hour `HhMMmSS`, from one day `DdHHhMM`, from 1000 days `YyDDdHH`
/// with years of 365 days, above 998 001 days `INVALID`.
pub fn time(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match days {
        0 if hours == 0 => format!("{minutes}m{:02}s{:02}", seconds % 60, ms % 1000 / 10),
        0 => format!("{hours}h{:02}m{:02}", minutes % 60, seconds % 60),
        1..1000 => format!("{days}d{:02}h{:02}", hours % 24, minutes % 60),
        1000..=998_001 => format!("{}y{:02}d{:02}", days / 365, days % 365, hours % 24),
        _ => "INVALID".to_owned(),
    }
}

/// The longest beginning of `text` that has at most `max` bytes and whole characters.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Usage;
    use vserver_types::Xid;

    const MIB: u64 = 1 << 20;

    #[test]
    fn sizes_as_documented() {
        let expected = [(0, "0 "), (999, "999 "), (1000, "0.9K"), (1034, "1K"), (1536, "1.5K"), (1024 * 999, "999K")];
        for (bytes, text) in expected {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size(1024 * 1000), "0.9M");
        assert_eq!(size(2 << 30), "2G");
        assert_eq!(size(5 << 40), "5T");
        assert_eq!(size(u64::MAX), "15.9+");
    }

    #[test]
    fn times_as_documented() {
        let expected = [
            (7, "0m00s00"),
            (45, "0m00s04"),
            (450, "0m00s45"),
            (12_070, "0m12s07"),
            (3_599_999, "59m59s99"),
            (3_600_000, "1h00m00"),
            (86_400_000, "1d00h00"),
            (999 * 86_400_000, "999d00h00"),
            (1000 * 86_400_000, "2y270d00"),
            (998_001 * 86_400_000, "2734y91d00"),
            (998_002 * 86_400_000, "INVALID"),
        ];
        for (ms, text) in expected {
            assert_eq!(time(ms), text);
        }
    }

    fn row(xid: u32, name: &str, usage: Usage) -> Row {
        Row { xid: Xid(xid), name: name.to_owned(), usage }
    }

    #[test]
    fn the_documented_table_to_the_byte() {
        let host = Usage {
            processes: 92,
            vsz: 2 << 30,
            rss: 411 * MIB + 256 * 1024,
            utime: 421_220,
            stime: 192_950,
            uptime: ((9 * 60 + 50) * 60 + 11) * 1000,
        };
        let guest = Usage {
            processes: 17,
            vsz: 312 * MIB + 450 * 1024,
            rss: 88 * MIB + 200 * 1024,
            utime: 12_070,
            stime: 3450,
            uptime: ((3 * 24 + 4) * 60 + 11) * 60_000,
        };
        let text = [HEADER, &line(&row(0, "root server", host)), &line(&row(40_012, "web1", guest))].join("\n");
        let expected = "\
CTX   PROC    VSZ    RSS  userTIME   sysTIME    UPTIME NAME
0       92     2G 411.2M   7m01s22   3m12s95   9h50m11 root server
40012   17 312.4M  88.1M   0m12s07   0m03s45   3d04h11 web1";
        assert_eq!(text, expected);
    }

    #[test]
    fn names_are_cut_and_missing_ones_leave_55_columns() {
        assert!(line(&row(2, "a-name-of-more-than-twenty", Usage::default())).ends_with(" a-name-of-more-than-"));
        assert_eq!(line(&row(2, "", Usage::default())).len(), 55);
        assert_eq!(cut("näääääääääääää", 4), "nä");
    }
}
