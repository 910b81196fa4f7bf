//! The kernel's list format: `0-3,7`, and `0-31:2/16` for two of each sixteen.

use std::collections::BTreeSet;

/// More CPUs than any kernel is built for (`NR_CPUS` ends at 8192); bounds the work that a list can ask for.
const MOST: u32 = 65_536;

/// The numbers of a list, or `None` if it is not one. Source: `bitmap_parselist` in the kernel's `lib/bitmap-str.c`.
pub(crate) fn parse(list: &str) -> Option<BTreeSet<u32>> {
    if list.len() > 4096 {
        return None;
    }
    let (mut all, mut work) = (BTreeSet::new(), 0);
    for item in list.split(',') {
        let (range, pattern) = item.trim().split_once(':').unwrap_or((item.trim(), "1/1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (used, group) = pattern.split_once('/')?;
        let (first, last) = (number(first)?, number(last)?);
        let (used, group) = (number(used)?, number(group)?);
        if first > last || last >= MOST || group == 0 || used > group {
            return None;
        }
        work += last - first + 1;
        // Who names some twice, and that many of them, means nothing by it.
        if work > MOST {
            return None;
        }
        all.extend((first..=last).filter(|n| (n - first) % group < used));
    }
    Some(all)
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_bounded() {
        let long = vec!["0-65535"; 500].join(",");
        assert_eq!(parse(&long), None);
        assert_eq!(parse("0-65535").map(|set| set.len()), Some(65_536));
    }

    #[test]
    fn ranges_and_groups() {
        let list = |text| parse(text).map(|set| set.into_iter().collect::<Vec<_>>());
        assert_eq!(list("0-3,7"), Some(vec![0, 1, 2, 3, 7]));
        assert_eq!(list("0-7:1/4"), Some(vec![0, 4]));
        assert_eq!(list("5"), Some(vec![5]));
        for bad in ["", "a", "3-1", "0-", "0,", "0-99999999", "0-7:1", "0-7:1/0", "+1", "0:5/4"] {
            assert_eq!(list(bad), None, "{bad}");
        }
    }
}
