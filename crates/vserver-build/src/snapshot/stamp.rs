//! A moment as a label: `20261128T073200Z`, so that the alphabet is the order.

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Of so many seconds since 1970, in UTC.
pub(super) fn utc(seconds: u64) -> String {
    let (year, month, day) = date(seconds / DAY);
    let left = seconds % DAY;
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", left / 3600, left / 60 % 60, left % 60)
}

/// Years are counted from March, so that the leap day is the last of one. Source: Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::utc;

    /// Source: `date -u -d @SECONDS +%Y%m%dT%H%M%SZ`.
    #[test]
    fn as_date_says() {
        for (seconds, text) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_709_251_199, "20240229T235959Z"),
            (1_767_225_599, "20251231T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }
}
