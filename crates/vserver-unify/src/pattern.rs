//! Shell patterns over whole paths: `*` and `?` match a slash, too, as fnmatch(3) does without `FNM_PATHNAME`.

/// Whether `text` matches `pattern` from its beginning to its end.
pub(crate) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and how much of the text it has taken so far: without recursion, so that no pattern
    // takes more than pattern times text steps.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match step(&pattern[p..], text[t]) {
            Step::Star => {
                star = Some((p + 1, t));
                p += 1;
            }
            Step::Taken(length) => {
                p += length;
                t += 1;
            }
            Step::No => {
                let Some((after, taken)) = star else { return false };
                star = Some((after, taken + 1));
                (p, t) = (after, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

enum Step {
    Star,
    /// One byte of the text, by so many of the pattern.
    Taken(usize),
    No,
}

fn step(pattern: &[u8], byte: u8) -> Step {
    match pattern {
        [b'*', ..] => Step::Star,
        [b'?', ..] => Step::Taken(1),
        [b'[', rest @ ..] => class(rest, byte).map_or(literal(b'[', 1, byte), |(found, length)| match found {
            true => Step::Taken(length + 1),
            false => Step::No,
        }),
        [b'\\', escaped, ..] => literal(*escaped, 2, byte),
        [plain, ..] => literal(*plain, 1, byte),
        [] => Step::No,
    }
}

fn literal(wanted: u8, length: usize, byte: u8) -> Step {
    if wanted == byte { Step::Taken(length) } else { Step::No }
}

/// A class after its `[`: whether it has the byte, and its length with the `]`. None if it has no end.
fn class(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.first(), Some(b'!' | b'^'));
    let first = usize::from(negated);
    // A `]` in the first place is meant itself.
    let end = pattern.iter().skip(first + 1).position(|byte| *byte == b']')? + first + 1;
    let (mut members, mut found) = (&pattern[first..end], false);
    while let Some((low, rest)) = members.split_first() {
        match rest {
            [b'-', high, rest @ ..] => {
                found |= (*low..=*high).contains(&byte);
                members = rest;
            }
            _ => {
                found |= *low == byte;
                members = rest;
            }
        }
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn as_fnmatch_without_pathname() {
        let yes = [
            ("/etc/*", "/etc/a/b/c"),
            ("/*/ls-R", "/usr/share/ls-R"),
            ("/a?c", "/a/c"),
            ("/[a-c]x[!0-9]", "/bxz"),
            ("/[]]", "/]"),
            ("/\\*", "/*"),
            ("/[a", "/[a"),
            ("*", ""),
        ];
        let no = [("/etc/*", "/etc"), ("/etc", "/etc/a"), ("/[!a]", "/a"), ("/a?", "/a"), ("/\\*", "/x"), ("", "/")];
        for (pattern, text) in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
        for (pattern, text) in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let (pattern, text) = ("*a".repeat(40) + "b", "a".repeat(5_000));
        assert!(!matches(pattern.as_bytes(), text.as_bytes()));
    }
}
