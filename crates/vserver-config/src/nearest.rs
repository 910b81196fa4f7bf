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

/// Levenshtein distance, by rows. Names are short: a path component has at most 255 bytes.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().flat_map(char::to_lowercase).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let change = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
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
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
