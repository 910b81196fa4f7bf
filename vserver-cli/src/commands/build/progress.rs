//! What a person sees of a build while it goes on.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};
use vserver_build::{Progress, Survey};

use crate::commands::import::report;
use crate::error::CliError;
use crate::printer::Printer;

const SPINNER: &str = "{spinner} {msg}";
const BAR: &str = "{spinner} {msg} [{bar:30}] {bytes}/{total_bytes}";
/// Longest text behind the spinner, in characters.
const WIDTH: usize = 70;

/// One line on standard error if that is a terminal; with `--debug` every line that the method's tools say.
///
/// The line moves when there is news only: a thread of its own would take the signals that end a build cleanly.
pub struct Watch<'a> {
    printer: &'a Printer,
    bar: Option<ProgressBar>,
    all_lines: bool,
    stage: String,
    is_bar: bool,
    /// The report of an import is for programs.
    pub as_json: bool,
}

impl<'a> Watch<'a> {
    /// Begins to watch.
    pub fn new(printer: &'a Printer, all_lines: bool) -> Self {
        let visible = stderr().is_terminal() && !printer.is_quiet() && !all_lines;
        let bar = visible.then(ProgressBar::new_spinner);
        Self { printer, bar, all_lines, stage: String::new(), is_bar: false, as_json: false }
    }

    /// Takes the line off the terminal.
    pub fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn style(&mut self, is_bar: bool) {
        if let Some(bar) = self.bar.as_ref().filter(|_| self.is_bar != is_bar) {
            let template = if is_bar { BAR } else { SPINNER };
            bar.set_style(
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
        }
        self.is_bar = is_bar;
    }

    fn show(&self, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(text);
            bar.tick();
        }
    }
}

impl Progress for Watch<'_> {
    fn stage(&mut self, what: &str) {
        self.style(false);
        self.stage = tame(what);
        if self.all_lines {
            self.printer.warn(&self.stage);
        }
        self.show(self.stage.clone());
    }

    fn line(&mut self, text: &str) {
        if self.all_lines {
            self.printer.warn(tame(text));
        }
        self.show(format!("{}: {}", self.stage, tame(text)).chars().take(WIDTH).collect());
    }

    fn bytes(&mut self, done: u64, total: Option<u64>) {
        self.style(total.is_some());
        if let Some(bar) = &self.bar {
            bar.set_length(total.unwrap_or(0));
            bar.set_position(done);
            if total.is_none() {
                self.show(format!("{}: {} MiB", self.stage, done >> 20));
            }
        }
    }

    fn survey(&mut self, survey: &Survey) {
        let told = match &self.bar {
            Some(bar) => bar.suspend(|| self.report(survey)),
            None => self.report(survey),
        };
        if let Err(error) = told {
            self.printer.warn(format_args!("the report could not be shown: {error}"));
        }
    }
}

impl Watch<'_> {
    fn report(&self, survey: &Survey) -> Result<(), CliError> {
        if self.as_json {
            return self.printer.json(survey);
        }
        if self.printer.is_quiet() {
            return Ok(());
        }
        self.printer.text(&report::text(survey))
    }
}

/// Text of other programs, without what a terminal would obey.
fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
