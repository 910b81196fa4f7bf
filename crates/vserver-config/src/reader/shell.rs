//! Lines as the shell reads them.

/// One line as the shell's `read` gives it, and what follows it; nothing follows if there is no newline at its end.
pub(crate) fn shell_read(text: &str) -> (String, Option<&str>) {
    let mut line: Vec<(char, bool)> = Vec::new();
    let mut chars = text.char_indices();
    let mut rest = None;
    while let Some((at, c)) = chars.next() {
        match c {
            '\n' => {
                rest = Some(&text[at + 1..]);
                break;
            }
            '\\' => match chars.next() {
                Some((_, '\n')) | None => {}
                Some((_, escaped)) => line.push((escaped, true)),
            },
            other => line.push((other, false)),
        }
    }
    let blank = |(c, escaped): &(char, bool)| !escaped && matches!(c, ' ' | '\t');
    let start = line.iter().position(|c| !blank(c)).unwrap_or(line.len());
    let end = line.iter().rposition(|c| !blank(c)).map_or(start, |last| last + 1);
    (line[start..end].iter().map(|(c, _)| c).collect(), rest)
}
