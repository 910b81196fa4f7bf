//! The word that was probably meant.

/// The candidate nearest to `word`, if it is near at all: at most a third of the letters differ, and at least one may.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance by rows, two letters in the wrong order being one slip. Names are short: a path component has at
/// most 255 bytes.
pub fn distance(a: &str, b: &str) -> usize {
    let letters = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    let (a, b) = (letters(a), letters(b));
    let (mut before, mut above): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let change = above[j] + usize::from(a[i] != b[j]);
            let swap = i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j];
            let swap = if swap { before[j - 1] + 1 } else { change };
            row.push(change.min(swap).min(row[j] + 1).min(above[j + 1] + 1));
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_found_and_another_word_is_not() {
        let known = ["bcapabilities", "ccapabilities", "context", "cflags"];
        assert_eq!(nearest("bcapabilites", known), Some("bcapabilities"));
        assert_eq!(nearest("Context", known), Some("context"));
        assert_eq!(nearest("cflag", known), Some("cflags"));
        assert_eq!(nearest("readme", known), None);
        assert_eq!(nearest("opne", ["open", "create"]), Some("open"));
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!((distance("", "ab"), distance("ab", ""), distance("ba", "ab")), (2, 2, 1));
    }
}
