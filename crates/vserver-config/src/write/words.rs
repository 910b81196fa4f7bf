//! Changes in the text of a list of flags: words that say otherwise go, what is missing comes as a line of its own, and
//! everything else stays.

use vserver_types::{FlagEdit, FlagKind};

use super::text::{Piece, escape, list_pieces};

/// A word of a list: which piece it stands in, its text, and what it alone changes; nothing for one that is no flag.
struct Word {
    piece: usize,
    text: String,
    edit: Option<FlagEdit>,
}

/// What a list means: the bits that it decides, and what they are.
pub(super) struct Meaning {
    /// Bits that count for the comparison.
    pub mask: u64,
    /// What they are.
    pub value: u64,
}

/// The text that means `wanted`. `meaning` tells what a list's changes come to, `apart` which lines are none of this
/// list's and stay.
pub(super) fn flags(
    old: &str,
    kind: FlagKind,
    wanted: &Meaning,
    meaning: impl Fn(FlagEdit) -> Meaning,
    apart: impl Fn(&str) -> bool,
) -> String {
    let pieces = list_pieces(old);
    let mut words = words(kind, &pieces, &apart);
    let differs = |words: &[Word]| {
        let now = meaning(sum(words));
        (now.value ^ wanted.value | now.mask ^ wanted.mask, now.mask & !wanted.mask)
    };
    let (wrong, _) = differs(&words);
    if wrong == 0 {
        return old.to_owned();
    }
    words.retain(|word| word.edit.is_none_or(|edit| edit.mask & wrong == 0 || edit.mask & !wrong != 0));
    // A decision that is not wanted cannot be taken back by another word.
    let (_, undecided) = differs(&words);
    words.retain(|word| word.edit.is_none_or(|edit| edit.mask & undecided == 0));
    let (missing, _) = differs(&words);
    let mut text = remaining(&pieces, &words, &apart);
    for (bits, sign) in [(missing & wanted.value, ""), (missing & !wanted.value, "~")] {
        for name in names(kind, bits) {
            text.push_str(&format!("{sign}{name}\n"));
        }
    }
    text
}

fn words(kind: FlagKind, pieces: &[Piece<'_>], apart: &impl Fn(&str) -> bool) -> Vec<Word> {
    let lines = pieces.iter().enumerate().filter_map(|(at, piece)| Some((at, piece.item.as_deref()?)));
    let lines = lines.filter(|(_, line)| !apart(line));
    lines.flat_map(|(piece, line)| of_line(kind, piece, line)).collect()
}

/// A line with a fault is not taken at all, so it stays as a whole.
fn of_line(kind: FlagKind, piece: usize, line: &str) -> Vec<Word> {
    match FlagEdit::default().parse_into(kind, line) {
        Ok(()) => line.split(',').map(|text| word(kind, piece, text)).collect(),
        Err(_) => vec![Word { piece, text: line.to_owned(), edit: None }],
    }
}

fn word(kind: FlagKind, piece: usize, text: &str) -> Word {
    // Negation is told from its effect on a full word.
    let mut edit = FlagEdit { value: u64::MAX, mask: 0 };
    let known = edit.parse_into(kind, text).is_ok();
    let edit = FlagEdit { value: edit.value & edit.mask, mask: edit.mask };
    Word { piece, text: text.to_owned(), edit: known.then_some(edit) }
}

fn sum(words: &[Word]) -> FlagEdit {
    let parts = words.iter().filter_map(|word| word.edit);
    parts.fold(FlagEdit::default(), |sum, part| FlagEdit { value: part.apply(sum.value), mask: sum.mask | part.mask })
}

/// The old text without the words that went, and with an end.
fn remaining(pieces: &[Piece<'_>], words: &[Word], apart: &impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        let left: Vec<&str> = words.iter().filter(|word| word.piece == at).map(|word| word.text.as_str()).collect();
        match &piece.item {
            Some(line) if !apart(line) && left.join(",") != *line => {
                if !left.is_empty() {
                    text.push_str(&format!("{}\n", escape(&left.join(","))));
                }
            }
            _ => text.push_str(piece.closed.as_deref().unwrap_or(piece.raw)),
        }
    }
    text
}

/// One name for each bit, `^N` where the tree has no word for it alone.
fn names(kind: FlagKind, bits: u64) -> Vec<String> {
    let name = |bit: u32| {
        // As lines of `cflags` these two mean something else.
        let special = kind == FlagKind::Cflag && matches!(bit, 4 | 7);
        let single = kind.print(1 << bit);
        if special { format!("^{bit}") } else { single }
    };
    (0..64).filter(|bit| bits & (1 << bit) != 0).map(name).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact(edit: FlagEdit) -> Meaning {
        Meaning { mask: edit.mask, value: edit.value & edit.mask }
    }

    fn read(text: &str) -> FlagEdit {
        let mut edit = FlagEdit::default();
        for line in list_pieces(text).iter().filter_map(|piece| piece.item.as_deref()) {
            edit.parse_into(FlagKind::Bcap, line).ok();
        }
        edit
    }

    fn bcaps(old: &str, value: u64, mask: u64) -> String {
        flags(old, FlagKind::Bcap, &Meaning { mask, value }, exact, |_| false)
    }

    #[test]
    fn comments_and_what_is_right_stay() {
        let old = "# raw sockets, for ping\nNET_RAW,~SYS_TIME\n# no\n~CHOWN\n";
        let (raw, time, chown) = (1 << 13, 1 << 25, 1);
        assert_eq!(bcaps(old, raw, raw | time | chown), old);
        assert_eq!(
            bcaps(old, raw | chown, raw | time | chown),
            "# raw sockets, for ping\nNET_RAW,~SYS_TIME\n# no\nCHOWN\n"
        );
        assert_eq!(bcaps(old, raw, raw), "# raw sockets, for ping\nNET_RAW\n# no\n");
        assert_eq!(bcaps(old, 0, raw | time | chown), "# raw sockets, for ping\n~SYS_TIME\n# no\n~CHOWN\n~NET_RAW\n");
        assert_eq!(bcaps("NO_SUCH_THING\n", raw, raw), "NO_SUCH_THING\nNET_RAW\n", "a fault is not ours to remove");
    }

    proptest! {
        #[test]
        fn the_new_text_means_what_was_wanted(
            old in prop::collection::vec("[~!]{0,2}(CHOWN|KILL|all|none|\\^[0-9]|0x30|# x|)(,~KILL|,0xf)?", 0..5),
            value: u64, mask in prop_oneof![any::<u64>(), 0u64..64],
        ) {
            let (old, value) = (old.join("\n"), value & mask);
            let new = bcaps(&old, value, mask);
            prop_assert_eq!(read(&new), FlagEdit { value, mask }, "{} became {}", old, new);
            prop_assert_eq!(bcaps(&new, value, mask), new);
        }
    }
}
