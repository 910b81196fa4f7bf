//! Changes in the text of one file: the values become the wanted ones, and every other line, comment and blank stays.
//! A file that says so already stays as it is, byte for byte.

use similar::{Algorithm, DiffTag, capture_diff_slices};

use crate::reader::shell_read;

/// R1: the first line becomes `value`; what follows is not read and stays.
pub(crate) fn scalar(old: &str, value: &str) -> String {
    let (now, rest) = shell_read(old);
    match now == value && !old.is_empty() {
        true => old.to_owned(),
        false => format!("{}\n{}", escape(value), rest.unwrap_or_default()),
    }
}

/// R2: the items become the wanted ones. An item that stays keeps its line, and comments keep their places.
pub(crate) fn list(old: &str, wanted: &[String]) -> String {
    merge(&list_pieces(old), wanted, escape)
}

/// R3: the same for lines that are taken verbatim, among which there are no comments.
pub(crate) fn arguments(old: &str, wanted: &[String]) -> String {
    merge(&argument_pieces(old), wanted, str::to_owned)
}

/// The lines of a file of arguments.
pub(crate) fn argument_pieces(text: &str) -> Vec<Piece<'_>> {
    let piece = |raw| {
        let line: &str = str::strip_suffix(raw, "\n").unwrap_or(raw);
        let closed = (line == raw).then(|| format!("{raw}\n"));
        Piece { raw, closed, item: Some(line.to_owned()).filter(|item| !item.is_empty()) }
    };
    text.split_inclusive('\n').map(piece).collect()
}

/// A stretch of a file, a line and the newline at its end, and what it says, if it says anything.
pub(crate) struct Piece<'t> {
    /// As it stands in the file.
    pub raw: &'t str,
    /// The same with an end, if it has none: then another can follow.
    pub closed: Option<String>,
    /// What is read from it.
    pub item: Option<String>,
}

/// The lines of a list file (R2); one that a backslash continues is one piece.
pub(crate) fn list_pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (line, after) = shell_read(rest);
        let (raw, next) = rest.split_at(rest.len() - after.map_or(0, str::len));
        let item = Some(line).filter(|line| !line.is_empty() && !line.starts_with('#'));
        pieces.push(Piece { raw, closed: after.is_none().then(|| close(raw)), item });
        rest = next;
    }
    pieces
}

/// A backslash at the end of the file means nothing, and in front of a newline it would.
fn close(raw: &str) -> String {
    let mut text = raw;
    while let Some(shorter) = text.strip_suffix("\\\n").or_else(|| text.strip_suffix('\\')) {
        if shorter.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1 {
            break;
        }
        text = shorter;
    }
    format!("{text}\n")
}

/// The text whose items are the wanted ones: as few pieces as possible go, and new ones, each made by `render`, stand
/// where they belong among those that stay.
pub(crate) fn merge(pieces: &[Piece<'_>], wanted: &[String], render: impl Fn(&str) -> String) -> String {
    let items: Vec<&str> = pieces.iter().filter_map(|piece| piece.item.as_deref()).collect();
    let new: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let mut stays = vec![false; items.len()];
    // What comes in before the item of each number; the last place is behind them all.
    let mut before: Vec<Vec<&str>> = vec![Vec::new(); items.len() + 1];
    for op in capture_diff_slices(Algorithm::Myers, &items, &new) {
        match op.tag() {
            DiffTag::Equal => stays[op.old_range()].fill(true),
            DiffTag::Delete => {}
            DiffTag::Insert | DiffTag::Replace => before[op.old_range().start].extend(&new[op.new_range()]),
        }
    }
    let fresh = |items: &[&str]| items.iter().map(|item| (format!("{}\n", render(item)), None)).collect::<Vec<_>>();
    let mut all: Vec<(String, Option<String>)> = Vec::new();
    let mut number = 0;
    for piece in pieces {
        let old = (piece.raw.to_owned(), piece.closed.clone());
        if piece.item.is_none() {
            all.push(old);
            continue;
        }
        all.extend(fresh(&before[number]));
        all.extend(stays[number].then_some(old));
        number += 1;
        // Behind the last item, not behind the comments that follow it.
        if number == items.len() {
            all.extend(fresh(&before[number]));
        }
    }
    if items.is_empty() {
        all.extend(fresh(&before[0]));
    }
    let last = all.len().saturating_sub(1);
    let whole = |(at, (raw, closed)): (usize, (String, Option<String>))| closed.filter(|_| at < last).unwrap_or(raw);
    all.into_iter().enumerate().map(whole).collect()
}

/// As the shell's `read` takes it back: backslashes, and blanks at both ends, are escaped.
pub(crate) fn escape(value: &str) -> String {
    let blank = |c: char| c == ' ' || c == '\t';
    let (start, end) = (value.len() - value.trim_start_matches(blank).len(), value.trim_end_matches(blank).len());
    let mut out = String::with_capacity(value.len());
    for (at, c) in value.char_indices() {
        if c == '\\' || blank(c) && (at < start || at >= end) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(text: &str) -> Vec<String> {
        list_pieces(text).into_iter().filter_map(|piece| piece.item).collect()
    }

    fn strings(items: &[&str]) -> Vec<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    #[test]
    fn a_scalar_keeps_what_follows_it() {
        assert_eq!(scalar("  old \n# why it is so\n", "new"), "new\n# why it is so\n");
        assert_eq!(scalar("", "x"), "x\n");
        assert_eq!(scalar("", ""), "\n");
        assert_eq!(scalar("same", "same"), "same");
        assert_eq!(scalar("a\\\nb\nrest", "c"), "c\nrest", "a continued line is one");
    }

    #[test]
    fn a_list_keeps_its_comments_and_its_order() {
        let old = "# capabilities\nNET_RAW\n\n  SYS_TIME \n# the last one is for the clock\n";
        let wanted = strings(&["CHOWN", "NET_RAW", "KILL"]);
        let new = "# capabilities\nCHOWN\nNET_RAW\n\nKILL\n# the last one is for the clock\n";
        assert_eq!(list(old, &wanted), new);
        assert_eq!(list(old, &strings(&["NET_RAW", "SYS_TIME"])), old);
        assert_eq!(list("A\nB", &strings(&["A", "B", "C"])), "A\nB\nC\n");
        assert_eq!(list("# nothing yet", &strings(&["A"])), "# nothing yet\nA\n");
        assert_eq!(list("A\n# c\n", &[]), "# c\n");
        assert_eq!(list("A\\", &strings(&["A", "B"])), "A\nB\n");
    }

    #[test]
    fn arguments_know_no_comments() {
        assert_eq!(arguments("#x\n\ny\n", &strings(&["y", " z"])), "\ny\n z\n");
    }

    fn text() -> impl Strategy<Value = String> {
        prop::collection::vec("( |#|\\\\|a|b|c|\\\\\n|é|\t){0,5}", 0..8).prop_map(|lines| lines.join("\n"))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(old in text(), value in "[ -~é]{0,12}") {
            prop_assert_eq!(shell_read(&scalar(&old, &value)).0, value);
        }

        #[test]
        fn a_list_says_what_was_wanted(old in text(), wanted in prop::collection::vec("[^\\p{C}#][^\\p{C}]{0,4}", 0..6)) {
            let new = list(&old, &wanted);
            prop_assert_eq!(items(&new), wanted.clone());
            prop_assert_eq!(list(&new, &wanted), new.clone());
            prop_assert_eq!(list(&old, &items(&old)), old.clone());
            let bare = |piece: &Piece<'_>| piece.raw.trim_end_matches(['\\', '\n', ' ']).to_owned();
            let rest = |text: &str| {
                list_pieces(text).iter().filter(|piece| piece.item.is_none()).map(bare).collect::<Vec<_>>()
            };
            prop_assert_eq!(rest(&new), rest(&old), "comments stay");
        }

        #[test]
        fn arguments_say_what_was_wanted(old in text(), wanted in prop::collection::vec("[^\\n\\x00]{1,5}", 0..6)) {
            let new = arguments(&old, &wanted);
            let read: Vec<String> = new.split('\n').filter(|line| !line.is_empty()).map(str::to_owned).collect();
            prop_assert_eq!(read, wanted);
        }
    }
}
