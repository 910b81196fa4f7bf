//! The ways in which the files of the tree are read, R1 to R8 of `config-tree.md` §1.3, and the list of findings.
//!
//! Where the original stumbles (no newline at the end) or executes (`eval` of list lines) this one accepts with a
//! warning and takes the text literally.

mod file;
mod listing;
mod shell;

use std::path::{Path, PathBuf};

use vserver_types::c_integer;

use crate::error::{Diagnostic, Severity};
use file::slurp;
use listing::Listings;

pub(crate) use shell::shell_read;

/// A value and the line that it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub number: u32,
    pub text: String,
}

/// Reads files and collects what is wrong with them; no fault ends the reading.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub findings: Vec<Diagnostic>,
    /// Most of what is looked for is not there.
    listings: Listings,
}

impl Reader {
    pub fn error(&mut self, path: &Path, line: Option<u32>, message: impl Into<String>, hint: &str) {
        self.find(path, line, Severity::Error, message.into(), hint);
    }

    pub fn warn(&mut self, path: &Path, line: Option<u32>, message: impl Into<String>, hint: &str) {
        self.find(path, line, Severity::Warning, message.into(), hint);
    }

    fn find(&mut self, path: &Path, line: Option<u32>, severity: Severity, message: String, hint: &str) {
        let hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
        self.findings.push(Diagnostic { path: path.to_owned(), line, severity, message, hint });
    }

    /// A flag: existence counts, and a dangling link does not exist.
    pub fn exists(path: &Path) -> bool {
        path.exists()
    }

    /// The same for one who looks for many.
    pub fn has(&mut self, path: &Path) -> bool {
        !self.listings.lack(path) && path.exists()
    }

    /// Whether it is a directory, also behind a link.
    pub fn has_dir(&mut self, path: &Path) -> bool {
        !self.listings.lack(path) && path.is_dir()
    }

    /// Whether it is a regular file, also behind a link.
    pub fn has_file(&mut self, path: &Path) -> bool {
        !self.listings.lack(path) && path.is_file()
    }

    /// A whole file as text; `None` if it is missing, no regular file, or not readable (which is recorded).
    pub fn text(&mut self, path: &Path) -> Option<String> {
        if self.listings.lack(path) {
            return None;
        }
        match slurp(path) {
            Ok(Some(bytes)) => match String::from_utf8(bytes) {
                Ok(text) => return Some(text),
                Err(_) => self.error(path, None, "it is not UTF-8 text", "write it as UTF-8 text"),
            },
            Ok(None) => {}
            Err(error) => self.error(path, None, format!("it cannot be read: {error}"), "correct or remove it"),
        }
        None
    }

    /// R1: the first line, blanks trimmed, backslash escapes the next character.
    pub fn scalar(&mut self, path: &Path) -> Option<String> {
        let text = self.text(path)?;
        let (line, rest) = shell_read(&text);
        if rest.is_none() {
            self.warn(
                path,
                None,
                "does not end on newline",
                "end it with a newline: the original stopped at most such files",
            );
        }
        if let Some((message, hint)) = control(&line, VALUE) {
            self.error(path, Some(1), message, hint);
            return None;
        }
        Some(line)
    }

    /// Whether the shell's `read` finds the end of the first line.
    pub fn ends(&mut self, path: &Path) -> bool {
        self.text(path).is_some_and(|text| shell_read(&text).1.is_some())
    }

    /// R1 of the first candidate that is a regular file.
    pub fn first_scalar(&mut self, candidates: &[PathBuf]) -> Option<String> {
        let path = candidates.iter().find(|path| self.has_file(path))?;
        self.scalar(path)
    }

    /// R1, parsed; a value that does not parse is a fault with the parser's words.
    pub fn parsed<T: std::str::FromStr>(&mut self, path: &Path, what: &str) -> Option<T> {
        let text = self.scalar(path)?;
        let value = text.parse().ok();
        if value.is_none() {
            self.error(path, Some(1), format!("'{}' is not {what}", text.escape_debug()), &format!("write {what}"));
        }
        value
    }

    /// R2: one item per line, blanks trimmed, empty lines and `#` lines skipped, backslash escapes.
    pub fn list(&mut self, path: &Path) -> Vec<Line> {
        if let Some(text) = self.text(path).filter(|text| !text.is_empty() && !text.ends_with('\n')) {
            let last = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
            self.warn(path, Some(last), "does not end on newline", "the original ignores this line");
        }
        self.lines(path)
    }

    /// R2 of programs to which the end of the last line makes no difference.
    pub fn lines(&mut self, path: &Path) -> Vec<Line> {
        let Some(text) = self.text(path) else { return Vec::new() };
        let (mut rest, mut number, mut lines) = (Some(text.as_str()), 1, Vec::new());
        while let Some(before) = rest.filter(|rest| !rest.is_empty()) {
            let (line, after) = shell_read(before);
            if let Some((message, hint)) = control(&line, LINE) {
                self.error(path, Some(number), message, hint);
            } else if !line.is_empty() && !line.starts_with('#') {
                lines.push(Line { number, text: line });
            }
            let taken = &before[..before.len() - after.map_or(0, str::len)];
            number += u32::try_from(taken.matches('\n').count()).unwrap_or(u32::MAX);
            rest = after;
        }
        lines
    }

    /// R3: one argument per line, verbatim; empty lines vanish and nothing is a comment.
    pub fn arguments(&mut self, path: &Path) -> Option<Vec<Line>> {
        let text = self.text(path)?;
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.split('\n')) {
            if line.contains('\0') {
                self.error(path, Some(number), "the line has a NUL character", "remove it");
            } else if !line.is_empty() {
                if line.ends_with('\r') {
                    self.warn(path, Some(number), "the CR at its end belongs to the argument", CR);
                }
                lines.push(Line { number, text: line.to_owned() });
            }
        }
        Some(lines)
    }

    /// R3 without the line numbers.
    pub fn argv(&mut self, path: &Path) -> Option<Vec<String>> {
        self.arguments(path).map(|lines| lines.into_iter().map(|line| line.text).collect())
    }

    /// R5: the first line is one integer in C notation.
    pub fn integer(&mut self, path: &Path) -> Option<i64> {
        let text = self.text(path)?;
        let line = text.lines().next().unwrap_or_default().trim();
        let value = c_integer(line);
        if value.is_none() {
            self.error(
                path,
                Some(1),
                format!("'{}' is not an integer", line.escape_debug()),
                "write one whole number",
            );
        }
        value
    }

    /// R6: the whole file without the newlines at its end, at most 64 bytes.
    pub fn string(&mut self, path: &Path) -> Option<String> {
        let text = self.text(path)?;
        let value = text.trim_end_matches('\n');
        if value.len() > 64 {
            self.error(path, Some(1), format!("its value has {} bytes", value.len()), "at most 64 are allowed");
            return None;
        }
        if let Some((message, hint)) = control(value, NAME) {
            self.error(path, Some(1), message, hint);
            return None;
        }
        Some(value.to_owned())
    }

    /// The names in a directory, sorted by bytes as the shell's `*` does in the C locale: none that begins with a dot.
    pub fn names(&mut self, dir: &Path) -> Vec<String> {
        let found = match self.listings.names(dir) {
            Ok(found) => found,
            Err(error) => {
                self.error(dir, None, format!("it cannot be listed: {error}"), "correct or remove it");
                return Vec::new();
            }
        };
        let mut names = Vec::new();
        for name in found {
            match name.into_string() {
                Ok(name) if name.starts_with('.') => {}
                Ok(name) => names.push(name),
                Err(name) => {
                    let message = "its name is not UTF-8 text, and so nothing reads it";
                    self.warn(&dir.join(name), None, message, "rename it");
                }
            }
        }
        names.sort_unstable();
        names
    }
}

/// What to do with a file from an editor of another system.
const CR: &str = "end its lines with a newline alone, as dos2unix(1) does";

/// What is told of a control character, and what to do, in the three kinds of readers.
const VALUE: (&str, &str) = ("its value has a control character", "remove it");
const LINE: (&str, &str) = ("the line has a control character", "remove it");
const NAME: (&str, &str) = ("its value has a control character", "one line of text is allowed");

/// What is wrong with a text that has a control character.
fn control(text: &str, told: (&'static str, &'static str)) -> Option<(&'static str, &'static str)> {
    let told = if text.ends_with('\r') { ("its line ends in CR LF", CR) } else { told };
    text.contains(char::is_control).then_some(told)
}

/// Whether a name is a package manager's or an editor's copy: `*.rpmsave`, `*.rpmnew`, `*.rpmorig`, `*.cfsaved*`, `*~`.
pub(crate) fn is_backup(name: &str) -> bool {
    let saved = [".rpmsave", ".rpmnew", ".rpmorig", "~"].iter().any(|end| name.ends_with(end));
    saved || name.contains(".cfsaved")
}

#[cfg(test)]
mod tests;
