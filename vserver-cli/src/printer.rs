//! The only place that writes to the terminal.

use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Write};

use serde::Serialize;

use crate::error::CliError;

/// Where a command's words go: results to standard output, warnings and questions to standard error.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    tool: &'static str,
    quiet: bool,
    colour: bool,
}

impl Printer {
    /// For this program. Colour only on a terminal, and not if `NO_COLOR` is set to anything.
    pub fn new(tool: &'static str) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { tool, quiet: false, colour: wanted && io::stdout().is_terminal() }
    }

    /// The name of the program, as it stands before its errors.
    pub fn tool(&self) -> &'static str {
        self.tool
    }

    /// The same, but without status and question texts (`--silent`).
    #[must_use]
    pub fn quiet(self, quiet: bool) -> Self {
        Self { quiet: self.quiet || quiet, ..self }
    }

    /// Whether `--silent` was given.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A result, with its newlines, in one write.
    pub fn text(&self, text: &str) -> Result<(), CliError> {
        self.bytes(text.as_bytes())
    }

    /// A result that need not be text.
    pub fn bytes(&self, bytes: &[u8]) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|source| CliError::Output { source })
    }

    /// One line of result.
    pub fn line(&self, line: impl Display) -> Result<(), CliError> {
        self.text(&format!("{line}\n"))
    }

    /// One line that `--silent` suppresses.
    pub fn status(&self, line: impl Display) -> Result<(), CliError> {
        if self.quiet { Ok(()) } else { self.line(line) }
    }

    /// A result for programs.
    pub fn json(&self, value: &impl Serialize) -> Result<(), CliError> {
        let text =
            serde_json::to_string_pretty(value).map_err(|source| CliError::Output { source: source.into() })?;
        self.line(text)
    }

    /// One line on standard error. That nobody reads it is no reason to fail.
    pub fn warn(&self, line: impl Display) {
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// A line on standard error that `--silent` suppresses, with the program's name in front.
    pub fn note(&self, line: impl Display) {
        if !self.quiet {
            self.warn(format_args!("{}: {line}", self.tool));
        }
    }

    /// Reads one line from standard input as the answer to `question`, which only a terminal gets to see. End of file
    /// is the empty answer.
    pub fn ask(&self, question: &str) -> String {
        if io::stdin().is_terminal() {
            let mut out = io::stderr().lock();
            let _ = write!(out, "{question}").and_then(|()| out.flush());
        }
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        if read.is_err() {
            answer.clear();
        }
        answer.trim_end_matches('\n').to_owned()
    }

    /// `text` in the colour with this SGR number, where colour is wanted.
    pub fn paint(&self, sgr: u8, text: &str) -> String {
        if self.colour { format!("\x1b[{sgr}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
